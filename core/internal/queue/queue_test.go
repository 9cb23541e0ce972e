package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// patience is how long a test waits for jobs; cleaning is done each half minute.
const (
	patience = 20 * time.Second
	cleaning = 90 * time.Second
)

// Note is a job that says something.
type Note struct {
	Text string `json:"text"`
}

// Kind names the job.
func (Note) Kind() string { return "note" }

// bundle is a database of its own, whose jobs a runner works.
type bundle struct {
	pool   *tenant.Pool
	agency tenant.Tenant
	db     dbtest.DB
	jobs   *pgxpool.Pool // as the queue's role
	config queue.Config

	mu    sync.Mutex
	heard []string
	do    func(ctx context.Context, job *queue.Job[Note]) error
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{db: dbtest.Fresh(t)}
	b.pool = tenanttest.Open(t, b.db, nil)
	b.agency = tenanttest.Create(t, b.pool, b.db.Name)
	b.jobs = b.db.Pool(t, postgres.RoleQueue, postgres.PoolConfig{})
	workers := queue.NewWorkers()
	queue.Handle(workers, func(ctx context.Context, job *queue.Job[Note]) error {
		b.mu.Lock()
		b.heard = append(b.heard, job.Args.Text)
		do := b.do
		b.mu.Unlock()
		if do != nil {
			return do(ctx, job)
		}
		return nil
	})
	b.config = queue.Config{Pool: b.pool, Workers: workers, NodeID: "node-" + uuid.NewString(), Logger: slog.New(slog.DiscardHandler)}
	return b
}

// run starts a runner, which the test's end stops.
func (b *bundle) run(t *testing.T) *queue.Runner {
	t.Helper()
	r := queue.NewRunner(b.config)
	require.NoError(t, r.Start(t.Context()))
	t.Cleanup(func() { stop(t, r) })
	return r
}

func stop(t *testing.T, r *queue.Runner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, r.Stop(ctx))
}

func (b *bundle) insert(t *testing.T, text string, o queue.Options) {
	t.Helper()
	tenanttest.Do(t, b.pool, b.agency, func(ctx context.Context, s tenant.Scope) error { return queue.Insert(ctx, s, Note{text}, o) })
}

func (b *bundle) texts() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.heard...)
}

func (b *bundle) hears(t *testing.T, want ...string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(b.texts()) >= len(want) }, patience, time.Millisecond)
	require.ElementsMatch(t, want, b.texts())
}

// count counts jobs.
func (b *bundle) count(t *testing.T, where string) (n int) {
	t.Helper()
	require.NoError(t, b.jobs.QueryRow(t.Context(), "select count(*) from river.river_job where "+where).Scan(&n))
	return n
}

func TestInsert(t *testing.T) {
	t.Parallel()

	t.Run("a job exists only with the data", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		failed := errors.New("not today")
		err := b.pool.Do(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
			return errors.Join(queue.Insert(ctx, s, Note{"never"}, queue.Options{}), failed)
		})
		require.ErrorIs(t, err, failed)
		require.Zero(t, b.count(t, "true"))
		b.insert(t, "now", queue.Options{})
		require.Equal(t, 1, b.count(t, "queue = 'upkeep' and state = 'available'"))
	})

	t.Run("once while another of the same words is unfinished", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		for range 3 {
			b.insert(t, "a", queue.Options{Once: true})
		}
		b.insert(t, "b", queue.Options{Once: true})
		b.insert(t, "a", queue.Options{Once: true, Queue: queue.Send})
		require.Equal(t, 3, b.count(t, "true"))
		for _, state := range []string{"completed", "discarded", "cancelled"} {
			_, err := b.jobs.Exec(t.Context(), `update river.river_job set state = $1, finalized_at = now() where state = 'available'`, state)
			require.NoError(t, err)
			b.insert(t, "a", queue.Options{Once: true})
			require.Equal(t, 1, b.count(t, "state = 'available'"), state)
		}
	})

	t.Run("not before its time", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.insert(t, "later", queue.Options{At: time.Now().Add(time.Hour)})
		b.insert(t, "now", queue.Options{})
		b.run(t)
		b.hears(t, "now")
		require.Equal(t, 1, b.count(t, "state = 'scheduled'"))
	})

	t.Run("a scope that reads has no jobs", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		require.Error(t, b.pool.Read(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
			return queue.Insert(ctx, s, Note{"x"}, queue.Options{})
		}))
	})
}

func TestRunner(t *testing.T) {
	t.Parallel()

	t.Run("works the jobs of all queues, with and without LISTEN", func(t *testing.T) {
		t.Parallel()

		for name, poll := range map[string]bool{"listening": false, "polling": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()

				b := setup(t)
				b.config.PollOnly = poll
				b.run(t)
				for _, q := range []string{queue.Receive, queue.Automation, queue.Send, queue.Upkeep} {
					b.insert(t, q, queue.Options{Queue: q})
				}
				b.hears(t, queue.Receive, queue.Automation, queue.Send, queue.Upkeep)
				require.Eventually(t, func() bool { return b.count(t, "state = 'completed'") == 4 }, patience, time.Millisecond)
			})
		}
	})

	t.Run("a failed job is tried again, a snoozed one at no cost, a cancelled one never", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		tried := map[string]int{}
		b.do = func(_ context.Context, job *queue.Job[Note]) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			tried[job.Args.Text]++
			switch {
			case tried[job.Args.Text] > 1:
				return nil
			case job.Args.Text == "fails":
				return errors.New("once")
			case job.Args.Text == "panics":
				panic("once")
			case job.Args.Text == "snoozes":
				return queue.Snooze(0)
			}
			return queue.Cancel(errors.New("never"))
		}
		for _, text := range []string{"fails", "panics", "snoozes", "cancels"} {
			b.insert(t, text, queue.Options{})
		}
		b.run(t)
		b.hears(t, "fails", "panics", "snoozes", "cancels", "fails", "panics", "snoozes")
		require.Eventually(t, func() bool { return b.count(t, "state = 'completed'") == 3 }, patience, time.Millisecond)
		require.Equal(t, 1, b.count(t, "state = 'cancelled' and args->>'text' = 'cancels'"))
		require.Equal(t, 1, b.count(t, "attempt = 1 and args->>'text' = 'snoozes'"))
	})

	t.Run("takes back what its node was doing when it was killed, and nobody else's", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		for _, text := range []string{"mine", "was mine", "another's"} {
			b.insert(t, text, queue.Options{})
		}
		for text, by := range map[string][]string{
			"mine": {"other", b.config.NodeID}, "was mine": {b.config.NodeID, "other"}, "another's": {"other"},
		} {
			_, err := b.jobs.Exec(t.Context(), `update river.river_job set state = 'running', attempt = 1, attempted_at = now(), attempted_by = $2
				where args->>'text' = $1`, text, by)
			require.NoError(t, err)
		}
		b.run(t)
		b.hears(t, "mine")
		b.insert(t, "next", queue.Options{})
		b.hears(t, "mine", "next")
		require.Equal(t, 2, b.count(t, "state = 'running' and args->>'text' in ('was mine', 'another''s')"))
	})

	t.Run("stop lets running jobs end and waits for them", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		begun, end := make(chan struct{}), make(chan struct{})
		b.do = func(ctx context.Context, _ *queue.Job[Note]) error {
			close(begun)
			<-end
			return ctx.Err()
		}
		r := queue.NewRunner(b.config)
		require.NoError(t, r.Start(t.Context()))
		b.insert(t, "long", queue.Options{})
		<-begun
		stopped := make(chan error, 1)
		go func() { stopped <- r.Stop(context.Background()) }()
		b.insert(t, "too late", queue.Options{})
		require.Never(t, func() bool { return len(stopped) > 0 }, 200*time.Millisecond, 10*time.Millisecond)
		close(end)
		require.NoError(t, <-stopped)
		require.Equal(t, 1, b.count(t, "state = 'completed' and args->>'text' = 'long'"))
		require.Equal(t, 1, b.count(t, "state = 'available'"), "nothing is begun while stopping")
	})

	t.Run("stop without start", func(t *testing.T) {
		t.Parallel()

		require.NoError(t, queue.NewRunner(queue.Config{}).Stop(t.Context()))
	})

	t.Run("a database that comes later gets workers, one that is away keeps none from theirs", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		_, err := b.pool.AddDatabase(t.Context(), tenant.Database{Name: "away", Kind: "dedicated", DSNRef: "same:there_is_no_such_database"})
		require.NoError(t, err)
		b.run(t)
		second := dbtest.Fresh(t)
		other := tenanttest.Create(t, b.pool, second.Name)
		tenanttest.Do(t, b.pool, other, func(ctx context.Context, s tenant.Scope) error {
			return queue.Insert(ctx, s, Note{"there"}, queue.Options{})
		})
		b.insert(t, "here", queue.Options{})
		b.hears(t, "here", "there")
		require.Zero(t, b.count(t, "args->>'text' = 'there'"), "a job lives beside its data")
	})

	t.Run("finished jobs are cleaned away", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.insert(t, "old", queue.Options{})
		b.insert(t, "young", queue.Options{})
		b.run(t)
		require.Eventually(t, func() bool { return b.count(t, "state = 'completed'") == 2 }, patience, time.Millisecond)
		_, err := b.jobs.Exec(t.Context(), `update river.river_job set finalized_at = now() - interval '11 minutes' where args->>'text' = 'old'`)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return b.count(t, "true") == 1 }, cleaning, 10*time.Millisecond)
		require.Equal(t, 1, b.count(t, "args->>'text' = 'young'"))
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()

	// find selects what every tenant has: its default pipeline.
	const find = `select tenant_id, id from crm.pipelines where is_default limit $1`

	t.Run("begins at once and hands rows to their own tenants", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		other := tenanttest.Create(t, b.pool, b.db.Name)
		acted := make(chan tenant.ID, 100)
		b.config.Sweeps = []queue.Sweep{{
			Name: "test", Every: time.Hour, Find: find,
			Act: func(ctx context.Context, s tenant.Scope, id uuid.UUID) error {
				n, err := s.Exec(ctx, `update crm.pipelines set name = 'swept' where id = $1`, id)
				if n == 1 {
					acted <- s.Tenant()
				}
				return err
			},
		}}
		b.run(t)
		require.ElementsMatch(t, []tenant.ID{b.agency.ID, other.ID}, []tenant.ID{<-acted, <-acted})
	})

	t.Run("comes again, and one bad row keeps no other", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		other := tenanttest.Create(t, b.pool, b.db.Name)
		acted := make(chan tenant.ID, 1000)
		b.config.Sweeps = []queue.Sweep{{
			Name: "test", Every: time.Millisecond, Find: find,
			Act: func(_ context.Context, s tenant.Scope, _ uuid.UUID) error {
				if s.Tenant() == b.agency.ID {
					return errors.New("not this one")
				}
				acted <- s.Tenant()
				return nil
			},
		}}
		b.run(t)
		for range 3 {
			require.Equal(t, other.ID, <-acted)
		}
	})

	t.Run("one node at a time", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		rounds := make(chan struct{}, 1000)
		b.config.Sweeps = []queue.Sweep{{
			Name: "test", Every: time.Millisecond,
			Do: func(context.Context, tenant.Sys) error { rounds <- struct{}{}; return nil },
		}}
		lock := b.db.Admin(t)
		_, err := lock.Exec(t.Context(), "select pg_advisory_lock(hashtextextended('sweep test', 0))")
		require.NoError(t, err)
		b.run(t)
		require.Never(t, func() bool { return len(rounds) > 0 }, 200*time.Millisecond, 10*time.Millisecond)
		_, err = lock.Exec(t.Context(), "select pg_advisory_unlock_all()")
		require.NoError(t, err)
		<-rounds
	})
}
