package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/stratohub/strato/core/internal/tenant"
)

const (
	jobTimeout = 60 * time.Second
	// rescueAfter is how long a job of a node that died stays unworked. The
	// node's own jobs are taken back when it starts again.
	rescueAfter = 90 * time.Second
	// keepDone bounds the table of finished jobs.
	keepDone = 10 * time.Minute
	// refresh is how soon a new database gets its workers.
	refresh = 2 * time.Second
)

// Config says how jobs are worked on this node.
type Config struct {
	Pool    *tenant.Pool
	Workers *Workers
	Sweeps  []Sweep
	// NodeID is stable across restarts and used by one process at a time: the
	// jobs a killed node was doing are taken back when it starts again.
	NodeID string
	// PollOnly does without LISTEN, for databases behind a transaction pooler.
	PollOnly bool
	Logger   *slog.Logger
}

// Runner works the jobs of every database, each with a River client of its own.
type Runner struct {
	cfg Config

	mu      sync.Mutex
	clients map[tenant.DatabaseID]*river.Client[pgx.Tx]
	stop    context.CancelFunc
	tasks   sync.WaitGroup
}

// NewRunner returns a runner that has not started.
func NewRunner(cfg Config) *Runner {
	return &Runner{cfg: cfg, clients: map[tenant.DatabaseID]*river.Client[pgx.Tx]{}}
}

// Start begins working the jobs of every database there is, and of those that
// come later. It returns when those it could reach are being worked; a database
// that does not answer is tried again. Call Stop.
func (r *Runner) Start(ctx context.Context) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	if err := r.refresh(run); err != nil {
		r.cfg.Logger.WarnContext(ctx, "not every database's jobs are worked yet", "error", err)
	}
	r.tasks.Go(func() { r.watch(run) })
	return nil
}

// Stop lets running jobs end, until ctx does, and waits.
func (r *Runner) Stop(ctx context.Context) error {
	if r.stop == nil {
		return nil
	}
	r.stop()
	r.tasks.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	var wait sync.WaitGroup
	errs := make(chan error, len(r.clients))
	for _, c := range r.clients {
		wait.Go(func() { errs <- c.Stop(ctx) })
	}
	wait.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return all
}

func (r *Runner) watch(ctx context.Context) {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.refresh(ctx); err != nil && ctx.Err() == nil {
				r.cfg.Logger.WarnContext(ctx, "not every database's jobs are worked", "error", err)
			}
		}
	}
}

// refresh starts a client for each database that has none.
func (r *Runner) refresh(ctx context.Context) error {
	list, err := r.cfg.Pool.Databases(ctx)
	if err != nil {
		return err
	}
	var all error
	for _, d := range list {
		r.mu.Lock()
		_, running := r.clients[d.ID]
		r.mu.Unlock()
		if running {
			continue
		}
		if err := r.work(ctx, d); err != nil {
			all = errors.Join(all, fmt.Errorf("work the jobs of database %s: %w", d.Name, err))
		}
	}
	return all
}

func (r *Runner) work(ctx context.Context, d tenant.Database) error {
	pool, err := r.cfg.Pool.Queue(ctx, d.ID)
	if err != nil {
		return err
	}
	node := r.cfg.NodeID
	if err := takeBack(ctx, pool, node); err != nil {
		return err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		ID:     node,
		Schema: Schema,
		Logger: r.cfg.Logger.With("component", "queue", "database", d.Name),
		Queues: map[string]river.QueueConfig{
			Receive:    {MaxWorkers: 4},
			Automation: {MaxWorkers: 4},
			Send:       {MaxWorkers: SendWorkers},
			Upkeep:     {MaxWorkers: 2},
		},
		Workers:                     r.cfg.Workers.river,
		FetchCooldown:               10 * time.Millisecond,
		FetchPollInterval:           500 * time.Millisecond,
		JobTimeout:                  jobTimeout,
		RescueStuckJobsAfter:        rescueAfter,
		CompletedJobRetentionPeriod: keepDone,
		PollOnly:                    r.cfg.PollOnly,
		// Only an owner may reindex, which the queue's role is not.
		ReindexerSchedule: river.NeverSchedule(),
		SoftStopTimeout:   25 * time.Second,
	})
	if err != nil {
		return err
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	r.mu.Lock()
	r.clients[d.ID] = client
	r.mu.Unlock()
	for _, sweep := range r.cfg.Sweeps {
		r.tasks.Go(func() { r.sweep(ctx, d, sweep) })
	}
	return nil
}

// takeBack makes jobs available that a killed process of this node was doing.
func takeBack(ctx context.Context, pool querier, node string) error {
	_, err := pool.Exec(ctx, `
		update river.river_job
		set state = 'available', scheduled_at = now()
		where state = 'running' and attempted_by[array_upper(attempted_by, 1)] = $1`, node)
	if err != nil {
		return fmt.Errorf("take back the jobs of node %s: %w", node, err)
	}
	return nil
}
