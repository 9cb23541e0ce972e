package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/httpx"
	"github.com/stratohub/strato/sdk/serve"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

// customer is the person of the tests.
const customer = "5491160001234"

// newInstance makes the instance of an installation with these settings, whose
// provider is at base.
func newInstance(t *testing.T, base string, settings map[string]string, operator ...string) *channel {
	t.Helper()

	public, secrets := map[string]string{}, map[string]string{}
	for k, v := range settings {
		if k == "phone_number_id" || k == "business_account_id" {
			public[k] = v
			continue
		}
		secrets["/"+k] = v
	}
	document, err := json.Marshal(public)
	require.NoError(t, err)
	c, err := newChannel(t.Context(), sdk.Installation{
		TenantID: "t", ID: "i", Revision: 1, SettingsVersion: 1, Settings: document, Secrets: secrets,
	}, environment(t, base, operator...))
	require.NoError(t, err)
	return c
}

// environment is what the host gives; operator has names and values in turn.
func environment(t *testing.T, base string, operator ...string) serve.Env {
	t.Helper()

	env := serve.Env{Operator: map[string]string{"base_url": base}}
	for i := 0; i+1 < len(operator); i += 2 {
		env.Operator[operator[i]] = operator[i+1]
	}
	client, err := httpx.New(httpx.Config{Hosts: []string{"graph.facebook.com"}, BaseURL: base, Timeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	env.HTTP = client
	return env
}

// bundle is an agency at the simulated provider, and its installation.
type bundle struct {
	*channel
	simulator *simulator.Simulator
	base      string
	settings  map[string]string
	hooks     *hooks
}

// setup starts a simulator with the agency acme, whose webhooks are translated
// by its own instance.
func setup(t *testing.T, o simulator.Options) *bundle {
	t.Helper()

	if o.SentAfter == 0 {
		o.SentAfter, o.DeliveredAfter, o.ReadAfter = time.Millisecond, 2*time.Millisecond, 3*time.Millisecond
	}
	s, err := simulator.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	api := httptest.NewServer(s.Handler())
	t.Cleanup(api.Close)
	b := &bundle{simulator: s, base: api.URL, hooks: &hooks{}}
	front := httptest.NewServer(b.hooks)
	t.Cleanup(front.Close)
	account, err := s.Account(simulation.AccountRequest{Label: "acme", WebhookURL: front.URL})
	require.NoError(t, err)
	b.settings = account.Settings
	b.channel = newInstance(t, api.URL, account.Settings)
	b.hooks.instance = b.channel
	return b
}

// write lets the customer write, which opens the window.
func (b *bundle) write(t *testing.T, say simulator.Say) simulation.Said {
	t.Helper()

	say.To = "acme"
	said, err := b.simulator.Write(t.Context(), say)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, said.Status)
	return said
}

func (b *bundle) send(t *testing.T, c sdk.Content) sdk.Receipt {
	t.Helper()

	r, err := b.Send(t.Context(), to(c))
	require.NoError(t, err)
	return r
}

// to is a message to the customer of the tests.
func to(c sdk.Content) sdk.Message {
	return sdk.Message{
		IdempotencyKey: "outbox:1", Attempt: 1, Content: c,
		To: []sdk.Address{{Kind: kindPhone, Value: customer}},
	}
}

// hooks is the front of Strato: it takes webhooks and remembers their events.
type hooks struct {
	instance *channel
	mu       sync.Mutex
	events   []sdk.Event
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	result, err := h.instance.HandleWebhook(r.Context(), sdk.Webhook{Request: sdk.Request{
		Method: r.Method, RawQuery: r.URL.RawQuery, Body: body, ReceivedAt: time.Now(),
		Headers: []sdk.Header{{Name: "x-hub-signature-256", Value: r.Header.Get("X-Hub-Signature-256")}},
	}})
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	case !result.Verified:
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	h.mu.Lock()
	h.events = append(h.events, result.Events...)
	h.mu.Unlock()
	if result.Response.Status != 0 {
		w.WriteHeader(result.Response.Status)
	}
	_, _ = w.Write(result.Response.Body)
}

// deliveries are the states told of a message, in the order of their coming.
func (h *hooks) deliveries(id string) []sdk.DeliveryUpdate {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []sdk.DeliveryUpdate
	for _, e := range h.events {
		if u, ok := e.Payload.(sdk.DeliveryUpdate); ok && u.ProviderMessageID == id {
			out = append(out, u)
		}
	}
	return out
}

// last is the newest message that came in; false if there was none.
func (h *hooks) last() (sdk.InboundMessage, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range slices.Backward(h.events) {
		if m, ok := e.Payload.(sdk.InboundMessage); ok {
			return m, true
		}
	}
	return sdk.InboundMessage{}, false
}

// states waits for a message's ticks.
func (b *bundle) states(t *testing.T, id string, want ...sdk.DeliveryState) []sdk.DeliveryUpdate {
	t.Helper()

	require.Eventually(t, func() bool { return len(b.hooks.deliveries(id)) >= len(want) }, 5*time.Second, time.Millisecond)
	got := b.hooks.deliveries(id)
	states := make([]sdk.DeliveryState, len(got))
	for i, u := range got {
		states[i] = u.State
	}
	require.ElementsMatch(t, want, states)
	return got
}

// ctx is a context that ends soon.
func ctx(t *testing.T, d time.Duration) context.Context {
	t.Helper()

	c, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return c
}
