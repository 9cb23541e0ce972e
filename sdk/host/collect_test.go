package host_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// The host tells how its processes are, and what they tell of themselves.
func TestMetricsOfProcesses(t *testing.T) {
	t.Parallel()

	var mu sync.Mutex
	var failures []host.CallFailure
	h := echo(t, host.Config{OnCall: func(c host.Call) {
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, c.Failures...)
	}})
	require.Empty(t, h.CollectMetrics(t.Context()), "none is started to be asked")
	require.Equal(t, host.StateStopped, status(t, h).State)
	_, err := send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
	require.NoError(t, err)
	_, err = send(t.Context(), h, installation("i", 1, "a", "token-1234"), "refuse")
	require.Error(t, err)
	require.Equal(t, "a/1234/later", func() string {
		id, err := send(t.Context(), h, installation("j", 1, "a", "token-1234"), "later")
		require.NoError(t, err)
		return id
	}())
	c := remote(t, h)
	stream, err := c.Voice.Synthesize(t.Context(), &pluginv1.SynthesizeRequest{Installation: installation("i", 1, "a", "token-1234"), Text: "no number"})
	require.NoError(t, err)
	for err == nil {
		_, err = stream.Recv()
	}
	func() {
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, []host.CallFailure{{Code: "rate_limited", Blame: "provider"}, {Code: "invalid_request", Blame: "plugin"}}, failures)
	}()

	all := h.CollectMetrics(t.Context())
	require.Len(t, all, 1)
	require.NoError(t, all[0].Err)
	require.Equal(t, "echo", all[0].Plugin)
	require.Equal(t, "1.2.3", all[0].Version)
	require.Contains(t, string(all[0].Text), "instances 2")

	require.NoError(t, h.Replace(t.Context(), "echo"))
	_, err = send(t.Context(), h, installation("i", 1, "a", "token-1234"), "exit")
	require.Error(t, err)
	require.Eventually(t, func() bool {
		_, err := send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
	var s host.Status
	require.Eventually(t, func() bool { s = status(t, h); return s.Instances == 1 }, 10*time.Second, time.Millisecond)
	require.Equal(t, map[host.StartReason]int{host.StartNeeded: 1, host.StartReplace: 1, host.StartRestart: 1}, s.StartsBy)
	require.Equal(t, map[host.Cause]int{host.CauseExit: 1}, s.ExitsBy)
	require.Positive(t, s.Startup)
	require.Positive(t, s.CPU)
}
