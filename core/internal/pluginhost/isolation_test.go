package pluginhost_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
	"github.com/stratohub/strato/sdk/host"
)

// The operator gives an installation a process of its own, and takes it back.
func TestDedicatedInstallation(t *testing.T) {
	t.Parallel()

	w := hosttest.New(t, host.Timing{})
	target, other := w.Echo(t), w.Echo(t)
	isolate := func(to installation.Isolation) {
		tenanttest.Do(t, w.Pool, w.Agency, func(ctx context.Context, s tenant.Scope) error {
			return installation.SetIsolation(ctx, s, target.Installation, to)
		})
		w.Directory.Forget(target)
	}
	calls := func(i installation.Target) {
		_, _, err := w.Registry.Check(t.Context(), w.Live(t, i), false)
		require.NoError(t, err)
	}
	shards := func() []string {
		var out []string
		for _, s := range w.Host().Statuses() {
			if s.Shard != "" {
				out = append(out, s.Shard)
			}
		}
		slices.Sort(out)
		return out
	}
	calls(target)
	require.Empty(t, shards())
	isolate(installation.Dedicated)
	require.Equal(t, installation.Dedicated, w.Get(t, target).Isolation)
	calls(target)
	calls(other)
	require.Equal(t, []string{target.Installation.String()}, shards())

	before := w.Host().Statuses()
	isolate(installation.Shared)
	calls(target)
	require.Equal(t, installation.Shared, w.Get(t, target).Isolation)
	require.Len(t, w.Host().Statuses(), len(before), "the old process ends when it was not used for a while")

	err := w.Pool.Do(t.Context(), w.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
		return installation.SetIsolation(ctx, s, installation.ID{}, installation.Dedicated)
	})
	require.ErrorIs(t, err, installation.ErrNotFound)
}
