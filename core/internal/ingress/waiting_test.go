package ingress_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

// Operators see what waits for a plugin, in the control plane and at the agencies.
func TestWaitingIsMeasured(t *testing.T) {
	t.Parallel()

	b, target := ownSpool(t)
	require.NoError(t, b.handler.MeasureWaiting(t.Context()))
	depth, oldest := b.handler.Metrics.Kept(hosttest.Provider)
	require.Zero(t, depth)
	require.Zero(t, oldest)

	b.spool(t, []byte("{}"), "nobody's")
	b.spool(t, []byte("{}"), "nobody's")
	b.control(t, `update control.spool set received_at = now() - interval '1 hour' where id = (select id from control.spool limit 1)`)
	require.NoError(t, b.handler.MeasureWaiting(t.Context()))
	depth, oldest = b.handler.Metrics.Kept(hosttest.Provider)
	require.InDelta(t, 2, depth, 0)
	require.InDelta(t, time.Hour.Seconds(), oldest, 300)

	b.control(t, `update control.spool set state = 'dead'`)
	tenanttest.Do(t, b.Pool, b.Agency, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `insert into crm.inbox (tenant_id, id, received_at, installation_id, plugin, state, delivery)
			select $1, gen_random_uuid(), now(), $2, $3, state, '' from unnest(array['raw', 'ready', 'done']) state`,
			s.Tenant(), target.Installation, hosttest.Provider)
		return err
	})
	require.NoError(t, b.handler.MeasureWaiting(t.Context()))
	depth, _ = b.handler.Metrics.Kept(hosttest.Provider)
	require.InDelta(t, 1, depth, 0, "only what no plugin has seen")
}
