package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

// lucia is the person of most tests.
const lucia = "5491160001234"

// bundle is a simulator with the agency acme and the front of its hub.
type bundle struct {
	*simulator.Simulator
	base     string
	settings map[string]string
	hub      *hub
	clock    *clock
}

func setup(t *testing.T, o simulator.Options) *bundle {
	t.Helper()

	b := &bundle{hub: &hub{}, clock: &clock{now: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)}}
	o.Now = b.clock.Now
	if o.SentAfter == 0 {
		o.SentAfter, o.DeliveredAfter, o.ReadAfter = time.Millisecond, 20*time.Millisecond, 40*time.Millisecond
	}
	o.FirstRetry = time.Millisecond
	s, err := simulator.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	b.Simulator = s
	api := httptest.NewServer(s.Handler())
	t.Cleanup(api.Close)
	front := httptest.NewServer(b.hub)
	t.Cleanup(front.Close)
	b.base, b.hub.url = api.URL, front.URL
	b.settings = b.account(t, "acme")
	return b
}

func (b *bundle) account(t *testing.T, label string) map[string]string {
	t.Helper()

	a, err := b.Account(simulation.AccountRequest{Label: label, WebhookURL: b.hub.url})
	require.NoError(t, err)
	return a.Settings
}

// write lets Lucía write to acme.
func (b *bundle) write(t *testing.T, in simulator.Say) simulation.Said {
	t.Helper()

	if in.To == "" {
		in.To = "acme"
	}
	said, err := b.Write(t.Context(), in)
	require.NoError(t, err)
	return said
}

// answer is an answer of the Graph API.
type answer struct {
	status int
	body   map[string]any
}

// code is the error's code; 0 if there is no error.
func (a answer) code() int {
	e, _ := a.body["error"].(map[string]any)
	code, _ := e["code"].(float64)
	return int(code)
}

// id is that of the message that was taken.
func (a answer) id(t *testing.T) string {
	t.Helper()

	require.Equal(t, http.StatusOK, a.status, a.body)
	return a.body["messages"].([]any)[0].(map[string]any)["id"].(string)
}

// call makes a request in acme's name; body is JSON or nil.
func (b *bundle) call(t *testing.T, method, path, body string) answer {
	t.Helper()

	a, err := b.try(t.Context(), method, path, body)
	require.NoError(t, err)
	return a
}

// try is call for other goroutines than the test's: it asserts nothing.
func (b *bundle) try(ctx context.Context, method, path, body string) (answer, error) {
	if !strings.HasPrefix(path, "http") {
		path = b.base + "/v24.0/" + path
	}
	req, err := http.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+b.settings["access_token"])
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode}
	_ = json.Unmarshal(raw, &a.body) // files and bare statuses are not JSON
	if a.body == nil {
		a.body = map[string]any{"raw": string(raw)}
	}
	return a, err
}

// text sends a text to a person, by phone number or business-scoped id.
func (b *bundle) text(t *testing.T, to, words string) answer {
	t.Helper()

	key := "to"
	if len(to) > 2 && to[2] == '.' {
		key = "recipient"
	}
	body, err := json.Marshal(map[string]any{"messaging_product": "whatsapp", key: to, "type": "text", "text": map[string]string{"body": words}})
	require.NoError(t, err)
	return b.call(t, http.MethodPost, b.settings["phone_number_id"]+"/messages", string(body))
}

// posted is a webhook that came.
type posted struct {
	raw    string
	header http.Header
	body   struct {
		Entry []struct {
			ID      string `json:"id"`
			Changes []struct {
				Value struct {
					Contacts []map[string]any `json:"contacts"`
					Messages []map[string]any `json:"messages"`
					Statuses []map[string]any `json:"statuses"`
				} `json:"value"`
			} `json:"changes"`
		} `json:"entry"`
	}
}

// hub takes webhooks. It answers with fail as long as that is not 0.
type hub struct {
	url   string
	token string
	mu    sync.Mutex
	fail  int
	came  []posted
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		if r.URL.Query().Get("hub.verify_token") != h.token {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, r.URL.Query().Get("hub.challenge"))
		return
	}
	raw, _ := io.ReadAll(r.Body)
	p := posted{raw: string(raw), header: r.Header}
	_ = json.NewDecoder(bytes.NewReader(raw)).Decode(&p.body) // replays may be anything
	h.mu.Lock()
	defer h.mu.Unlock()
	h.came = append(h.came, p)
	if h.fail != 0 {
		w.WriteHeader(h.fail)
	}
}

func (h *hub) answerWith(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail = status
}

func (h *hub) all() []posted {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]posted(nil), h.came...)
}

// last is the newest webhook but for those of statuses, which come in between.
func (h *hub) last(t *testing.T) posted {
	t.Helper()

	all := h.all()
	for _, p := range slices.Backward(all) {
		if !strings.Contains(p.raw, `"statuses"`) {
			return p
		}
	}
	require.Fail(t, "no webhook came")
	return posted{}
}

// statuses are those told of a message, in the order of their coming.
func (h *hub) statuses(id string) []map[string]any {
	var out []map[string]any
	for _, p := range h.all() {
		for _, e := range p.body.Entry {
			for _, c := range e.Changes {
				for _, s := range c.Value.Statuses {
					if s["id"] == id {
						out = append(out, s)
					}
				}
			}
		}
	}
	return out
}

// ticks waits for n statuses of a message and returns their names.
func (h *hub) ticks(t *testing.T, id string, n int) []string {
	t.Helper()

	require.Eventually(t, func() bool { return len(h.statuses(id)) >= n }, 5*time.Second, time.Millisecond)
	var out []string
	for _, s := range h.statuses(id) {
		out = append(out, s["status"].(string))
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

func decodeInto(r io.Reader, v any) error { return json.NewDecoder(r).Decode(v) }
