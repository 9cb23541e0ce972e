package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/manychat/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/httpx"
	"github.com/stratohub/strato/sdk/serve"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

// customer is the person of the tests.
const customer = "+5491160001234"

// secrets are the settings that are one.
var secrets = []string{"api_key", "webhook_secret", "second_webhook_secret"}

// installation is what the host gives for settings as a form has them.
func installation(t *testing.T, settings map[string]string) sdk.Installation {
	t.Helper()

	public, hidden := map[string]any{}, map[string]string{}
	for k, v := range settings {
		switch {
		case k == "create_contacts":
			public[k] = v == "true"
		case strings.Contains(strings.Join(secrets, " "), k):
			hidden["/"+k] = v
		default:
			public[k] = v
		}
	}
	document, err := json.Marshal(public)
	require.NoError(t, err)
	return sdk.Installation{TenantID: "t", ID: "i", Revision: 1, SettingsVersion: 1, Settings: document, Secrets: hidden}
}

// newInstance makes an instance whose provider is at base.
func newInstance(t *testing.T, base string, settings map[string]string) *channel {
	t.Helper()

	client, err := httpx.New(httpx.Config{Hosts: []string{"api.manychat.com"}, BaseURL: base, Timeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	c, err := newChannel(t.Context(), installation(t, settings), serve.Env{HTTP: client, Operator: map[string]string{"base_url": base}})
	require.NoError(t, err)
	return c
}

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bundle is an agency at the simulated provider, and its installation.
type bundle struct {
	*channel
	simulator *simulator.Simulator
	base      string
	settings  map[string]string
	hooks     *hooks
	clock     *clock
}

// setup starts a simulator with the agency acme, whose steps are taken by its
// own instance. Changes are settings in turn with their values.
func setup(t *testing.T, changes ...string) *bundle {
	t.Helper()

	b := &bundle{hooks: &hooks{}, clock: &clock{now: time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)}}
	s, err := simulator.New(simulator.Options{Now: b.clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	provider := httptest.NewServer(s.Handler())
	t.Cleanup(provider.Close)
	front := httptest.NewServer(b.hooks)
	t.Cleanup(front.Close)
	account, err := s.Account(simulation.AccountRequest{Label: "acme", WebhookURL: front.URL})
	require.NoError(t, err)
	b.simulator, b.base, b.settings = s, provider.URL, account.Settings
	b.reinstall(t, changes...)
	return b
}

// reinstall saves other settings.
func (b *bundle) reinstall(t *testing.T, changes ...string) {
	t.Helper()

	for i := 0; i+1 < len(changes); i += 2 {
		b.settings[changes[i]] = changes[i+1]
	}
	b.channel = newInstance(t, b.base, b.settings)
	b.now, b.api.limits.now = b.clock.Now, b.clock.Now
	checked, err := b.Check(t.Context(), true)
	require.NoError(t, err)
	b.hooks.mu.Lock()
	defer b.hooks.mu.Unlock()
	b.hooks.instance, b.hooks.keys, b.hooks.clock = b.channel, checked.ConfirmedKeys, b.clock
}

func (b *bundle) faults(f simulator.Faults) { b.simulator.SetFaults(f) }

// write lets the customer write.
func (b *bundle) write(t *testing.T, say simulator.Say) simulation.Said {
	t.Helper()

	say.To = "acme"
	said, err := b.simulator.Write(t.Context(), say)
	require.NoError(t, err)
	return said
}

// hear lets the customer write, and returns the message that came of it.
func (b *bundle) hear(t *testing.T, say simulator.Say) sdk.InboundMessage {
	t.Helper()

	said := b.write(t, say)
	require.Equal(t, http.StatusOK, said.Status)
	require.Empty(t, said.Detail)
	m, ok := b.hooks.last().Payload.(sdk.InboundMessage)
	require.True(t, ok, "%T", b.hooks.last().Payload)
	return m
}

// answer is a message to whoever wrote m.
func answerTo(m sdk.InboundMessage, c sdk.Content) sdk.Message {
	return sdk.Message{
		IdempotencyKey: "k", Attempt: 1, To: m.From.Addresses, From: m.To, Content: c, WindowExpiresAt: m.WindowExpiresAt,
	}
}

// shown are the lines of the business on people's phones.
func (b *bundle) shown(t *testing.T) []string {
	t.Helper()

	list, err := b.simulator.Messages("acme", "")
	require.NoError(t, err)
	out := []string{}
	for _, m := range list {
		if m.Direction == simulation.Outbound {
			out = append(out, m.Type+": "+m.Text)
		}
	}
	return out
}

// hooks is the front of Strato: it takes requests and remembers their events.
type hooks struct {
	mu       sync.Mutex
	instance *channel
	keys     []sdk.RouteKey
	clock    *clock
	events   []sdk.Event
	bodies   []string
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	request := sdk.Request{Method: r.Method, RawQuery: r.URL.RawQuery, Body: body, ReceivedAt: h.clock.Now()}
	for name, values := range r.Header {
		request.Headers = append(request.Headers, sdk.Header{Name: strings.ToLower(name), Value: values[0]})
	}
	result, err := h.instance.HandleWebhook(r.Context(), sdk.Webhook{Request: request, MatchedKeys: h.keys})
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	case !result.Verified:
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	h.events, h.bodies = append(h.events, result.Events...), append(h.bodies, string(body))
	if result.Response.Status != 0 {
		w.WriteHeader(result.Response.Status)
	}
	_, _ = w.Write(result.Response.Body)
}

func (h *hooks) last() sdk.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return sdk.Event{}
	}
	return h.events[len(h.events)-1]
}

// facts are the dedupe keys of what came, each once, as the core takes them.
func (h *hooks) facts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range h.events {
		seen[e.DedupeKey] = true
	}
	return len(seen)
}
