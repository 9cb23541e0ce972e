package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/elevenlabs/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/httpx"
	"github.com/stratohub/strato/sdk/serve"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

// secretSettings are those of the form that are secrets.
var secretSettings = []string{"api_key", "webhook_secret"}

// newInstance makes the instance of an installation with these settings, whose
// provider is at base.
func newInstance(t *testing.T, base string, settings map[string]string) *studio {
	t.Helper()

	document, secrets := split(t, settings)
	client, err := httpx.New(httpx.Config{BaseURL: base, Timeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s, err := newStudio(t.Context(), sdk.Installation{
		TenantID: "tenant", ID: "i", Revision: 1, SettingsVersion: 1, Settings: document, Secrets: secrets,
	}, serve.Env{Operator: map[string]string{"base_url": base}, HTTP: client})
	require.NoError(t, err)
	return s
}

// split parts what a form takes into the document and its secrets.
func split(t *testing.T, settings map[string]string) (document []byte, secrets map[string]string) {
	t.Helper()

	public := map[string]string{}
	secrets = map[string]string{}
	for k, v := range settings {
		if k == secretSettings[0] || k == secretSettings[1] {
			secrets["/"+k] = v
			continue
		}
		public[k] = v
	}
	document, err := json.Marshal(public)
	require.NoError(t, err)
	return document, secrets
}

// bundle is an agency at the simulated provider, and its installation.
type bundle struct {
	*studio
	simulator *simulator.Simulator
	base      string
	settings  map[string]string
	hooks     *hooks
}

// setup starts a simulator with the agency acme, whose webhooks are translated
// by its own instance. Calls are over in milliseconds.
func setup(t *testing.T, f simulator.Faults) *bundle {
	t.Helper()

	s, err := simulator.New(simulator.Options{
		Ring: time.Millisecond, Talk: time.Millisecond, Process: time.Millisecond, FirstRetry: time.Millisecond,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	s.SetFaults(f)
	api := httptest.NewServer(s.Handler())
	t.Cleanup(api.Close)
	b := &bundle{simulator: s, base: api.URL, hooks: &hooks{}}
	front := httptest.NewServer(b.hooks)
	t.Cleanup(front.Close)
	account, err := s.Account(simulation.AccountRequest{Label: "acme", WebhookURL: front.URL})
	require.NoError(t, err)
	b.settings = account.Settings
	b.studio = newInstance(t, api.URL, account.Settings)
	b.hooks.set(b.studio)
	return b
}

// order is a call to a number, ordered with a key.
func order(number string) sdk.CallOrder {
	return sdk.CallOrder{
		IdempotencyKey: "order:1", To: sdk.Address{Kind: "phone", Value: number}, Variables: map[string]string{"nombre": "Lucía"}, RecordingConsent: true,
	}
}

// hooks is the front of Strato: it takes webhooks and remembers their events.
type hooks struct {
	mu       sync.Mutex
	instance *studio
	refuse   int
	events   []sdk.Event
	refused  int
}

func (h *hooks) set(s *studio) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.instance = s
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse > 0 {
		h.refuse--
		h.refused++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	result, err := h.instance.HandleWebhook(r.Context(), sdk.Webhook{
		MatchedKeys: h.instance.claims(),
		Request: sdk.Request{
			Method: r.Method, Body: body, ReceivedAt: time.Now(),
			Headers: []sdk.Header{{Name: "elevenlabs-signature", Value: r.Header.Get(signatureHeader)}},
		},
	})
	switch {
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	case !result.Verified:
		h.refused++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	h.events = append(h.events, result.Events...)
}

// all are the events so far.
func (h *hooks) all() []sdk.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]sdk.Event{}, h.events...)
}

// updates waits until n webhooks told of calls.
func (b *bundle) updates(t *testing.T, n int) []sdk.CallUpdate {
	t.Helper()

	require.Eventually(t, func() bool { return len(b.hooks.all()) >= n }, 10*time.Second, time.Millisecond)
	var out []sdk.CallUpdate
	for _, e := range b.hooks.all() {
		out = append(out, e.Payload.(sdk.CallUpdate))
	}
	return out
}

// within is a context that ends soon.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()

	c, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return c
}
