package host_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/trace"
)

// A line that a plugin logs in a call is found by the call's number, which the
// host's own line has too, in the trace of whoever asked.
func TestTraceCrossesTheBoundary(t *testing.T) {
	t.Parallel()

	var mu sync.Mutex
	calls := map[string]trace.Context{}
	lines := &log{}
	h := echo(t, host.Config{Logger: lines.logger(), LogLevel: "debug", OnCall: func(c host.Call) {
		mu.Lock()
		defer mu.Unlock()
		calls[c.Method] = c.Trace
	}})
	parent := trace.New()
	ctx := trace.With(t.Context(), parent)
	c := remote(t, h)
	_, err := c.Channel.Send(ctx, text(installation("i", 1, "a", "token-1234"), "say something"))
	require.NoError(t, err)
	_, err = c.Channel.Send(t.Context(), text(installation("i", 1, "a", "token-1234"), "fail"))
	require.NoError(t, err)
	stream, err := c.Voice.Synthesize(ctx, &pluginv1.SynthesizeRequest{Installation: installation("i", 1, "a", "token-1234"), Text: "panic"})
	require.NoError(t, err)
	for err == nil {
		_, err = stream.Recv()
	}

	// found has the lines with a message, by the trace that they are in.
	found := func(message string) map[string]string {
		out := map[string]string{}
		for line := range strings.Lines(lines.String()) {
			var l struct{ Msg, Trace, Call, Method string }
			if json.Unmarshal([]byte(line), &l) == nil && l.Msg == message && l.Trace != "" {
				out[l.Trace] = l.Call
			}
		}
		return out
	}
	require.Eventually(t, func() bool {
		return len(found("say something")) == 1 && len(found("the plugin failed")) == 1 && len(found("the plugin crashed in a call")) == 1
	}, 10*time.Second, time.Millisecond, "%s", lines)
	said := found("say something")[parent.TraceID()]
	require.NotEmpty(t, said, "another trace")
	require.NotEqual(t, parent.CallID(), said, "a call of its own")
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, calls["Send"].CallID(), found("the plugin failed")[calls["Send"].TraceID()])
	require.NotEqual(t, parent.Trace, calls["Send"].Trace, "who has no trace gets a new one")
	require.Equal(t, parent.Trace, calls["Synthesize"].Trace)
	require.Equal(t, calls["Synthesize"].CallID(), found("the plugin crashed in a call")[parent.TraceID()])
	require.Contains(t, lines.String(), `"msg":"plugin called","trace":"`+parent.TraceID()+`","call":"`+said+`"`)
}
