// Package queue runs work after commit. A job is inserted in the transaction of
// the data it belongs to, in the tenant's own database, and exists only if that
// transaction commits. It runs at least once: every worker is idempotent.
package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/stratohub/strato/core/internal/tenant"
)

// Schema is the PostgreSQL schema of the jobs in every database.
const Schema = "river"

// The queues. Work of one cannot starve the others.
const (
	Receive    = "receive"    // webhooks into domains
	Automation = "automation" // what follows a message
	Send       = "send"       // messages to providers
	Upkeep     = "upkeep"     // everything that may wait
)

// SendWorkers is how many jobs of the queue Send a node works at once, for each
// database.
const SendWorkers = 32

// Args are the arguments of a job: a struct with JSON tags, small, of ids
// rather than data. Kind is stable, it is stored.
type Args = river.JobArgs

// Job is a job being worked on.
type Job[T Args] = river.Job[T]

// Workers is the set of kinds that can be worked.
type Workers struct{ river *river.Workers }

// NewWorkers returns an empty set.
func NewWorkers() *Workers { return &Workers{river.NewWorkers()} }

// Handle says how jobs of T's kind are done. It panics if the kind is taken.
func Handle[T Args](w *Workers, do func(ctx context.Context, job *Job[T]) error) {
	river.AddWorker(w.river, river.WorkFunc(do))
}

// Snooze puts the job off without counting an attempt: return it from a worker.
func Snooze(d time.Duration) error { return river.JobSnooze(d) }

// Cancel ends the job for good: return it from a worker.
func Cancel(err error) error { return river.JobCancel(err) }

// Options of an insert. The zero value runs the job at once on queue Upkeep.
type Options struct {
	Queue string
	// At is the earliest start; zero is now.
	At time.Time
	// Once drops the insert while a job of the same arguments waits or runs. A
	// running job may have read its data already: use it for upkeep that comes
	// again, not for work that must see what the transaction writes.
	Once bool
	// MaxAttempts; 0 means 25, over about three weeks.
	MaxAttempts int
}

// unfinished are the states in which a job with Options.Once stands for another.
var unfinished = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
	rivertype.JobStateRetryable, rivertype.JobStateScheduled,
}

// inserter has no connection of its own: it writes into the transaction given.
var inserter = sync.OnceValues(func() (*river.Client[pgx.Tx], error) {
	return river.NewClient(riverpgxv5.New(nil), &river.Config{Schema: Schema})
})

// Insert adds a job in the scope's transaction.
func Insert(ctx context.Context, s tenant.Scope, args Args, o Options) error {
	client, err := inserter()
	if err != nil {
		return fmt.Errorf("prepare to insert jobs: %w", err)
	}
	tx, err := s.Tx(ctx)
	if err != nil {
		return fmt.Errorf("insert job %s: %w", args.Kind(), err)
	}
	if _, err := client.InsertTx(ctx, tx, args, o.river()); err != nil {
		return fmt.Errorf("insert job %s: %w", args.Kind(), err)
	}
	return nil
}

func (o Options) river() *river.InsertOpts {
	r := &river.InsertOpts{Queue: o.Queue, ScheduledAt: o.At, MaxAttempts: o.MaxAttempts}
	if r.Queue == "" {
		r.Queue = Upkeep
	}
	if o.Once {
		r.UniqueOpts = river.UniqueOpts{ByArgs: true, ByQueue: true, ByState: unfinished}
	}
	return r
}
