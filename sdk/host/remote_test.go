package host_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// remote is the clients of the test plugin, for as long as the test.
func remote(t *testing.T, h *host.Host) *host.Clients {
	t.Helper()
	c, release, err := h.Acquire(t.Context(), "echo")
	require.NoError(t, err)
	t.Cleanup(release)
	return c
}

func TestSpeech(t *testing.T) {
	t.Parallel()

	var mu sync.Mutex
	var done []host.Call
	h := echo(t, host.Config{OnCall: func(c host.Call) {
		mu.Lock()
		defer mu.Unlock()
		if c.Method == "Synthesize" {
			done = append(done, c)
		}
	}})
	s := remote(t, h).Speaker(installation("i", 1, "norte", "token-1234"))

	audio, err := s.Synthesize(t.Context(), sdk.Speech{Text: "100000", VoiceID: "ana"})
	require.NoError(t, err)
	require.Equal(t, sdk.AudioHead{MIMEType: "audio/ogg", SampleRate: 48_000, ProviderRequestID: "norte/ana"}, audio.Head)
	heard, err := io.ReadAll(audio.Body)
	require.NoError(t, err)
	require.Len(t, heard, 100_000)
	for i := range heard {
		if heard[i] != byte(i%251) {
			t.Fatalf("byte %d is %d", i, heard[i])
		}
	}
	require.Equal(t, sdk.AudioTail{Duration: time.Second, BilledUnits: 6, Unit: "character"}, audio.Tail())
	require.NoError(t, audio.Body.Close())
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, done, 1)
	require.Equal(t, codes.OK, done[0].Code)
	require.Equal(t, "tenant-of-i", done[0].Tenant)
}

// What the plugin counts comes with the SDK's own figures.
func TestPluginsMetrics(t *testing.T) {
	t.Parallel()

	c := remote(t, echo(t, host.Config{}))
	for _, who := range []string{"i", "j"} {
		audio, err := c.Speaker(installation(who, 1, "a", "token-1234")).Synthesize(t.Context(), sdk.Speech{Text: "100", VoiceID: "ana"})
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, audio.Body)
		require.NoError(t, err)
	}
	m, err := c.Provider.CollectMetrics(t.Context(), &pluginv1.CollectMetricsRequest{})
	require.NoError(t, err)
	require.Contains(t, string(m.GetPrometheusText()), "# HELP characters_total Characters spoken.\n# TYPE characters_total counter\ncharacters_total{voice=\"ana\"} 6\n")
	require.Contains(t, string(m.GetPrometheusText()), "instances 2\n")
}

// The order of the parts and the size of the chunks, as they travel.
func TestSpeechOnTheWire(t *testing.T) {
	t.Parallel()

	c := remote(t, echo(t, host.Config{}))
	for text, want := range map[string][]string{
		"40000":       {"head", "16384", "16384", "7232", "tail"},
		"0":           {"head", "tail"},
		"break 20000": {"head", "16384", "3616", "FAILURE_CODE_QUOTA_EXHAUSTED"},
		"nonsense":    {"FAILURE_CODE_INVALID_REQUEST"},
		"nobody":      {"FAILURE_CODE_TEMPORARY"},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()

			stream, err := c.Voice.Synthesize(t.Context(), &pluginv1.SynthesizeRequest{
				Installation: installation("i", 1, "a", "token-1234"), Text: text,
			})
			require.NoError(t, err)
			require.Equal(t, want, parts(t, stream.Recv))
		})
	}
}

// parts reads a stream to its end and names what came.
func parts(t *testing.T, recv func() (*pluginv1.SynthesizeResponse, error)) []string {
	t.Helper()
	var out []string
	for {
		m, err := recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		switch p := m.GetPart().(type) {
		case *pluginv1.SynthesizeResponse_Head:
			out = append(out, "head")
		case *pluginv1.SynthesizeResponse_Chunk:
			out = append(out, strconv.Itoa(len(p.Chunk)))
		case *pluginv1.SynthesizeResponse_Tail:
			out = append(out, "tail")
		case *pluginv1.SynthesizeResponse_Failure:
			out = append(out, p.Failure.GetCode().String())
		}
	}
}

func TestSpeechFailures(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	s := remote(t, h).Speaker(installation("i", 1, "a", "token-1234"))

	_, err := s.Synthesize(t.Context(), sdk.Speech{Text: "nonsense"})
	var f *failure.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, failure.InvalidRequest, f.Code)
	require.Equal(t, failure.NotSent, f.Outcome)

	_, err = s.Synthesize(t.Context(), sdk.Speech{Text: "nobody"})
	require.ErrorAs(t, err, &f)
	require.Equal(t, failure.Plugin, f.Blame)
	require.Equal(t, failure.Unknown, f.Outcome, "the provider may have spoken, and charged")

	audio, err := s.Synthesize(t.Context(), sdk.Speech{Text: "break 20000"})
	require.NoError(t, err)
	heard, err := io.ReadAll(audio.Body)
	require.Len(t, heard, 20_000)
	require.ErrorIs(t, err, &failure.Failure{Code: failure.QuotaExhausted})
	require.NoError(t, audio.Body.Close())

	audio, err = s.Synthesize(t.Context(), sdk.Speech{Text: "panic"})
	require.NoError(t, err)
	_, err = io.ReadAll(audio.Body)
	require.Equal(t, codes.Internal, grpcstatus.Code(err))
	require.NoError(t, audio.Body.Close())
	require.Equal(t, 1, status(t, h).Starts, "the process lives on")
	require.Eventually(t, func() bool { return status(t, h).InFlight == 0 }, 10*time.Second, time.Millisecond)
}

// When nobody listens any more, the plugin's work ends, however the listener left.
func TestSpeechIsCancelled(t *testing.T) {
	t.Parallel()

	for _, how := range []string{"listen", "silent"} {
		for _, leave := range []string{"close", "cancel"} {
			t.Run(how+" "+leave, func(t *testing.T) {
				t.Parallel()

				h := echo(t, host.Config{})
				s := remote(t, h).Speaker(installation("i", 1, "a", "token-1234"))
				ended := filepath.Join(t.TempDir(), "ended")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				audio, err := s.Synthesize(ctx, sdk.Speech{Text: how + " " + ended})
				require.NoError(t, err)
				if how == "listen" {
					_, err = io.ReadFull(audio.Body, make([]byte, 50_000))
					require.NoError(t, err)
				}
				require.NoFileExists(t, ended)
				if leave == "close" {
					require.NoError(t, audio.Body.Close())
				} else {
					cancel()
				}
				require.Eventually(t, func() bool { _, err := os.Stat(ended); return err == nil }, 10*time.Second, time.Millisecond)
				require.Eventually(t, func() bool { return status(t, h).InFlight == 0 }, 10*time.Second, time.Millisecond)
				_, err = io.Copy(io.Discard, audio.Body)
				require.Equal(t, codes.Canceled, grpcstatus.Code(err))
			})
		}
	}
}

// Speech that does not begin is given up; speech that has begun may take its time.
func TestSpeechMustBegin(t *testing.T) {
	t.Parallel()

	timing := quick()
	timing.FirstAudio = 2 * time.Second
	var mu sync.Mutex
	var ends []codes.Code
	h := echo(t, host.Config{Timing: timing, OnCall: func(c host.Call) {
		mu.Lock()
		defer mu.Unlock()
		if c.Method == "Synthesize" {
			ends = append(ends, c.Code)
		}
	}})
	s := remote(t, h).Speaker(installation("i", 1, "a", "token-1234"))
	ended := filepath.Join(t.TempDir(), "ended")
	audio, err := s.Synthesize(t.Context(), sdk.Speech{Text: "silent " + ended})
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, audio.Body)
	require.Equal(t, codes.DeadlineExceeded, grpcstatus.Code(err))
	require.Eventually(t, func() bool { _, err := os.Stat(ended); return err == nil }, 10*time.Second, time.Millisecond)
	require.NoError(t, audio.Body.Close())

	audio, err = s.Synthesize(t.Context(), sdk.Speech{Text: "listen " + filepath.Join(t.TempDir(), "ended")})
	require.NoError(t, err)
	_, err = io.ReadFull(audio.Body, make([]byte, 10))
	require.NoError(t, err)
	require.Never(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(ends) > 1 }, 2500*time.Millisecond, 10*time.Millisecond)
	_, err = io.ReadFull(audio.Body, make([]byte, 100_000))
	require.NoError(t, err)
	require.NoError(t, audio.Body.Close())
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, codes.DeadlineExceeded, ends[0])
}

func TestTelephone(t *testing.T) {
	t.Parallel()

	c := remote(t, echo(t, host.Config{})).Caller(installation("i", 1, "a", "token-1234"))
	placed, err := c.PlaceCall(t.Context(), sdk.CallOrder{
		IdempotencyKey: "k", To: sdk.Address{Kind: "phone", Value: "+54911"}, AgentID: "agent", MaxDuration: 3 * time.Minute,
		Variables: map[string]string{"name": "Ana"}, RecordingConsent: true,
	})
	require.NoError(t, err)
	require.Equal(t, "queued", placed.State)
	require.JSONEq(t, `{"IdempotencyKey":"k","To":{"Kind":"phone","Value":"+54911"},"From":{"Kind":"","Value":""},"AgentID":"agent",
		"Variables":{"name":"Ana"},"MaxDuration":180000000000,"RecordingConsent":true}`, placed.ProviderCallID)

	_, err = c.PlaceCall(t.Context(), sdk.CallOrder{AgentID: "busy"})
	var f *failure.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, failure.RateLimited, f.Code)
	require.Equal(t, time.Minute, f.RetryAfter)
	require.Equal(t, failure.NotSent, f.Outcome)

	_, err = c.PlaceCall(t.Context(), sdk.CallOrder{AgentID: "fail"})
	require.ErrorAs(t, err, &f)
	require.Equal(t, failure.Unknown, f.Outcome, "nobody knows whether the telephone rings")
	require.Equal(t, failure.Plugin, f.Blame)
	require.NotContains(t, f.Message, "token-1234")

	require.NoError(t, c.EndCall(t.Context(), "c1"))
	require.ErrorIs(t, c.EndCall(t.Context(), "c2"), &failure.Failure{Code: failure.InvalidRequest})

	u, err := c.GetCall(t.Context(), "c1")
	require.NoError(t, err)
	require.Equal(t, sdk.CallUpdate{ProviderCallID: "c1", State: "completed", Duration: 90 * time.Second, Summary: "wants a house",
		Collected: map[string]string{"rooms": "3"}}, u)
	_, err = c.GetCall(t.Context(), "gone")
	require.ErrorAs(t, err, &f)
	require.Equal(t, failure.NotSent, f.Outcome, "asking does nothing")
}

func TestTemplates(t *testing.T) {
	t.Parallel()

	m := remote(t, echo(t, host.Config{})).Templates(installation("i", 1, "norte", "token-1234"))
	page, next, err := m.ListTemplates(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "two", next)
	require.Equal(t, []sdk.TemplateInfo{{Name: "visit", Language: "es_AR", Status: "approved", Body: []byte(`{"components":[]}`)}}, page)
	page, next, err = m.ListTemplates(t.Context(), next)
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, "high", page[0].Quality)
	_, _, err = m.ListTemplates(t.Context(), "three")
	require.ErrorIs(t, err, &failure.Failure{Code: failure.InvalidRequest})

	made, err := m.SubmitTemplate(t.Context(), "key", sdk.TemplateInfo{Name: "offer", Language: "es", Category: "marketing", Body: []byte(`{}`)})
	require.NoError(t, err)
	require.Equal(t, sdk.TemplateInfo{Name: "offer", Language: "es", Category: "marketing", Body: []byte(`{}`), Status: "pending",
		ProviderID: "norte/key"}, made)
	_, err = m.SubmitTemplate(t.Context(), "key", sdk.TemplateInfo{Name: "bad"})
	require.ErrorIs(t, err, &failure.Failure{Code: failure.Template})

	require.NoError(t, m.DeleteTemplate(t.Context(), "visit", ""))
	require.ErrorContains(t, m.DeleteTemplate(t.Context(), "welcome", "es"), `there is no template welcome in "es"`)
}

func TestLeads(t *testing.T) {
	t.Parallel()

	l := remote(t, echo(t, host.Config{})).Leads(installation("i", 1, "norte", "token-1234"))
	var found []string
	cursor := ""
	for {
		page, err := l.PullLeads(t.Context(), cursor, 2)
		require.NoError(t, err)
		for _, e := range page.Events {
			found = append(found, e.Payload.(sdk.LeadCaptured).ProviderLeadID)
		}
		cursor = page.NextCursor
		if !page.More {
			break
		}
	}
	require.Equal(t, []string{"norte-0", "norte-1", "norte-2", "norte-3", "norte-4"}, found)
	page, err := l.PullLeads(t.Context(), cursor, 2)
	require.NoError(t, err)
	require.Empty(t, page.Events)
	page, err = l.PullLeads(t.Context(), "", 0)
	require.NoError(t, err)
	require.Len(t, page.Events, 5, "no limit asks for the usual one")
	_, err = l.PullLeads(t.Context(), "many", 0)
	require.ErrorIs(t, err, &failure.Failure{Code: failure.Unsupported})
}
