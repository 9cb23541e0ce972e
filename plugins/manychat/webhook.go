package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/webhook"
)

// secretHeader carries the secret where Authorization cannot be set.
const secretHeader = "X-Strato-Secret"

// HandleWebhook implements [sdk.WebhookHandler]. It serves External Requests and
// Dynamic Blocks alike: the answer is a document of dynamic content, which an
// External Request passes over. The secret is looked at before the body.
func (c *channel) HandleWebhook(_ context.Context, w sdk.Webhook) (sdk.WebhookResult, error) {
	if !c.isGenuine(w.Request) {
		return sdk.WebhookResult{}, nil
	}
	if w.Request.Method != http.MethodPost {
		// The method of the step is a matter of choice there, and GET has no body.
		return sdk.WebhookResult{Verified: true, Response: problem(http.StatusMethodNotAllowed, "Set the method of the step to POST.")}, nil
	}
	a := arrival{body: w.Request.Body, at: w.Request.ReceivedAt, page: page(w.MatchedKeys)}
	for _, n := range []string{a.page, c.account.number()} {
		if n != "" {
			a.numbers = append(a.numbers, n)
		}
	}
	event, words := a.receive()
	result := sdk.WebhookResult{Verified: true, Events: []sdk.Event{event}}
	if words != "" {
		result.Response = problem(http.StatusBadRequest, words)
		return result, nil
	}
	on := onOther
	for name, kind := range channelKeys {
		if len(event.RouteKeys) > 0 && event.RouteKeys[0].Kind == kind {
			on = name
		}
	}
	result.Response = c.answer(on)
	return result, nil
}

// isGenuine compares the secret of the header. It is never taken from the query,
// which ends up in logs.
func (c *channel) isGenuine(r sdk.Request) bool {
	given := webhook.Header(r, secretHeader)
	if given == "" {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(webhook.Header(r, "Authorization")), " ")
		if strings.EqualFold(scheme, "Bearer") {
			given = strings.TrimSpace(rest)
		}
	}
	// Both are always compared, so that the time tells nothing.
	first, second := webhook.Equal(c.account.WebhookSecret, given), webhook.Equal(c.account.SecondWebhookSecret, given)
	return first || second
}

// page is the confirmed id of the account.
func page(keys []sdk.RouteKey) string {
	for _, k := range keys {
		if k.Kind == keyPage {
			return k.Value
		}
	}
	return ""
}

// answer is what a Dynamic Block shows at once.
func (c *channel) answer(on string) sdk.Response {
	messages := []object{}
	if c.account.BlockText != "" {
		messages = append(messages, object{"type": "text", "text": c.account.BlockText})
	}
	return reply(http.StatusOK, document(on, messages))
}

// problem tells the person who tests the step what to mend.
func problem(status int, words string) sdk.Response {
	return reply(status, object{"error": words})
}

func reply(status int, body object) sdk.Response {
	raw, _ := json.Marshal(body) // maps of strings and lists always marshal
	return sdk.Response{
		Status: status,
		Headers: []sdk.Header{
			{Name: "Content-Type", Value: "application/json; charset=utf-8"},
			{Name: "X-Content-Type-Options", Value: "nosniff"},
		},
		Body: raw,
	}
}
