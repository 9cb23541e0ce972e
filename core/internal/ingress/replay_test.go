package ingress_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// raw stores a webhook that the plugin has not seen.
func (b *bundle) raw(t *testing.T, to installation.Target, plugin, body string, age time.Duration) ingress.Ref {
	t.Helper()
	at := time.Now().Add(-age)
	ref, err := b.inbox.Store(t.Context(), ingress.Row{Target: to, Plugin: plugin, At: at, Delivery: &pluginv1.WebhookDelivery{
		Request: &pluginv1.HttpRequest{Method: http.MethodPost, Body: []byte(body), ReceivedAt: timestamppb.New(at)},
	}})
	require.NoError(t, err)
	return ref
}

// quick has a plugin back soon after it ended, however often.
var quick = host.Timing{
	BackoffMin: time.Millisecond, BackoffMax: 2 * time.Millisecond, QuarantineExits: 1000,
	HealthEvery: time.Second,
}

// catchUp does the job of an installation's overdue rows.
func (b *bundle) catchUp(t *testing.T, to installation.Target) {
	t.Helper()
	require.NoError(t, b.receiver.CatchUp(t.Context(), &queue.Job[ingress.Overdue]{
		Args: ingress.Overdue{Tenant: to.Tenant, Installation: to.Installation},
	}))
}

// sweep runs a round of a sweep over the tenants' rows, as the queue does.
func (b *bundle) sweep(t *testing.T, w queue.Sweep) (found int) {
	t.Helper()
	database, err := b.Pool.DatabaseOf(t.Context(), b.Agency.ID)
	require.NoError(t, err)
	var ids []uuid.UUID
	require.NoError(t, b.Pool.System(t.Context(), database, "test", func(ctx context.Context, s tenant.Sys) error {
		return s.Query(ctx, func(scan func(...any) error) error {
			var of, i uuid.UUID
			if err := scan(&of, &i); err != nil || of != b.Agency.ID.UUID {
				return err
			}
			ids = append(ids, i)
			return nil
		}, w.Find, 10_000)
	}))
	for _, i := range ids {
		require.NoError(t, b.Pool.Do(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error { return w.Act(ctx, s, i) }))
	}
	return len(ids)
}

func TestReplay(t *testing.T) {
	t.Parallel()

	t.Run("a raw webhook is shown to the plugin and taken once, whoever works it", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Connect(t, "acme", b.url+"/elsewhere")
		refs := []ingress.Ref{b.signed(t, to, "wamid.1", "primero"), b.signed(t, to, "wamid.2", "segundo")}
		var wait sync.WaitGroup
		errs := make([]error, 4)
		for n := range errs {
			wait.Go(func() { errs[n] = b.work(t, refs...) })
		}
		wait.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.NoError(t, b.work(t, refs...))
		require.ElementsMatch(t, []string{"primero", "segundo"}, b.texts(t))
		require.Empty(t, b.waiting(t))
	})

	t.Run("what the plugin says is not the provider's is given up", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		ref := b.raw(t, b.Connect(t, "acme", b.url+"/elsewhere"), hosttest.Provider, `{"object":"whatsapp_business_account","entry":[]}`, 0)
		require.NoError(t, b.work(t, ref))
		require.Equal(t, "dead", b.state(t, ref).State)
		require.Contains(t, b.state(t, ref).Error, "webhook.unverified")
	})

	t.Run("while the plugin is away rows wait, and that costs them nothing", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Install(t, "gone") // a plugin that is not there
		young := b.raw(t, to, "gone", "x", 0)
		var snooze *river.JobSnoozeError
		require.ErrorAs(t, b.work(t, young), &snooze)
		old := b.raw(t, to, "gone", "x", time.Hour)
		require.NoError(t, b.work(t, old), "the sweep looks after it from now on")
		b.catchUp(t, to)
		require.Equal(t, state{State: "raw"}, b.state(t, young))
		require.Equal(t, state{State: "raw"}, b.state(t, old))
	})

	t.Run("a failure that may pass is tried again after a pause", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Echo(t)
		ref := b.raw(t, to, hosttest.Echo, "refuse", time.Hour)
		b.catchUp(t, to)
		require.Equal(t, state{State: "raw", Attempts: 1, Pause: true, Error: "rate_limited: slow down"}, b.state(t, ref))
		b.catchUp(t, to)
		require.Equal(t, 1, b.state(t, ref).Attempts, "it was tried before its time")
		require.NoError(t, b.work(t, ref))
		require.Equal(t, 1, b.state(t, ref).Attempts, "it was tried before its time")
		admin(t, `update crm.inbox set not_before = null, attempts = $2 where id = $1`, ref.ID, ingress.ReplayMost-1)
		b.catchUp(t, to)
		require.Equal(t, "dead", b.state(t, ref).State)
	})

	t.Run("an installation that is gone leaves nothing waiting", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		ref := b.raw(t, target(b.Agency), hosttest.Echo, "hello", 0)
		require.NoError(t, b.work(t, ref))
		require.Equal(t, "dead", b.state(t, ref).State)
	})

	t.Run("an agency that is switched off loses nothing", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Echo(t)
		ref := b.raw(t, to, hosttest.Echo, "hello", time.Hour)
		admin(t, `update control.tenants set active = false where id = $1`, b.Agency.ID.UUID)
		b.Pool.Forget(b.Agency.ID)
		b.Directory.Forget(to)
		b.catchUp(t, to)
		require.Equal(t, state{State: "raw"}, b.state(t, ref))
		admin(t, `update control.tenants set active = true where id = $1`, b.Agency.ID.UUID)
		b.Pool.Forget(b.Agency.ID)
		b.catchUp(t, to)
		require.Equal(t, "done", b.state(t, ref).State)
	})
}

func TestWaiting(t *testing.T) {
	t.Parallel()

	t.Run("rows whose job was lost get one job for all", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to, other := b.Install(t, hosttest.Echo), b.Install(t, hosttest.Echo)
		var lost []ingress.Ref
		for n := range 3 {
			lost = append(lost, b.ready(t, to, said(string(rune('a'+n)), ana, "Hola")))
		}
		b.ready(t, other, said("young", ana, "Hola"))
		admin(t, `delete from river.river_job where args::text like '%' || $1 || '%'`, b.Agency.ID.String())
		require.Zero(t, b.sweep(t, ingress.Waiting), "they are too young to be lost")
		for _, r := range lost {
			admin(t, `update crm.inbox set received_at = received_at - interval '20 seconds' where id = $1`, r.ID)
		}
		require.Equal(t, 1, b.sweep(t, ingress.Waiting))
		require.Equal(t, 1, b.sweep(t, ingress.Waiting))
		require.Equal(t, 1, jobs(t, "inbox_overdue", to.Installation.String()))
		b.catchUp(t, to)
		require.Len(t, b.texts(t), 3)
		require.Zero(t, b.sweep(t, ingress.Waiting))
	})

	t.Run("rows that wait for their time are left alone", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Install(t, hosttest.Echo)
		ref := b.raw(t, to, hosttest.Echo, "hello", time.Hour)
		admin(t, `update crm.inbox set not_before = now() + interval '1 minute' where id = $1`, ref.ID)
		require.Zero(t, b.sweep(t, ingress.Waiting))
	})
}

// file is a path that a plugin can be told to wait for.
func file(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "wait")
}

// exists reports whether the plugin has begun to wait.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
