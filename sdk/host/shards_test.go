package host_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/host"
)

// say has a shard's process answer, and returns its version and number.
func say(ctx context.Context, h *host.Host, tenant, shard, body string) (version string, pid int, err error) {
	c, release, err := h.AcquireShard(ctx, "echo", tenant, shard)
	if err != nil {
		return "", 0, err
	}
	defer release()
	_, err = c.Channel.Send(ctx, text(installation("i", 1, "a", "token-1234"), body))
	return c.Version, c.PID, err
}

// An installation may have a process for itself, which ends when nobody has used
// it for a while.
func TestShardHasItsOwnProcess(t *testing.T) {
	t.Parallel()

	timing := quick()
	timing.ShardIdle = 300 * time.Millisecond
	h := echo(t, host.Config{Timing: timing})
	pids := map[string]int{}
	for _, shard := range []string{"", "one", "two"} {
		_, pid, err := say(t.Context(), h, "t", shard, "hello")
		require.NoError(t, err)
		for other, taken := range pids {
			require.NotEqual(t, taken, pid, "%q has the process of %q", shard, other)
		}
		pids[shard] = pid
	}
	shards := []string{}
	for _, s := range h.Statuses() {
		shards = append(shards, s.Shard)
	}
	require.Subset(t, []string{"", "one", "two"}, shards)
	require.Empty(t, shards[0], "the shared one is first")

	// Its end is its own.
	_, pid, err := say(t.Context(), h, "t", "one", "exit")
	require.Error(t, err)
	if pid != 0 {
		gone(t, pid)
	}
	require.Equal(t, pids[""], status(t, h).PID)

	require.Eventually(t, func() bool { return len(h.Statuses()) == 1 }, 30*time.Second, time.Millisecond)
	gone(t, pids["two"])
	require.True(t, alive(pids[""]))
	_, pid, err = say(t.Context(), h, "t", "two", "hello")
	require.NoError(t, err)
	require.NotEqual(t, pids["two"], pid)
}

// Calls go on while their installation is moved back and forth, and while the
// process it leaves ends.
func TestMovesFailNoCalls(t *testing.T) {
	t.Parallel()

	timing := quick()
	timing.ShardIdle = 20 * time.Millisecond
	h := echo(t, host.Config{Timing: timing})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range 400 {
				shard := ""
				if n/100%2 == 0 {
					shard = "own"
				}
				_, _, err := say(ctx, h, "t", shard, "hello")
				if err != nil {
					t.Errorf("call %d: %v", n, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// Shards run what their tenants' shared processes run.
func TestShardsAreUpgraded(t *testing.T) {
	t.Parallel()

	h, s, first := pinned(t, quick(), nil)
	second := s.add(t, "v2", v2...)
	runs := func(tenant, shard string) string {
		version, _, err := say(t.Context(), h, tenant, shard, "hello")
		require.NoError(t, err)
		return version
	}
	require.Equal(t, "1.2.3", runs("brave", "b"))
	require.Equal(t, "1.2.3", runs("other", "o"))
	s.set(host.Pin{SHA256: first, Canary: second, CanaryTenants: []string{"brave"}})
	require.NoError(t, h.Upgrade(t.Context()))
	require.Equal(t, "2.0.0", runs("brave", "b"))
	require.Equal(t, "1.2.3", runs("other", "o"))
	require.Equal(t, "2.0.0", runs("brave", "new"))
	s.set(host.Pin{SHA256: second})
	require.NoError(t, h.Upgrade(t.Context()))
	require.Equal(t, "2.0.0", runs("other", "o"))
	require.False(t, h.Outdated())

	_, before, err := say(t.Context(), h, "other", "o", "hello")
	require.NoError(t, err)
	require.NoError(t, h.Replace(t.Context(), "echo"))
	_, after, err := say(t.Context(), h, "other", "o", "hello")
	require.NoError(t, err)
	require.NotEqual(t, before, after, "it has the operator's old settings")
}
