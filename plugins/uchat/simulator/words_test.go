package simulator_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/uchat/simulator"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

// hub takes webhooks.
type hub struct {
	mu     sync.Mutex
	status int
	came   []string
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.came = append(h.came, r.Header.Get("X-Strato-Secret")+" "+string(raw))
	w.WriteHeader(h.status)
}

func (h *hub) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hub) last(t *testing.T) string {
	t.Helper()

	h.mu.Lock()
	defer h.mu.Unlock()
	require.NotEmpty(t, h.came)
	return h.came[len(h.came)-1]
}

// TestWords drives a running simulator by the command line.
func TestWords(t *testing.T) {
	t.Parallel()

	state := filepath.Join(t.TempDir(), "state.json")
	s, err := simulator.New(simulator.Options{State: state})
	require.NoError(t, err)
	api, h := httptest.NewServer(s.Handler()), &hub{status: 200}
	t.Cleanup(api.Close)
	front := httptest.NewServer(h)
	t.Cleanup(front.Close)
	account, err := s.Account(simulation.AccountRequest{Label: "acme", WebhookURL: front.URL})
	require.NoError(t, err)
	announced := filepath.Join(t.TempDir(), "uchat.json")
	require.NoError(t, os.WriteFile(announced, []byte(`{"base_url":"`+api.URL+`"}`), 0o600))
	body := filepath.Join(t.TempDir(), "body.json")
	require.NoError(t, os.WriteFile(body, []byte(`{"user_ns":"f1u1","flow_ns":"f1","phone":"5491155550009","message":"repetido"}`), 0o600))
	run := func(words ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := simulator.Program().Run(t.Context(), simulation.Surroundings{
			Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Announced: announced,
		}, words)
		return code, out.String(), errs.String()
	}

	for _, tt := range []struct{ words, want string }{
		{"say --to acme Hola, vi el depto", `"message":"Hola, vi el depto"`},
		{"say Hola --to acme --from +5491155550000 --name Bruno", `"name":"Bruno"`},
		{"say --to acme --type image", `/foto.jpg"`},
		{"replay --to acme " + body, `"message":"repetido"`},
		{"say --to acme --from +5491155550000 --as agent Soy yo", `"message":"repetido"`}, // nobody is told
		{"say --to acme --from +5491155550000 gracias", `"_id":`},                         // the bot is paused
	} {
		code, out, errs := run(strings.Fields(tt.words)...)
		require.Zero(t, code, errs)
		require.Contains(t, out, "was taken: HTTP 200.")
		require.Contains(t, h.last(t), tt.want)
		require.True(t, strings.HasPrefix(h.last(t), account.Settings["webhook_secret"]+" "))
	}
	code, out, _ := run("messages", "--to", "acme", "--from", "+54 9 11 5555-0000")
	require.Zero(t, code)
	require.Contains(t, out, "The phone +5491155550000 (Bruno), its chat with acme:")
	require.NotContains(t, out, "depto")

	for words, want := range map[string]string{
		"say Hola":                       "Say needs --to AGENCY.",
		"say --to acme":                  "Say what to write",
		"say --to acme --from hola chau": `"hola" is not a phone number`,
		"say --to acme --type video2":    `There is no type "video2"`,
		"say --to acme --as nobody Hola": "bot or agent",
		"say --to sur Hola":              `UChat knows no agency "sur"`,
		"faults no_such_switch":          "no_such_switch",
	} {
		code, out, errs := run(strings.Fields(words)...)
		require.NotZero(t, code, words)
		require.Empty(t, out)
		require.Contains(t, errs, want)
	}

	h.answer(http.StatusUnauthorized)
	code, _, errs := run("say", "--to", "acme", "Hola")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "was refused: HTTP 401")

	// A second run finds everything again.
	require.NoError(t, s.Close())
	again, err := simulator.New(simulator.Options{State: state})
	require.NoError(t, err)
	list, err := again.Messages("acme", "+5491155550000")
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.NoError(t, again.Close())
}

// TestAPI asks as nobody should.
func TestAPI(t *testing.T) {
	t.Parallel()

	s, err := simulator.New(simulator.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	api := httptest.NewServer(s.Handler())
	t.Cleanup(api.Close)
	account, err := s.Account(simulation.AccountRequest{Label: "acme"})
	require.NoError(t, err)
	said, err := s.Write(t.Context(), simulator.Say{To: "acme", Text: "hola"})
	require.NoError(t, err)
	require.Zero(t, said.Status)
	require.Equal(t, "the agency has no webhook address", said.Detail)
	c, ok := s.Contact("acme", simulator.DemoPhone)
	require.True(t, ok)

	ask := func(method, path, body string, header ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, api.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+account.Settings["api_key"])
		req.Header.Set("Accept", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		raw, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(raw)
	}
	user := `{"user_ns":"` + c.NS + `"`
	for _, tt := range []struct {
		method, path, body string
		header             []string
		status             int
		want               string
	}{
		{"GET", "/api/me", "", []string{"Authorization", "Bearer no"}, 401, `{"message":"Unauthenticated."}`},
		{"GET", "/api/me", "", []string{"Accept", "text/html"}, 401, "Unauthenticated."},
		{"GET", "/api/me", "", nil, 200, "acme"},
		{"GET", "/api/none", "", nil, 404, "could not be found"},
		{"GET", "/elsewhere", "", nil, 404, "Not Found"},
		{"GET", "/api/flow/agents", "", nil, 200, "Diego Sosa"},
		{"GET", "/api/flow/inbound-webhooks", "", nil, 200, account.Settings["inbound_webhook"]},
		{"GET", "/api/subscribers?limit=1", "", nil, 200, c.NS},
		{"GET", "/api/subscriber/get-info?user_ns=f1u1", "", nil, 400, `{"message":"User not found."}`},
		{"GET", "/api/subscriber/chat-messages?user_ns=" + c.NS + "&limit=500", "", nil, 422, "between 1 and 100"},
		{"POST", "/api/subscriber/create", `{"phone":"+54 9 11 5555 1234","first_name":"Ana"}`, nil, 200, `"user_id":"5491155551234"`},
		{"PUT", "/api/subscriber/update", user + `,"name":"Otra"}`, nil, 200, `"name":"Otra"`},
		{"POST", "/api/flow/create-tag", `{"name":"nueva"}`, nil, 200, "nueva"},
		{"POST", "/api/subscriber/send-text", user + `,"text":"wrong key"}`, nil, 422, "content field"},
		{"POST", "/api/subscriber/add-tags-by-name", user + `,"data":["venta"]}`, nil, 422, "must be an array"},
		{"POST", "/api/subscriber/remove-tags-by-name", user + `,"data":[{"tag_name":"venta"}]}`, []string{"X-HTTP-Method-Override", "DELETE"}, 200, "ok"},
		{"POST", "/api/subscriber/remove-tags-by-name", user + `}`, nil, 404, "could not be found"},
		{"POST", "/api/subscriber/send-content", user + `,"data":{"version":"v2"}}`, nil, 422, "v1"},
		{"POST", "/api/iwh/ffff", `{}`, nil, 404, "webhook"},
	} {
		status, body := ask(tt.method, tt.path, tt.body, tt.header...)
		require.Equal(t, tt.status, status, "%s %s: %s", tt.method, tt.path, body)
		require.Contains(t, body, tt.want)
	}
}
