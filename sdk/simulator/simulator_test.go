package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/simulator"
)

// fake is the smallest provider there is.
type fake struct {
	faults simulator.Switches[switches]
	closed atomic.Bool
	status int
}

type switches struct {
	Loud bool     `json:"loud"`
	List []string `json:"list"`
}

func (f *fake) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "the provider")
}
func (f *fake) Account(r simulator.AccountRequest) (simulator.Account, error) {
	return simulator.Account{Label: r.Label, Settings: map[string]string{"token": "of " + r.Label}}, nil
}
func (f *fake) Say(_ context.Context, raw json.RawMessage) (simulator.Said, error) {
	if strings.Contains(string(raw), "nobody") {
		return simulator.Said{}, simulator.Refuse(http.StatusNotFound, "There is nobody.")
	}
	return simulator.Said{MessageID: "m1", Status: f.status}, nil
}
func (f *fake) Replay(_ context.Context, to string, asIs bool, body []byte) (simulator.Said, error) {
	if asIs {
		return simulator.Said{Status: 200, MessageID: to + " " + string(body)}, nil
	}
	return simulator.Said{Detail: "connection refused"}, nil
}
func (f *fake) Messages(account, phone string) ([]simulator.Message, error) {
	if account != "acme" {
		return nil, errors.New("broken")
	}
	if phone == "none" {
		return nil, nil
	}
	return []simulator.Message{
		{ID: "1", Direction: simulator.Inbound, Phone: "+1", Name: "Ana", Type: "text", Text: "hola\nqué tal", Status: "sent"},
		{ID: "2", Direction: simulator.Outbound, Phone: "+1", Type: "image", Text: "frente", Status: "failed", Error: "too large"},
		{ID: "3", Direction: simulator.Outbound, Phone: "+2", Type: "text", Text: "chau", Status: "read"},
	}, nil
}
func (f *fake) Faults() simulator.Faults { return &f.faults }
func (f *fake) Close() error             { f.closed.Store(true); return nil }

func TestControl(t *testing.T) {
	t.Parallel()

	f := &fake{status: 200}
	srv := httptest.NewServer(simulator.Handler(f))
	t.Cleanup(srv.Close)
	c := simulator.NewClient(srv.URL)

	a, err := c.Account(t.Context(), simulator.AccountRequest{Label: "acme"})
	require.NoError(t, err)
	require.Equal(t, "of acme", a.Settings["token"])
	_, err = c.Account(t.Context(), simulator.AccountRequest{Label: "../Acme"})
	require.ErrorContains(t, err, "label")

	said, err := c.Say(t.Context(), map[string]string{"to": "acme"})
	require.NoError(t, err)
	require.Equal(t, "m1", said.MessageID)
	_, err = c.Say(t.Context(), map[string]string{"to": "nobody"})
	require.EqualError(t, err, "There is nobody.")
	_, err = c.Messages(t.Context(), "other", "")
	require.EqualError(t, err, "broken")
	list, err := c.Messages(t.Context(), "acme", "none")
	require.NoError(t, err)
	require.Empty(t, list)

	said, err = c.Replay(t.Context(), "acme", true, []byte("raw"))
	require.NoError(t, err)
	require.Equal(t, "acme raw", said.MessageID)

	resp, err := srv.Client().Get(srv.URL + "/v1/anything")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "the provider", string(body))
}

func TestControlIsForThisMachine(t *testing.T) {
	t.Parallel()

	h := simulator.Handler(&fake{})
	for name, tt := range map[string]struct {
		host, origin string
		want         int
	}{
		"from here":         {"127.0.0.1:80", "", 200},
		"by name":           {"localhost:80", "", 200},
		"over IPv6":         {"[::1]:80", "", 200},
		"from a page":       {"127.0.0.1:80", "https://evil.example", 403},
		"by a foreign name": {"evil.example:80", "", 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/_simulator/faults", nil)
			r.Host = tt.host
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tt.want, w.Code)
		})
	}
	_, err := simulator.Start(t.Context(), &fake{}, "0.0.0.0:0")
	require.ErrorContains(t, err, "this machine only")
}

func TestSwitches(t *testing.T) {
	t.Parallel()

	f := &fake{}
	srv := httptest.NewServer(simulator.Handler(f))
	t.Cleanup(srv.Close)
	c := simulator.NewClient(srv.URL)
	var now switches

	require.NoError(t, c.SetFaults(t.Context(), map[string]any{"loud": true}, &now))
	require.NoError(t, c.SetFaults(t.Context(), map[string]any{"list": []string{"a"}}, &now))
	require.Equal(t, switches{Loud: true, List: []string{"a"}}, now)
	require.ErrorContains(t, c.SetFaults(t.Context(), map[string]any{"loudd": false}, &now), "loudd")
	require.ErrorContains(t, c.SetFaults(t.Context(), map[string]any{"list": []string{"b"}, "loud": 7}, &now), "loud")
	require.NoError(t, c.Faults(t.Context(), &now))
	require.Equal(t, switches{Loud: true, List: []string{"a"}}, now, "a wrong patch turns nothing")
	require.NoError(t, c.ClearFaults(t.Context()))
	require.Zero(t, f.faults.Load())
}

func TestScheduler(t *testing.T) {
	t.Parallel()

	s := simulator.NewScheduler()
	var late, ended atomic.Bool
	started := make(chan struct{})
	s.After(0, func(ctx context.Context) {
		close(started)
		<-ctx.Done()
		ended.Store(true)
	})
	s.After(time.Hour, func(context.Context) { late.Store(true) })
	<-started
	require.False(t, s.Idle())
	s.Close()
	require.True(t, ended.Load(), "Close waits for what runs")
	s.After(0, func(context.Context) { late.Store(true) })
	require.True(t, s.Idle())
	require.False(t, late.Load())
}

func TestState(t *testing.T) {
	t.Parallel()

	type value struct{ N int }
	path := filepath.Join(t.TempDir(), "state.json")
	s, err := simulator.OpenState(path, value{N: 1})
	require.NoError(t, err)
	s.Change(func(v *value) { v.N++ })
	require.Eventually(t, func() bool { _, err := os.Stat(path); return err == nil }, 5*time.Second, 5*time.Millisecond,
		"changes are saved without Close")
	s.Change(func(v *value) { v.N++ })
	require.NoError(t, s.Close())

	s, err = simulator.OpenState(path, value{})
	require.NoError(t, err)
	s.View(func(v *value) { require.Equal(t, 3, v.N) })
	require.NoError(t, s.Close())
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".simulator-*"))
	require.NoError(t, err)
	require.Empty(t, left)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err = simulator.OpenState(path, value{})
	require.ErrorContains(t, err, "remove the file")

	gone, err := simulator.OpenState(filepath.Join(t.TempDir(), "no", "such", "folder"), value{})
	require.NoError(t, err)
	gone.Change(func(v *value) { v.N++ })
	require.ErrorContains(t, gone.Close(), "save the simulator's state")
}

func TestSenderRetries(t *testing.T) {
	t.Parallel()

	var posts atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if posts.Add(1) < 4 || string(body) != "exact bytes" || r.Header.Get("X-Sign") != "yes" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(srv.Close)
	schedule := simulator.NewScheduler()
	t.Cleanup(schedule.Close)
	s := simulator.NewSender(schedule)
	t.Cleanup(s.Close)
	s.FirstRetry = time.Millisecond
	d := simulator.Delivery{URL: srv.URL + "/secret-token", Header: http.Header{"X-Sign": {"yes"}}, Body: []byte("exact bytes")}

	status, err := s.Deliver(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Eventually(t, func() bool { return posts.Load() == 4 && schedule.Idle() }, 5*time.Second, time.Millisecond)
	require.Never(t, func() bool { return posts.Load() > 4 }, 20*time.Millisecond, time.Millisecond, "what was taken is not posted again")

	s.Attempts = 2
	posts.Store(-100)
	s.Enqueue(0, d)
	require.Eventually(t, func() bool { return posts.Load() == -98 && schedule.Idle() }, 5*time.Second, time.Millisecond)

	srv.Close()
	_, err = s.Deliver(t.Context(), d)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret-token")
}

// command runs words with the simulator that a file announces.
func command(t *testing.T, p simulator.Program, announced string, stdin string, words ...string) (code int, stdout, stderr string) {
	t.Helper()

	var out, errs bytes.Buffer
	code = p.Run(t.Context(), simulator.Surroundings{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Announced: announced}, words)
	return code, out.String(), errs.String()
}

func TestProgram(t *testing.T) {
	t.Parallel()

	f := &fake{status: 200}
	p := simulator.Program{Name: "fake", Title: "Fake", New: func(string) (simulator.Provider, error) { return f, nil }, FaultHelp: "loud"}
	server, err := simulator.Start(t.Context(), f, "127.0.0.1:0")
	require.NoError(t, err)
	announced := filepath.Join(t.TempDir(), "fake.json")
	require.NoError(t, os.WriteFile(announced, server.Line(), 0o600))
	body := filepath.Join(t.TempDir(), "body.json")
	require.NoError(t, os.WriteFile(body, []byte("{}"), 0o600))

	for name, tt := range map[string]struct {
		words  []string
		stdin  string
		code   int
		stdout string
		stderr string
	}{
		"help":              {nil, "", 0, "serve", ""},
		"help of a word":    {[]string{"replay", "--help"}, "", 0, "Usage: strato simulate fake replay", ""},
		"no such word":      {[]string{"shout"}, "", 2, "", `There is no word "shout"`},
		"messages":          {[]string{"messages", "--to", "acme"}, "", 0, "me    hola qué tal", ""},
		"messages as JSON":  {[]string{"messages", "--to", "acme", "--json"}, "", 0, `"text": "frente"`, ""},
		"no messages":       {[]string{"messages", "--to", "acme", "--from", "none"}, "", 0, "Nobody has written", ""},
		"messages of none":  {[]string{"messages"}, "", 2, "", "Messages needs --to AGENCY"},
		"replay":            {[]string{"replay", body, "--to", "acme", "--as-is"}, "", 0, "acme {} was taken: HTTP 200.", ""},
		"replay stdin":      {[]string{"replay", "--as-is", "--to", "acme", "-"}, "from stdin", 0, "from stdin", ""},
		"replay unanswered": {[]string{"replay", "--to", "acme", body}, "", 1, "", "The webhook got no answer; is Strato running? (connection refused)."},
		"replay nothing":    {[]string{"replay", "--to", "acme", body + "x"}, "", 1, "", "no such file"},
		"replay two":        {[]string{"replay", "--to", "acme", body, body}, "", 2, "", "one FILE"},
		"bad flag":          {[]string{"replay", "--too", "acme"}, "", 2, "", "-too"},
		"faults wrong":      {[]string{"faults", "quiet"}, "", 1, "", "quiet"},
		"faults none":       {[]string{"faults", "=x"}, "", 2, "", "SWITCH=VALUE"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := command(t, p, announced, tt.stdin, tt.words...)
			require.Equal(t, tt.code, code, stdout+stderr)
			require.Contains(t, stdout, tt.stdout)
			require.Contains(t, stderr, tt.stderr)
		})
	}

	code, stdout, _ := command(t, p, announced, "", "faults", "loud", `list=["a","b"]`)
	require.Zero(t, code)
	require.Equal(t, "list=[\"a\",\"b\"]\nloud=true\n", stdout)
	_, stdout, _ = command(t, p, announced, "", "faults", "--clear")
	require.Equal(t, "All switches are off.\n", stdout)

	require.NoError(t, server.Stop())
	require.True(t, f.closed.Load())
	code, _, stderr := command(t, p, announced, "", "messages", "--to", "acme")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "is the demo still running?")
	for _, path := range []string{"", filepath.Join(t.TempDir(), "none"), body} {
		code, _, stderr = command(t, p, path, "", "messages", "--to", "acme")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "make run")
	}
}

// TestServe runs serve until stdin closes, as the demo does.
func TestServe(t *testing.T) {
	t.Parallel()

	f := &fake{status: 200}
	p := simulator.Program{Name: "fake", Title: "Fake", New: func(state string) (simulator.Provider, error) {
		if state == "broken" {
			return nil, errors.New("the state is broken")
		}
		return f, nil
	}}
	stdin, lifeline := io.Pipe()
	line, stdout := io.Pipe()
	announced := filepath.Join(t.TempDir(), "fake.json")
	code := make(chan int, 1)
	go func() {
		code <- p.Run(t.Context(), simulator.Surroundings{Stdin: stdin, Stdout: stdout, Stderr: io.Discard}, []string{"serve", "--announce", announced})
	}()
	var a simulator.Announcement
	require.NoError(t, json.NewDecoder(line).Decode(&a))
	require.Equal(t, "http://"+a.Addr, a.BaseURL)
	c, err := simulator.FindClient(announced)
	require.NoError(t, err)
	_, err = c.Say(t.Context(), map[string]string{})
	require.NoError(t, err)
	require.NoError(t, lifeline.Close())
	require.Zero(t, <-code)
	require.True(t, f.closed.Load())

	got, _, stderr := command(t, p, "", "", "serve", "--state", "broken")
	require.Equal(t, 1, got)
	require.Contains(t, stderr, "The state is broken.")
	got, _, stderr = command(t, p, "", "", "serve", "--addr", "192.0.2.1:1")
	require.Equal(t, 1, got)
	require.Contains(t, stderr, "this machine only")
}

func TestReport(t *testing.T) {
	t.Parallel()

	var b bytes.Buffer
	require.NoError(t, simulator.Report(&b, "The message", simulator.Said{MessageID: "m", Status: 200}))
	require.NoError(t, simulator.Report(&b, "The message", simulator.Said{MessageID: "m", Detail: simulator.Batched}))
	require.Equal(t, "The message m was taken: HTTP 200.\nThe message m waits for others to go with.\n", b.String())
	for status, words := range map[int]string{401: "signature", 404: "address", 503: "posted again", 400: "documents", 413: "too large", 500: "HTTP 500"} {
		require.ErrorContains(t, simulator.Report(&b, "The message", simulator.Said{Status: status}), words)
	}
	require.ErrorContains(t, simulator.Report(&b, "The message", simulator.Said{}), "no answer")
}
