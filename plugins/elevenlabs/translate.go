package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// The types of webhooks that the plugin has words for.
const (
	typeTranscription = "post_call_transcription"
	typeTraces        = "post_call_transcription_otel"
	typeAudio         = "post_call_audio"
	typeUndialled     = "call_initiation_failure"
)

// The variables by which a conversation names our order and our installation.
const (
	varCall         = "strato_call_id"
	varInstallation = "strato_installation_id"
)

// translation turns the body of one webhook into events.
type translation struct {
	arrived time.Time
	// keys are the confirmed keys that led here.
	keys         []sdk.RouteKey
	installation string
	// fetch asks the provider for a conversation of which only traces came.
	fetch func(ctx context.Context, id string) (conversation, error)
}

// translate fails, with a failure of code Malformed, only if the body is not a
// JSON object. A call of another installation gives no event.
func (t *translation) translate(ctx context.Context, body []byte) ([]sdk.Event, error) {
	var e envelope
	if err := read(body, &e); err != nil || !isObject(body) {
		return nil, failure.New(failure.Malformed, "the body of the webhook is not a JSON object")
	}
	switch e.Type {
	case typeTranscription, typeTraces:
		c, whole := t.conversation(ctx, e)
		if c.ConversationID == "" {
			return t.unrecognized(e, body), nil
		}
		if owner := string(c.ClientData.Variables[varInstallation]); owner != "" && owner != t.installation {
			return nil, nil
		}
		what := "ended"
		switch {
		case !whole:
			what = "traced"
		case c.Analysis == nil:
			// What was found out may still come, in a webhook of its own.
			what = "unanalysed"
		}
		return t.event(e, string(c.AgentID), string(c.ConversationID), what, c.update()), nil
	case typeAudio:
		var c conversation
		_ = read(e.Data, &c) // it came out of valid JSON
		if c.ConversationID == "" {
			return t.unrecognized(e, nil), nil // not the audio, which is large
		}
		// The audio itself stays with the provider until somebody wants to hear it.
		u := sdk.CallUpdate{ProviderCallID: string(c.ConversationID), Recording: recordingOf(string(c.ConversationID))}
		return t.event(e, string(c.AgentID), string(c.ConversationID), "audio", u), nil
	case typeUndialled:
		var f undialled
		_ = read(e.Data, &f) // it came out of valid JSON
		u := f.update()
		if u.ProviderCallID == "" {
			return t.unrecognized(e, body), nil
		}
		return t.event(e, string(f.AgentID), u.ProviderCallID, "undialled", u), nil
	}
	return t.unrecognized(e, body), nil
}

// conversation is that of a transcription. Traces hold less, so the provider is
// asked for the rest; without an answer in time they have to do, and the
// conversation is not whole.
func (t *translation) conversation(ctx context.Context, e envelope) (c conversation, whole bool) {
	if e.Type == typeTranscription {
		_ = read(e.Data, &c) // it came out of valid JSON
		return c, true
	}
	c = traced(e.Data)
	if c.ConversationID == "" || t.fetch == nil {
		return c, false
	}
	if asked, err := t.fetch(ctx, string(c.ConversationID)); err == nil && asked.ConversationID == c.ConversationID {
		return asked, true
	}
	return c, false
}

func (t *translation) event(e envelope, agent, call, what string, u sdk.CallUpdate) []sdk.Event {
	out := sdk.Event{
		DedupeKey: "call:" + call + ":" + what, OrderingKey: "call:" + call, OccurredAt: t.at(e), RouteKeys: t.account(agent), Payload: u,
	}
	return []sdk.Event{out}
}

// account is the agent's routing key if it led here. An agent that did not is
// one more of the tenant's own workspace, whose secret signed the webhook.
func (t *translation) account(agent string) []sdk.RouteKey {
	for _, k := range t.keys {
		if k.Kind == keyAgent && k.Value == agent {
			return []sdk.RouteKey{k}
		}
	}
	return nil
}

func (t *translation) at(e envelope) time.Time {
	if at := moment(e.EventTimestamp); !at.IsZero() {
		return at
	}
	return t.arrived
}

// maxRaw bounds what is kept of a webhook that is not understood.
const maxRaw = 64 << 10

func (t *translation) unrecognized(e envelope, body []byte) []sdk.Event {
	sum := sha256.Sum256(body)
	if body == nil {
		sum = sha256.Sum256(e.Data)
	}
	if len(body) > maxRaw {
		body = nil
	}
	return []sdk.Event{{
		DedupeKey: "unrecognized:" + hex.EncodeToString(sum[:16]), OccurredAt: t.at(e),
		Payload: sdk.Unrecognized{ProviderType: clip(string(e.Type), 100), Raw: body},
	}}
}

// agentOf is the agent that a webhook is about; empty for none.
func agentOf(body []byte) (string, error) {
	var e struct {
		Data struct {
			AgentID str `json:"agent_id"`
		} `json:"data"`
	}
	if err := read(body, &e); err != nil || !isObject(body) {
		return "", failure.New(failure.Malformed, "the body of the webhook is not a JSON object")
	}
	return string(e.Data.AgentID), nil
}
