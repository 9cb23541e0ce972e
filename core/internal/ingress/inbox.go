package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
)

const (
	groupRows  = 256
	groupBytes = 8 << 20
	waitingMax = 2048
	// commitDeadline bounds how long a webhook waits for its row.
	commitDeadline = 5 * time.Second
	// wakeEvery is how often a group may wake the workers: a notification takes
	// a lock that all commits share.
	wakeEvery = 10 * time.Millisecond
)

// ErrFull says that more webhooks wait to be stored than there is room for.
var ErrFull = fault.New(fault.Unavailable, "webhook.full", "Too many webhooks at once. Send it again shortly.").After(2 * time.Second)

// State of an inbox row.
const (
	stateRaw   = "raw"   // the plugin has not seen it
	stateReady = "ready" // its events wait
	stateDone  = "done"  // nothing is left to do
	stateDead  = "dead"  // given up, with the reason
)

// row is a webhook of one installation, to be stored.
type row struct {
	tenant, id, installation uuid.UUID
	receivedAt               time.Time
	plugin, state            string
	delivery, result         []byte
	crashes                  int32 // exits of the plugin's process in which it was under way
}

// Ref names a stored row.
type Ref struct {
	Tenant tenant.ID `json:"t"`
	ID     uuid.UUID `json:"i"`
	At     time.Time `json:"a"`
}

// Received asks for the events of inbox rows to be taken. The rows of one group
// share a job.
type Received struct {
	Rows []Ref `json:"rows"`
}

// Kind names the job.
func (Received) Kind() string { return "inbox_received" }

// Inbox stores webhooks. Those that wait together are committed together,
// through a role that may insert and nothing else: each database has one
// committer, for two would halve the groups, and a group costs hardly more than
// a row. It is safe for concurrent
// use.
type Inbox struct {
	pool *tenant.Pool
	log  *slog.Logger

	mu     sync.Mutex
	open   map[tenant.DatabaseID]*writer
	closed bool
	work   sync.WaitGroup
}

// writer stores the rows of one database.
type writer struct {
	pool    execer
	waiting chan *entry
	log     *slog.Logger
	woken   time.Time
}

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

type entry struct {
	row  row
	done chan error // of capacity 1
}

// NewInbox returns an inbox over the tenants' databases.
func NewInbox(pool *tenant.Pool, log *slog.Logger) *Inbox {
	return &Inbox{pool: pool, log: log, open: map[tenant.DatabaseID]*writer{}}
}

// store returns when the row has been committed. A full channel, a database
// that does not answer, or the end of ctx is an error; after the last the row
// may have been stored.
func (b *Inbox) store(ctx context.Context, t tenant.ID, r row) error {
	ctx, cancel := context.WithTimeout(ctx, commitDeadline)
	defer cancel()
	database, err := b.pool.DatabaseOf(ctx, t)
	if err != nil {
		return err
	}
	pool, err := b.pool.Ingest(ctx, database)
	if err != nil {
		return err
	}
	e := &entry{row: r, done: make(chan error, 1)}
	if !b.enqueue(database, pool, e) {
		return ErrFull
	}
	select {
	case err := <-e.done:
		return err
	case <-ctx.Done():
		return tenant.ErrUnavailable.With(fmt.Errorf("store a webhook: %w", ctx.Err()))
	}
}

// enqueue reports whether there was room. The lock is held, but never waited
// under: nobody sends on a channel that Close has closed.
func (b *Inbox) enqueue(database tenant.DatabaseID, pool execer, e *entry) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	w := b.open[database]
	if w == nil {
		w = &writer{pool: pool, waiting: make(chan *entry, waitingMax), log: b.log}
		b.work.Go(w.run)
		b.open[database] = w
	}
	select {
	case w.waiting <- e:
		return true
	default:
		return false
	}
}

// Close stores what waits and ends. Whoever comes after it is refused.
func (b *Inbox) Close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		for _, w := range b.open {
			close(w.waiting)
		}
	}
	b.mu.Unlock()
	b.work.Wait()
}

// run commits what waits, without a timer: alone a row goes at once, under load
// rows gather behind the commit that is under way.
func (w *writer) run() {
	for e := range w.waiting {
		group, size := []*entry{e}, len(e.row.delivery)+len(e.row.result)
	gather:
		for len(group) < groupRows && size < groupBytes {
			select {
			case e, ok := <-w.waiting:
				if !ok {
					break gather
				}
				group, size = append(group, e), size+len(e.row.delivery)+len(e.row.result)
			default:
				break gather
			}
		}
		w.commit(group)
	}
}

// commit stores a group. When the group fails for a reason of one row, each is
// tried alone, so that one bad row fails alone.
func (w *writer) commit(group []*entry) {
	ctx, cancel := context.WithTimeout(context.Background(), commitDeadline)
	defer cancel()
	err := w.insert(ctx, group)
	if err == nil || len(group) == 1 || postgres.IsUnavailable(err) || ctx.Err() != nil {
		for _, e := range group {
			e.done <- explain(err)
		}
		return
	}
	w.log.Warn("a group of webhooks was refused, storing each alone", "rows", len(group), "error", err)
	for _, e := range group {
		e.done <- explain(w.insert(ctx, []*entry{e}))
	}
}

func explain(err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("store a webhook: %w", err)
	if postgres.IsUnavailable(err) || errors.Is(err, context.DeadlineExceeded) {
		return tenant.ErrUnavailable.With(err)
	}
	return err
}

// insertSQL stores a group and its job in one statement, and wakes the workers
// when $12 says so.
const insertSQL = `
with stored as (
	insert into crm.inbox (tenant_id, id, received_at, installation_id, plugin, state, delivery, result, crashes)
	select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[], $7::bytea[], $8::bytea[], $9::int[])
), job as (
	insert into river.river_job (args, kind, max_attempts, queue, priority, state, scheduled_at, metadata, tags)
	select a, $11, 25, '` + queue.Receive + `', 1, 'available', now(), '{}', '{}' from unnest($10::jsonb[]) a
)
select case when $12 then pg_notify('` + queue.Schema + `.river_insert', '{"queue":"` + queue.Receive + `"}') end`

func (w *writer) insert(ctx context.Context, group []*entry) error {
	var c columns
	refs := []Ref{}
	for _, e := range group {
		c.add(e.row)
		if e.row.state != stateDone {
			refs = append(refs, Ref{id.From[tenant.Tenant](e.row.tenant), e.row.id, e.row.receivedAt})
		}
	}
	jobs := []string{}
	if len(refs) > 0 {
		args, err := json.Marshal(Received{refs})
		if err != nil {
			return fmt.Errorf("encode a job: %w", err)
		}
		jobs = append(jobs, string(args))
	}
	_, err := w.pool.Exec(ctx, insertSQL, c.tenants, c.ids, c.times, c.installations, c.plugins, c.states,
		c.deliveries, c.results, c.crashes, jobs, Received{}.Kind(), len(jobs) > 0 && w.due())
	return err
}

// due reports whether this group should wake the workers.
func (w *writer) due() bool {
	if time.Since(w.woken) < wakeEvery {
		return false
	}
	w.woken = time.Now()
	return true
}

// columns are rows turned round, as unnest takes them.
type columns struct {
	tenants, ids, installations []pgtype.UUID // what pgx encodes without reflection
	times                       []time.Time
	plugins, states             []string
	deliveries, results         [][]byte
	crashes                     []int32
}

func (c *columns) add(r row) {
	c.tenants = append(c.tenants, pgtype.UUID{Bytes: r.tenant, Valid: true})
	c.ids = append(c.ids, pgtype.UUID{Bytes: r.id, Valid: true})
	c.installations = append(c.installations, pgtype.UUID{Bytes: r.installation, Valid: true})
	c.times = append(c.times, r.receivedAt)
	c.plugins, c.states = append(c.plugins, r.plugin), append(c.states, r.state)
	c.deliveries, c.results = append(c.deliveries, r.delivery), append(c.results, r.result)
	c.crashes = append(c.crashes, r.crashes)
}
