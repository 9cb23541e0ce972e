package main

import (
	"context"
	"net/http"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/serve"
)

// fetchTimeout is what asking for a conversation may take within a webhook,
// which has to be answered in 2.5 seconds.
const fetchTimeout = 1500 * time.Millisecond

// HandleWebhook implements [sdk.WebhookHandler].
func (s *studio) HandleWebhook(ctx context.Context, w sdk.Webhook) (sdk.WebhookResult, error) {
	if w.Request.Method != http.MethodPost {
		return sdk.WebhookResult{Response: notAllowed()}, nil
	}
	if !w.Routed && !verify(w.Request, s.webhookSecret) {
		return sdk.WebhookResult{}, nil
	}
	t := translation{arrived: w.Request.ReceivedAt, keys: w.MatchedKeys, installation: s.installation, fetch: s.fetch}
	events, err := t.translate(ctx, w.Request.Body)
	return sdk.WebhookResult{Verified: true, Events: events}, err
}

// fetch asks for a conversation while a webhook waits.
func (s *studio) fetch(ctx context.Context, id string) (conversation, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	return s.conversation(ctx, id)
}

// route answers the operator's one address, for tenants who share a workspace:
// a workspace has one webhook, so the agent tells whose call it was.
func route(_ context.Context, env serve.Env, _ string, r sdk.Request) (sdk.Routing, error) {
	if r.Method != http.MethodPost {
		resp := notAllowed()
		return sdk.Routing{Verified: true, Final: &resp}, nil
	}
	if !verify(r, env.Operator["webhook_secret"]) {
		return sdk.Routing{}, nil
	}
	agent, err := agentOf(r.Body)
	if err != nil {
		return sdk.Routing{Verified: true}, err
	}
	if agent == "" {
		return sdk.Routing{Verified: true, Final: &sdk.Response{Status: http.StatusOK}}, nil
	}
	return sdk.Routing{Verified: true, Parts: []sdk.RoutedPart{{Keys: []sdk.RouteKey{{Kind: keyAgent, Value: agent}}}}}, nil
}

func notAllowed() sdk.Response {
	return sdk.Response{
		Status: http.StatusMethodNotAllowed,
		Headers: []sdk.Header{
			{Name: "Allow", Value: "POST"},
			{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
			{Name: "X-Content-Type-Options", Value: "nosniff"},
		},
		Body: []byte("This address takes POST.\n"),
	}
}
