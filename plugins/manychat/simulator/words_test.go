package simulator_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/manychat/simulator"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

// TestWords drives a running simulator by the command line.
func TestWords(t *testing.T) {
	t.Parallel()

	b := setup(t)
	announced := filepath.Join(t.TempDir(), "manychat.json")
	require.NoError(t, os.WriteFile(announced, []byte(`{"base_url":"`+b.base+`"}`), 0o600))
	run := func(stdin string, words ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := simulator.Program().Run(t.Context(), simulation.Surroundings{
			Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Announced: announced,
		}, words)
		return code, out.String(), errs.String()
	}

	for _, tt := range []struct{ words, want string }{
		{"say --to acme Hola, vi el depto", `"last_input_text":"Hola, vi el depto"`},
		{"say Hola --to acme --from +5491155550000 --name Bruno", `"name":"Bruno"`},
		{"say --to acme --channel instagram Hola", `"channel":"instagram"`},
		{"say --to acme --media frente.jpg", `"last_input_text":""`},
		{"say --to acme --event contact", `"event":"contact"`},
	} {
		code, out, errs := run("", strings.Fields(tt.words)...)
		require.Zero(t, code, errs)
		require.Regexp(t, `^The message line\.\S+ was taken: HTTP 200\.\n$`, out)
		require.Contains(t, b.last(), tt.want)
	}
	code, out, _ := run("", "messages", "--to", "acme", "--from", "+54 9 11 5555-0000")
	require.Zero(t, code)
	require.Contains(t, out, "The phone +5491155550000 (Bruno), its chat with acme:")

	// The words of a real step, put into the agency's name.
	replayed := `{"strato":{"v":1,"channel":"whatsapp"},"contact":{"id":"1402558891","page_id":"104455667788990","name":"Lucía",` +
		`"last_input_text":"¿Sigue?","whatsapp_phone":"+5491155550142"}}`
	file := filepath.Join(t.TempDir(), "step.json")
	require.NoError(t, os.WriteFile(file, []byte(replayed), 0o600))
	code, out, errs := run("", "replay", "--to", "acme", file)
	require.Zero(t, code, errs)
	require.Contains(t, out, "HTTP 200")
	require.NotContains(t, b.last(), "104455667788990")
	code, _, errs = run("", "replay", "--to", "acme", "--as-is", file)
	require.Zero(t, code, errs)
	require.Equal(t, replayed, b.last())
	list, err := b.Messages("acme", "+5491155550142")
	require.NoError(t, err)
	require.Len(t, list, 1)

	for words, want := range map[string]string{
		"say Hola":                      "Say needs --to AGENCY.",
		"say --to acme":                 "Say what to write",
		"say --to acme --from hola x":   `"hola" is not a phone number`,
		"say --to acme --channel fax x": "no channel",
		"say --to sur Hola":             `ManyChat knows no agency "sur"`,
		"faults no_such_switch":         "no_such_switch",
	} {
		code, out, errs := run("", strings.Fields(words)...)
		require.NotZero(t, code, words)
		require.Empty(t, out)
		require.Contains(t, errs, want)
	}
}

// bundle is a simulator with the agency acme, whose steps are kept.
type bundle struct {
	*simulator.Simulator
	base     string
	settings map[string]string
	last     func() string
}

func setup(t *testing.T) *bundle {
	t.Helper()

	b := &bundle{}
	s, err := simulator.New(simulator.Options{
		State: filepath.Join(t.TempDir(), "state.json"),
		Now:   func() time.Time { return time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC) },
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	b.Simulator = s
	provider := httptest.NewServer(s.Handler())
	t.Cleanup(provider.Close)
	bodies := make(chan string, 100)
	front := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		bodies <- body.String()
	}))
	t.Cleanup(front.Close)
	b.last = func() string {
		var body string
		for {
			select {
			case body = <-bodies:
			default:
				return body
			}
		}
	}
	a, err := s.Account(simulation.AccountRequest{Label: "acme", WebhookURL: front.URL})
	require.NoError(t, err)
	b.base, b.settings = provider.URL, a.Settings
	return b
}

func accountRequest(label, url string) simulation.AccountRequest {
	return simulation.AccountRequest{Label: label, WebhookURL: url}
}
