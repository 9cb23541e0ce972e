package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/elevenlabs/simulator"
	simulation "github.com/stratohub/strato/sdk/simulator"
	"github.com/stratohub/strato/sdk/webhook"
)

// bundle is a simulator with the agency acme, and what its webhook got.
type bundle struct {
	*simulator.Simulator
	t        *testing.T
	base     string
	settings map[string]string
	front    string

	mu     sync.Mutex
	status int
	got    []delivery
}

type delivery struct {
	signature string
	body      []byte
	event     struct {
		Type string         `json:"type"`
		Data map[string]any `json:"data"`
	}
}

func setup(t *testing.T, o simulator.Options, f simulator.Faults) *bundle {
	t.Helper()

	if o.Ring == 0 {
		o.Ring, o.Talk, o.Process = time.Millisecond, time.Millisecond, time.Millisecond
	}
	s, err := simulator.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	s.SetFaults(f)
	b := &bundle{Simulator: s, t: t, status: http.StatusOK}
	api := httptest.NewServer(s.Handler())
	t.Cleanup(api.Close)
	front := httptest.NewServer(http.HandlerFunc(b.take))
	t.Cleanup(front.Close)
	b.base, b.front = api.URL, front.URL
	account, err := s.Account(simulation.AccountRequest{Label: "acme", WebhookURL: front.URL})
	require.NoError(t, err)
	b.settings = account.Settings
	return b
}

func (b *bundle) take(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d := delivery{signature: r.Header.Get("ElevenLabs-Signature"), body: body}
	_ = json.Unmarshal(body, &d.event)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, d)
	w.WriteHeader(b.status)
}

func (b *bundle) deliveries() []delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]delivery{}, b.got...)
}

// ask makes a request with the agency's key, and reads the answer.
func (b *bundle) ask(method, path string, body any) (int, map[string]any, http.Header) {
	b.t.Helper()

	raw, err := json.Marshal(body)
	require.NoError(b.t, err)
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, bytes.NewReader(raw))
	require.NoError(b.t, err)
	req.Header.Set("xi-api-key", b.settings["api_key"])
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	var out map[string]any
	_ = json.Unmarshal(answer, &out)
	return resp.StatusCode, out, resp.Header
}

func (b *bundle) dial(number string) string {
	b.t.Helper()

	status, answer, _ := b.ask("POST", "/v1/convai/twilio/outbound-call", map[string]any{
		"agent_id": b.settings["agent_id"], "agent_phone_number_id": b.settings["agent_phone_number_id"], "to_number": number,
	})
	require.Equal(b.t, http.StatusOK, status)
	return answer["conversation_id"].(string)
}

func TestSpeechHeaders(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{}, simulator.Faults{})
	for _, path := range []string{"", "/stream"} {
		status, _, header := b.ask("POST", "/v1/text-to-speech/"+b.settings["voice_id"]+path, map[string]any{"text": "Hola"})
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "4", header.Get("character-cost"))
		require.Equal(t, "1", header.Get("current-concurrent-requests"))
		require.Equal(t, "5", header.Get("maximum-concurrent-requests"))
		require.Equal(t, "audio/mpeg", header.Get("content-type"), "MP3 unless asked otherwise")
		require.NotEmpty(t, header.Get("request-id"))
	}
	status, answer, _ := b.ask("POST", "/v1/text-to-speech/"+b.settings["voice_id"], map[string]any{})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "Field required", answer["detail"].([]any)[0].(map[string]any)["msg"])
	_, plan, _ := b.ask("GET", "/v1/user/subscription", nil)
	require.InDelta(t, 8, plan["character_count"], 0)
}

func TestErrorShapes(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults simulator.Faults
		want   any
	}{
		"classic": {simulator.Faults{ErrorStatus: "system_busy"}, map[string]any{"status": "system_busy", "message": "The system is experiencing heavy traffic, please try again."}},
		"plain":   {simulator.Faults{ErrorStatus: "system_busy", PlainErrors: true}, "The system is experiencing heavy traffic, please try again."},
	} {
		b := setup(t, simulator.Options{}, tt.faults)
		status, answer, _ := b.ask("POST", "/v1/text-to-speech/"+b.settings["voice_id"], map[string]any{"text": "Hola"})
		require.Equal(t, http.StatusTooManyRequests, status, name)
		require.Equal(t, tt.want, answer["detail"], name)
	}
	for _, f := range []simulator.Faults{{ErrorStatus: "too_many_concurrent_requests"}, {ErrorStatus: "quota_exceeded", NewErrors: true}} {
		b := setup(t, simulator.Options{}, f)
		_, answer, _ := b.ask("POST", "/v1/text-to-speech/"+b.settings["voice_id"], map[string]any{"text": "Hola"})
		require.Equal(t, f.ErrorStatus, answer["detail"].(map[string]any)["status"])
		require.NotEmpty(t, answer["detail"].(map[string]any)["code"])
	}
}

func TestTimesLimitsSwitches(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{}, simulator.Faults{HTTPStatus: 503, Times: 2})
	var got []int
	for range 3 {
		status, _, _ := b.ask("POST", "/v1/text-to-speech/"+b.settings["voice_id"], map[string]any{"text": "Hola"})
		got = append(got, status)
	}
	require.Equal(t, []int{503, 503, 200}, got)
}

func TestKeys(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{}, simulator.Faults{})
	b.settings["api_key"] = "sk_of_nobody"
	status, answer, _ := b.ask("GET", "/v2/voices", nil)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "invalid_api_key", answer["detail"].(map[string]any)["status"])
	b = setup(t, simulator.Options{}, simulator.Faults{})
	status, _, _ = b.ask("GET", "/v1/nothing", nil)
	require.Equal(t, http.StatusNotFound, status)
}

// A call goes its way: initiated, in progress, processing, done.
func TestCallTakesItsTime(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{Ring: 30 * time.Millisecond, Talk: 30 * time.Millisecond, Process: 30 * time.Millisecond}, simulator.Faults{})
	id := b.dial("+5491160001234")
	rank := map[string]int{"initiated": 0, "in-progress": 1, "processing": 2, "done": 3}
	last := 0
	require.Eventually(t, func() bool {
		_, c, _ := b.ask("GET", "/v1/convai/conversations/"+id, nil)
		now, known := rank[c["status"].(string)]
		require.True(t, known)
		require.GreaterOrEqual(t, now, last, "never back")
		require.Equal(t, now == 3, c["analysis"] != nil, "null until it is done")
		last = now
		return now == 3
	}, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return len(b.deliveries()) == 1 }, 10*time.Second, time.Millisecond)
	_, list, _ := b.ask("GET", "/v1/convai/conversations", nil)
	require.Len(t, list["conversations"], 1)
	calls, err := b.Messages("acme", "5491160001234")
	require.NoError(t, err)
	require.Equal(t, "done", calls[0].Status)
	_, err = b.Messages("nobody", "")
	require.Error(t, err)
}

func TestSignatures(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults simulator.Faults
		secret func(b *bundle) string
		count  int
	}{
		"the agency's own":   {simulator.Faults{}, func(b *bundle) string { return b.settings["webhook_secret"] }, 1},
		"two, one is right":  {simulator.Faults{TwoSignatures: true}, func(b *bundle) string { return b.settings["webhook_secret"] }, 2},
		"a shared workspace": {simulator.Faults{SharedWorkspace: true}, func(*bundle) string { return simulator.Workspace() }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, simulator.Options{}, tt.faults)
			said, err := b.Say(t.Context(), []byte(`{"to":"acme","text":"hola"}`))
			require.NoError(t, err)
			require.Equal(t, 200, said.Status)
			d := b.deliveries()[0]
			parts := strings.Split(d.signature, ",")
			require.Len(t, parts, 1+tt.count)
			stamp := strings.TrimPrefix(parts[0], "t=")
			want := "v0=" + webhook.SignHMACSHA256(tt.secret(b), append([]byte(stamp+"."), d.body...))
			require.Equal(t, want, parts[tt.count])
		})
	}
}

// A webhook that fails all the time is switched off; one that worked lately is not.
func TestWebhookIsSwitchedOff(t *testing.T) {
	t.Parallel()

	for _, worked := range []bool{false, true} {
		b := setup(t, simulator.Options{}, simulator.Faults{})
		say := func() simulation.Said {
			said, err := b.Say(t.Context(), []byte(`{"to":"acme","text":"hola"}`))
			require.NoError(t, err)
			return said
		}
		if worked {
			require.Equal(t, 200, say().Status)
		}
		b.status = http.StatusInternalServerError
		for range 10 {
			require.Equal(t, 500, say().Status)
		}
		b.status = http.StatusOK
		require.Equal(t, worked, say().Status == 200)
		// Entering the address switches it on again.
		_, err := b.Account(simulation.AccountRequest{Label: "acme", WebhookURL: b.front})
		require.NoError(t, err)
		require.Equal(t, 200, say().Status)
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{}, simulator.Faults{})
	body := []byte(`{"type":"call_initiation_failure","data":{"agent_id":"agent_x","conversation_id":"c"}}`)
	for asIs, want := range map[bool]string{true: "agent_x", false: b.settings["agent_id"]} {
		said, err := b.Replay(t.Context(), "acme", asIs, body)
		require.NoError(t, err)
		require.Equal(t, 200, said.Status)
		all := b.deliveries()
		require.Equal(t, want, all[len(all)-1].event.Data["agent_id"])
	}
	_, err := b.Replay(t.Context(), "acme", false, []byte("no JSON"))
	require.Error(t, err)
	_, err = b.Replay(t.Context(), "nobody", false, body)
	require.Error(t, err)
}

// Calls and accounts outlive a run.
func TestStateIsKept(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "state.json")
	first, err := simulator.New(simulator.Options{State: path})
	require.NoError(t, err)
	_, err = first.Account(simulation.AccountRequest{Label: "acme"})
	require.NoError(t, err)
	said, err := first.Say(t.Context(), []byte(`{"to":"acme","text":"hola"}`))
	require.NoError(t, err)
	require.Equal(t, "the agency has no webhook address", said.Detail)
	require.NoError(t, first.Close())
	second, err := simulator.New(simulator.Options{State: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, second.Close()) })
	calls, err := second.Messages("acme", "")
	require.NoError(t, err)
	require.Len(t, calls, 1)
}

func TestWords(t *testing.T) {
	t.Parallel()

	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		code := simulator.Program().Run(context.Background(), simulation.Surroundings{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}, args)
		return code, out.String()
	}
	code, out := run("say", "--to", "acme")
	require.Equal(t, 2, code, out)
	code, out = run("help")
	require.Equal(t, 0, code)
	require.Contains(t, out, "ElevenLabs")
	// Every switch is explained.
	_, out = run("faults", "--help")
	raw, err := json.Marshal(simulator.Faults{})
	require.NoError(t, err)
	var switches map[string]any
	require.NoError(t, json.Unmarshal(raw, &switches))
	for name := range switches {
		if name != "times" {
			require.Contains(t, out, "\n  "+name, name)
		}
	}
}
