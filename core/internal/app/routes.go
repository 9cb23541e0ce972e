package app

import (
	"net/http"

	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/httpapi"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/live"
	"github.com/stratohub/strato/core/internal/rbac"
)

// routes is the whole API: what is served where, and who may ask.
func routes(r *httpapi.Router, a *auth.Service, p *plugins, hooks *ingress.Handler, hub *live.Hub) {
	const get, post, put = http.MethodGet, http.MethodPost, http.MethodPut

	a.Register(r) // /api/session

	httpapi.Handle(r, get, "/api/leads", rbac.Read("lead"), listLeads, httpapi.Summary("List leads, newest first"))
	httpapi.Handle(r, get, "/api/leads/{id}", rbac.Read("lead"), getLead, httpapi.Summary("Get a lead"))
	httpapi.Handle(r, get, "/api/leads/{id}/events", rbac.Read("event"), listLeadEvents, httpapi.Summary("List a lead's timeline, newest first"))

	httpapi.Handle(r, get, "/api/contacts", rbac.Read("contact"), listContacts, httpapi.Summary("List contacts, newest first"))
	httpapi.Handle(r, get, "/api/contacts/{id}", rbac.Read("contact"), getContact, httpapi.Summary("Get a contact"))

	httpapi.Handle(r, get, "/api/conversations", rbac.Read("conversation"), listConversations, httpapi.Summary("List conversations by their last message"))
	httpapi.Handle(r, get, "/api/conversations/{id}", rbac.Read("conversation"), getConversation, httpapi.Summary("Get a conversation"))
	httpapi.Handle(r, put, "/api/conversations/{id}/holder", rbac.Write("conversation"), setHolder, httpapi.Summary("Take a conversation, or give it to the assistant"))
	httpapi.Handle(r, put, "/api/conversations/{id}/read", rbac.Write("conversation"), markRead, httpapi.Summary("Mark a conversation as read"))
	httpapi.Handle(r, put, "/api/conversations/{id}/typing", rbac.Send("message"), typing, httpapi.Summary("Show the customer that somebody is writing"))
	httpapi.Handle(r, get, "/api/conversations/{id}/messages", rbac.Read("message"), listMessages, httpapi.Summary("List messages, newest first"))
	httpapi.Handle(r, post, "/api/conversations/{id}/messages", rbac.Send("message"), p.sendMessage, httpapi.Summary("Send a message"))
	httpapi.Handle(r, post, "/api/conversations/{id}/messages/{message}/resend", rbac.Send("message"), resendMessage, httpapi.Summary("Send a message again that failed or got lost"))

	httpapi.HandleControl(r, get, "/api/plugins", rbac.Read("plugin"), p.list, httpapi.Summary("List plugins"))
	httpapi.HandleControl(r, get, "/api/plugins/{plugin}", rbac.Read("plugin"), p.get, httpapi.Summary("Get a plugin with its settings form"))
	httpapi.Handle(r, get, "/api/installations", rbac.Read("installation"), p.installations, httpapi.Summary("List installations"))
	httpapi.HandleControl(r, post, "/api/installations", rbac.Manage("installation"), p.create, httpapi.Summary("Switch a plugin on"))
	httpapi.Handle(r, get, "/api/installations/{id}", rbac.Read("installation"), p.installation, httpapi.Summary("Get an installation"))
	httpapi.HandleControl(r, put, "/api/installations/{id}/settings", rbac.Manage("installation"), p.save, httpapi.Summary("Save an installation's settings"))
	httpapi.HandleControl(r, put, "/api/installations/{id}/state", rbac.Manage("installation"), p.setState, httpapi.Summary("Switch an installation off or on"))
	httpapi.HandleControl(r, post, "/api/installations/{id}/test", rbac.Manage("installation"), p.test, httpapi.Summary("Ask the provider whether the settings work"), httpapi.Status(http.StatusOK))

	hub.Register(r)

	for _, method := range []string{get, post} {
		r.HandleWebhook(method, "/api/webhooks/{plugin}", hooks.Serve, httpapi.Summary("Take a provider's webhook for any agency"))
		r.HandleWebhook(method, "/api/webhooks/{plugin}/{token}", hooks.Serve, httpapi.Summary("Take a provider's webhook for one installation"))
	}
}
