package main

import (
	"context"
	"net/http"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/serve"
	"github.com/stratohub/strato/sdk/webhook"
)

// HandleWebhook implements [sdk.WebhookHandler].
func (c *channel) HandleWebhook(_ context.Context, w sdk.Webhook) (sdk.WebhookResult, error) {
	switch w.Request.Method {
	case http.MethodGet:
		resp := handshake(w.Request, c.verifyToken)
		return sdk.WebhookResult{Verified: resp.Status == http.StatusOK, Response: resp}, nil
	case http.MethodPost:
	default:
		return sdk.WebhookResult{Response: notAllowed()}, nil
	}
	if !w.Routed && !webhook.VerifyHub(w.Request, c.appSecret) {
		return sdk.WebhookResult{}, nil
	}
	events, err := translate(w.Request.Body, w.Request.ReceivedAt, w.MatchedKeys)
	if err != nil {
		return sdk.WebhookResult{Verified: true}, err
	}
	return sdk.WebhookResult{Verified: true, Events: events}, nil
}

// route answers the app's one URL, to which Meta posts for all tenants that
// have no app of their own.
func route(_ context.Context, env serve.Env, _ string, r sdk.Request) (sdk.Routing, error) {
	final := func(verified bool, resp sdk.Response) (sdk.Routing, error) {
		return sdk.Routing{Verified: verified, Final: &resp}, nil
	}
	switch r.Method {
	case http.MethodGet:
		return final(true, handshake(r, env.Operator["verify_token"]))
	case http.MethodPost:
	default:
		return final(true, notAllowed())
	}
	if !webhook.VerifyHub(r, env.Operator["app_secret"]) {
		return sdk.Routing{}, nil
	}
	parts, err := split(r.Body)
	if err != nil {
		return sdk.Routing{Verified: true}, err
	}
	if len(parts) == 0 {
		return final(true, sdk.Response{Status: http.StatusOK})
	}
	return sdk.Routing{Verified: true, Parts: parts}, nil
}

// handshake answers the request by which Meta makes sure that a URL is ours.
func handshake(r sdk.Request, token string) sdk.Response {
	q := webhook.Query(r)
	if q.Get("hub.mode") != "subscribe" || !webhook.Equal(token, q.Get("hub.verify_token")) {
		return plain(http.StatusForbidden, "The verify token is not the one in Strato's settings.\n")
	}
	return plain(http.StatusOK, q.Get("hub.challenge"))
}

func notAllowed() sdk.Response {
	resp := plain(http.StatusMethodNotAllowed, "This address takes GET and POST.\n")
	resp.Headers = append(resp.Headers, sdk.Header{Name: "Allow", Value: "GET, POST"})
	return resp
}

func plain(status int, body string) sdk.Response {
	return sdk.Response{
		Status: status,
		Headers: []sdk.Header{
			{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
			{Name: "X-Content-Type-Options", Value: "nosniff"},
		},
		Body: []byte(body),
	}
}
