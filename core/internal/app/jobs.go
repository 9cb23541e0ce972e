package app

import (
	"context"
	"time"

	"github.com/stratohub/strato/core/internal/automation"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
)

// jobs is all background work: what is done for each kind of job, and what is
// looked after without one.
func jobs(p *parts) (*queue.Workers, []queue.Sweep) {
	w := queue.NewWorkers()
	queue.Handle(w, p.receiver.Work)
	queue.Handle(w, p.receiver.CatchUp)
	queue.Handle(w, automation.Worker(p.Pool))
	queue.Handle(w, p.outbox.Work)
	queue.Handle(w, p.outbox.Signal)
	return w, []queue.Sweep{
		ingress.Waiting, conversation.Overdue, conversation.Stuck,
		chore("inbox days", time.Hour, `select crm.ensure_inbox_days((now() at time zone 'utc')::date, 8)`),
		chore("old inbox days", 6*time.Hour, `select crm.drop_inbox_days((now() at time zone 'utc')::date - 30)`),
		// Providers repeat a webhook for up to seven days.
		chore("parked ticks", time.Hour, `delete from crm.parked_updates where created_at < now() - interval '8 days'`),
		chore("idempotency keys", time.Hour, `delete from crm.idempotency where created_at < now() - interval '1 day'`),
	}
}

// chore is a statement that is run across tenants now and then. It does not wait
// long for locks: everybody else would wait behind it.
func chore(name string, every time.Duration, sql string) queue.Sweep {
	return queue.Sweep{Name: name, Every: every, Do: func(ctx context.Context, s tenant.Sys) error {
		if _, err := s.Exec(ctx, "set local lock_timeout = '2s'"); err != nil {
			return err
		}
		_, err := s.Exec(ctx, sql)
		return err
	}}
}

const (
	pruneEvery = time.Hour
	// keepSessions is how long a session that ended can still be looked up.
	keepSessions = 30 * 24 * time.Hour
)

// pruneSessions forgets sessions that ended long ago, until ctx ends.
func (p *parts) pruneSessions(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if _, err := p.Accounts.PruneSessions(ctx, time.Now().Add(-keepSessions)); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "old sessions could not be forgotten", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
