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
	queue.Handle(w, automation.Worker(p.Pool))
	queue.Handle(w, p.outbox.Work)
	return w, []queue.Sweep{
		ingress.Waiting, conversation.Overdue, conversation.Stuck,
		chore("inbox days", time.Hour, `select crm.ensure_inbox_days((now() at time zone 'utc')::date, 8)`),
		chore("old inbox days", 6*time.Hour, `select crm.drop_inbox_days((now() at time zone 'utc')::date - 30)`),
		// Providers repeat a webhook for up to seven days.
		chore("parked ticks", time.Hour, `delete from crm.parked_updates where created_at < now() - interval '8 days'`),
		chore("idempotency keys", time.Hour, `delete from crm.idempotency where created_at < now() - interval '1 day'`),
	}
}

// chore is a statement that is run across tenants now and then.
func chore(name string, every time.Duration, sql string) queue.Sweep {
	return queue.Sweep{Name: name, Every: every, Do: func(ctx context.Context, s tenant.Sys) error {
		_, err := s.Exec(ctx, sql)
		return err
	}}
}
