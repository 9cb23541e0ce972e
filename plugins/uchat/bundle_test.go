package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/stratohub/strato/plugins/uchat/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/httpx"
	"github.com/stratohub/strato/sdk/serve"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

// customer is the person of the tests.
const customer = "5491160001234"

// public are the settings that are no secrets.
var public = map[string]bool{"flow_ns": true, "channel": true, "reseller": true, "messages_from": true, "resume_bot": true}

// installationOf has these settings.
func installationOf(t *testing.T, values map[string]string) sdk.Installation {
	t.Helper()

	open, secrets := map[string]string{}, map[string]string{}
	for k, v := range values {
		if public[k] {
			open[k] = v
		} else {
			secrets["/"+k] = v
		}
	}
	document, err := json.Marshal(open)
	require.NoError(t, err)
	return sdk.Installation{TenantID: "t", ID: "i", Revision: 1, SettingsVersion: 1, Settings: document, Secrets: secrets}
}

// newInstance makes the instance of an installation whose provider is at base.
// It has no limit of requests of its own.
func newInstance(t *testing.T, base string, values map[string]string) *channel {
	t.Helper()

	c, err := newChannel(t.Context(), installationOf(t, values), environment(t, base))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	c.api.limit = limits{general: rate.NewLimiter(rate.Inf, 1), hooks: rate.NewLimiter(rate.Inf, 1)}
	return c
}

func environment(t *testing.T, base string) serve.Env {
	t.Helper()

	client, err := httpx.New(httpx.Config{Hosts: []string{"www.uchat.com.au"}, BaseURL: base, Timeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return serve.Env{Operator: map[string]string{"base_url": base}, HTTP: client, Log: slog.New(slog.DiscardHandler)}
}

// bundle is an agency at the simulated provider, and its installation.
type bundle struct {
	*channel
	simulator *simulator.Simulator
	base      string
	settings  map[string]string
	hub       *hub
	clock     *clock
}

// setup starts a simulator with the agency acme, whose webhooks are read by its
// own instance; values are settings beside those that the simulator gives.
func setup(t *testing.T, values ...string) *bundle {
	t.Helper()

	b := &bundle{hub: &hub{}, clock: &clock{now: time.Now().UTC().Truncate(time.Second)}}
	s, err := simulator.New(simulator.Options{Now: b.clock.Now, Retry: time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	api := httptest.NewServer(s.Handler())
	t.Cleanup(api.Close)
	front := httptest.NewServer(b.hub)
	t.Cleanup(front.Close)
	account, err := s.Account(simulation.AccountRequest{Label: "acme", WebhookURL: front.URL})
	require.NoError(t, err)
	b.simulator, b.base, b.settings = s, api.URL, account.Settings
	for i := 0; i+1 < len(values); i += 2 {
		b.settings[values[i]] = values[i+1]
	}
	b.channel = newInstance(t, api.URL, b.settings)
	b.channel.now = b.clock.Now
	b.hub.instance, b.hub.clock = b.channel, b.clock
	return b
}

// write lets somebody write in the agency's chat, and requires the webhook taken.
func (b *bundle) write(t *testing.T, say simulator.Say) simulation.Said {
	t.Helper()

	said := b.say(t, say)
	require.Equal(t, http.StatusOK, said.Status, said.Detail)
	return said
}

func (b *bundle) say(t *testing.T, say simulator.Say) simulation.Said {
	t.Helper()

	say.To = "acme"
	said, err := b.simulator.Write(t.Context(), say)
	require.NoError(t, err)
	return said
}

// person is what UChat knows of the customer.
func (b *bundle) person(t *testing.T) simulator.Contact {
	t.Helper()

	c, ok := b.simulator.Contact("acme", customer)
	require.True(t, ok)
	return c
}

// shown are the words on the customer's telephone.
func (b *bundle) shown(t *testing.T) []string {
	t.Helper()

	list, err := b.simulator.Messages("acme", customer)
	require.NoError(t, err)
	var out []string
	for _, m := range list {
		out = append(out, m.Text)
	}
	return out
}

// to is a message to the customer, by the name that UChat has.
func (b *bundle) to(t *testing.T, c sdk.Content, hints ...string) sdk.Message {
	t.Helper()

	m := sdk.Message{IdempotencyKey: "outbox:1", Attempt: 1, Content: c, Hints: map[string]string{}}
	m.To = []sdk.Address{{Kind: "wa_id", Value: customer}, {Kind: kindUser, Value: b.person(t).NS}}
	for i := 0; i+1 < len(hints); i += 2 {
		m.Hints[hints[i]] = hints[i+1]
	}
	return m
}

// hub is the front of Strato: it takes webhooks, keeps for later what asks for
// it, and remembers events, each once.
type hub struct {
	instance *channel
	clock    *clock

	mu     sync.Mutex
	seen   map[string]bool
	events []sdk.Event
	kept   []sdk.Webhook
	last   error
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	hook := sdk.Webhook{Request: sdk.Request{Method: r.Method, Body: body, ReceivedAt: h.clock.Now()}}
	for name, values := range r.Header {
		hook.Request.Headers = append(hook.Request.Headers, sdk.Header{Name: name, Value: values[0]})
	}
	w.WriteHeader(h.take(r.Context(), hook))
}

func (h *hub) take(ctx context.Context, hook sdk.Webhook) int {
	result, err := h.instance.HandleWebhook(ctx, hook)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = err
	switch {
	case err != nil && failureOf(err).Code.String() == "malformed":
		return http.StatusBadRequest
	case err != nil && result.Verified:
		hook.Replay = true
		h.kept = append(h.kept, hook)
		return http.StatusOK
	case err != nil, !result.Verified:
		return http.StatusUnauthorized
	}
	for _, e := range result.Events {
		if h.seen == nil {
			h.seen = map[string]bool{}
		}
		if !h.seen[e.DedupeKey] {
			h.seen[e.DedupeKey] = true
			h.events = append(h.events, e)
		}
	}
	return http.StatusOK
}

// replay shows the instance again what was kept, and tells how many there were.
func (h *hub) replay(ctx context.Context) int {
	h.mu.Lock()
	kept := h.kept
	h.kept = nil
	h.mu.Unlock()
	for _, k := range kept {
		h.take(ctx, k)
	}
	return len(kept)
}

// inbound are the messages of people, echoes those of the bot and the agents.
func (h *hub) inbound() (out []sdk.InboundMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if m, ok := e.Payload.(sdk.InboundMessage); ok {
			out = append(out, m)
		}
	}
	return out
}

func (h *hub) texts() []string {
	var out []string
	for _, m := range h.inbound() {
		text, _ := m.Content.(sdk.Text)
		out = append(out, text.Body)
	}
	return out
}

func (h *hub) echoes() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, e := range h.events {
		if m, ok := e.Payload.(sdk.MessageEcho); ok {
			text, _ := m.Content.(sdk.Text)
			out = append(out, text.Body)
		}
	}
	return out
}

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
