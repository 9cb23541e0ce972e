package ingress_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

// slow is a database that answers when it is told to.
type slow struct {
	entered chan int // how many rows a statement brings
	answer  chan error
}

func (s *slow) Exec(_ context.Context, _ string, args ...any) (pgconn.CommandTag, error) {
	s.entered <- len(args[0].([]pgtype.UUID))
	return pgconn.CommandTag{}, <-s.answer
}

func newSlow() *slow { return &slow{entered: make(chan int, 10_000), answer: make(chan error)} }

func newInbox(t *testing.T) (*ingress.Inbox, tenant.Tenant, *tenant.Pool) {
	t.Helper()
	pool, agency := tenanttest.New(t)
	return ingress.NewInbox(pool, slog.New(slog.DiscardHandler)), agency, pool
}

// target is an installation that need not exist.
func target(agency tenant.Tenant) installation.Target {
	return installation.Target{Tenant: agency.ID, Installation: installation.ID{UUID: uuid.New()}}
}

func TestInbox(t *testing.T) {
	t.Parallel()

	t.Run("what is stored has a job, what is done has none", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		raw, err := b.inbox.Store(t.Context(), ingress.Row{Target: target(b.Agency), Plugin: "x"})
		require.NoError(t, err)
		require.Equal(t, state{State: "raw"}, b.state(t, raw))
		require.Equal(t, 1, jobs(t, "inbox_received", raw.ID.String()))
		done, err := b.inbox.Store(t.Context(), ingress.Row{Target: target(b.Agency), Plugin: "x", State: "done"})
		require.NoError(t, err)
		require.Zero(t, jobs(t, "inbox_received", done.ID.String()))
	})

	t.Run("rows that wait together are committed together", func(t *testing.T) {
		t.Parallel()

		inbox, _, _ := newInbox(t)
		db := newSlow()
		waiting := []<-chan error{inbox.Offer(db)}
		require.Equal(t, 1, <-db.entered)
		for range 50 {
			waiting = append(waiting, inbox.Offer(db))
		}
		db.answer <- nil
		require.Equal(t, 50, <-db.entered)
		close(db.answer)
		for _, done := range waiting {
			require.NoError(t, <-done)
		}
		inbox.Close()
	})

	t.Run("when too many wait, more are refused, and those that wait are stored", func(t *testing.T) {
		t.Parallel()

		inbox, _, _ := newInbox(t)
		db := newSlow()
		var waiting []<-chan error
		refused := false
		for range 256 + ingress.WaitingMax + 1 { // the committer may hold a group
			done := inbox.Offer(db)
			if done == nil {
				refused = true
				break
			}
			waiting = append(waiting, done)
		}
		require.True(t, refused)
		require.GreaterOrEqual(t, len(waiting), ingress.WaitingMax)
		close(db.answer)
		for _, done := range waiting {
			require.NoError(t, <-done)
		}
		inbox.Close()
	})

	t.Run("a group with one bad row stores the others", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := target(b.Agency)
		refs, errs := b.inbox.StoreTogether(t.Context(), b.Agency.ID,
			ingress.Row{Target: to, Plugin: "x"}, ingress.Row{Target: to, Plugin: "x", State: "nonsense"}, ingress.Row{Target: to, Plugin: "x"})
		require.NoError(t, errs[0])
		require.True(t, postgres.IsCheck(errs[1], ""), "%v", errs[1])
		require.NoError(t, errs[2])
		require.Equal(t, 2, b.rows(t, b.Agency.ID))
		for _, n := range []int{0, 2} {
			require.Equal(t, 1, jobs(t, "inbox_received", refs[n].ID.String()))
		}
		require.Zero(t, jobs(t, "inbox_received", refs[1].ID.String()))
	})

	t.Run("a database that is away fails all at once", func(t *testing.T) {
		t.Parallel()

		inbox, _, _ := newInbox(t)
		db := newSlow()
		done := inbox.Offer(db)
		require.Equal(t, 1, <-db.entered)
		db.answer <- &pgconn.PgError{Code: "57P03"}
		require.ErrorIs(t, <-done, tenant.ErrUnavailable)
		inbox.Close()
	})

	t.Run("a group of several tenants keeps their rows apart", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		other := tenanttest.Create(t, b.Pool, dbtest.Database(t).Name)
		_, errs := b.inbox.StoreTogether(t.Context(), b.Agency.ID,
			ingress.Row{Target: target(b.Agency), Plugin: "x"}, ingress.Row{Target: target(other), Plugin: "x"}, ingress.Row{Target: target(other), Plugin: "x"})
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, 1, b.rows(t, b.Agency.ID))
		require.Equal(t, 2, b.rows(t, other.ID))
	})

	t.Run("close stores what waits and refuses what comes later", func(t *testing.T) {
		t.Parallel()

		inbox, agency, _ := newInbox(t)
		var wait sync.WaitGroup
		stored := make(chan error, 64)
		for range 64 {
			wait.Go(func() {
				_, err := inbox.Store(t.Context(), ingress.Row{Target: target(agency), Plugin: "x"})
				stored <- err
			})
		}
		inbox.Close()
		wait.Wait()
		close(stored)
		for err := range stored {
			if err != nil {
				require.ErrorIs(t, err, ingress.ErrFull)
			}
		}
		_, err := inbox.Store(t.Context(), ingress.Row{Target: target(agency), Plugin: "x"})
		require.ErrorIs(t, err, ingress.ErrFull)
		inbox.Close()
	})

	t.Run("an unknown tenant is an error", func(t *testing.T) {
		t.Parallel()

		inbox, _, _ := newInbox(t)
		t.Cleanup(inbox.Close)
		_, err := inbox.Store(t.Context(), ingress.Row{Target: target(tenant.Tenant{ID: tenant.ID{UUID: uuid.New()}}), Plugin: "x"})
		require.ErrorIs(t, err, tenant.ErrNotFound)
	})
}

func TestInboxDays(t *testing.T) {
	t.Parallel()

	const day = 24 * time.Hour
	// The days of the inbox are the database's: each test has one of its own.
	open := func(t *testing.T) (store func(at time.Duration, state string), count func(sql string) int) {
		t.Helper()
		db := dbtest.Fresh(t)
		pool := tenanttest.Open(t, db, nil)
		agency := tenanttest.Create(t, pool, db.Name)
		inbox := ingress.NewInbox(pool, slog.New(slog.DiscardHandler))
		t.Cleanup(inbox.Close)
		sys := db.Pool(t, postgres.RoleSys, postgres.PoolConfig{})
		count = func(sql string) int {
			t.Helper()
			var n int
			require.NoError(t, sys.QueryRow(t.Context(), sql).Scan(&n))
			return n
		}
		store = func(at time.Duration, state string) {
			t.Helper()
			_, err := inbox.Store(t.Context(), ingress.Row{Target: target(agency), Plugin: "x", At: time.Now().Add(at), State: state})
			require.NoError(t, err)
		}
		store(0, "done")
		store(-40*day, "done")
		store(-40*day, "raw")
		return store, count
	}

	t.Run("a day without a partition refuses nothing", func(t *testing.T) {
		t.Parallel()

		_, count := open(t)
		require.Equal(t, 3, count("select count(*) from crm.inbox"))
		require.Equal(t, 2, count("select count(*) from crm.inbox where tableoid = 'crm.inbox_default'::regclass"))
	})

	t.Run("days are made once, behind row-level security", func(t *testing.T) {
		t.Parallel()

		_, count := open(t)
		require.Equal(t, 3, count("select crm.ensure_inbox_days((now() at time zone 'utc')::date + 100, 3)"))
		require.Equal(t, 1, count("select crm.ensure_inbox_days((now() at time zone 'utc')::date + 101, 3)"))
		require.Zero(t, count(`select count(*) from pg_class c join pg_inherits i on i.inhrelid = c.oid
			where i.inhparent = 'crm.inbox'::regclass and not (c.relrowsecurity and c.relforcerowsecurity)`))
		require.Zero(t, count(`select count(*) from pg_inherits i where i.inhparent = 'crm.inbox'::regclass
			and has_table_privilege('strato_app', i.inhrelid, 'select')`))
	})

	t.Run("a day that began without its partition does not keep the others from theirs", func(t *testing.T) {
		t.Parallel()

		_, count := open(t)
		require.Equal(t, 2, count("select crm.ensure_inbox_days((now() at time zone 'utc')::date - 41, 3)"))
		require.Equal(t, 3, count("select count(*) from crm.inbox"))
	})

	t.Run("old days go, but not what waits", func(t *testing.T) {
		t.Parallel()

		store, count := open(t)
		require.Equal(t, 2, count("select crm.ensure_inbox_days((now() at time zone 'utc')::date - 60, 2)"))
		store(-60*day, "ready")
		store(-59*day, "dead")
		require.Equal(t, 1, count("select crm.drop_inbox_days((now() at time zone 'utc')::date - 30)"))
		require.Equal(t, 3, count("select count(*) from crm.inbox"), "today's, and the two that wait")
		require.Equal(t, 2, count("select count(*) from crm.inbox where state in ('raw', 'ready')"))
		require.Zero(t, count(`select count(*) from pg_class c join pg_inherits i on i.inhrelid = c.oid
			where i.inhparent = 'crm.inbox'::regclass and not c.relforcerowsecurity`))
	})
}
