package deadletter

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/tenant"
)

// action is what settles a letter: statements of its tenant and its id, or a
// domain's function.
type action struct {
	sql  []string
	then func(ctx context.Context, s tenant.Scope, i uuid.UUID) error
}

func (a action) do(ctx context.Context, s tenant.Scope, i uuid.UUID) error {
	for _, q := range a.sql {
		if _, err := s.Exec(ctx, q, s.Tenant(), i); err != nil {
			return err
		}
	}
	if a.then == nil {
		return nil
	}
	return a.then(ctx, s, i)
}

// A webhook stays a suspect: another crash is its last. What waits is found by
// the sweep, and the spool's next round.
var retries = map[Kind]action{
	Shared: {sql: []string{`update control.spool set state = 'waiting', attempts = 0, crashes = least(crashes, 1), not_before = null where id = ? and state = 'dead'`}},
	Webhook: {sql: []string{`update crm.inbox set state = 'raw', attempts = 0, crashes = least(crashes, 1), not_before = null, done_at = null
		where tenant_id = $1 and id = $2 and state = 'dead'`}},
	Event: {sql: []string{
		`update crm.inbox b set state = 'ready', done_at = null from crm.failed_events f
			where f.tenant_id = $1 and f.id = $2 and b.tenant_id = f.tenant_id and b.id = f.inbox_id and b.state = 'done'`,
		`delete from crm.failed_events where tenant_id = $1 and id = $2`,
	}},
	Message: {then: resend},
}

var drops = map[Kind]action{
	Shared:  {sql: []string{`delete from control.spool where id = ? and state = 'dead'`}},
	Webhook: {sql: []string{`update crm.inbox set state = 'done' where tenant_id = $1 and id = $2 and state = 'dead'`}},
	Event:   {sql: []string{`delete from crm.failed_events where tenant_id = $1 and id = $2`}},
	Message: {then: func(ctx context.Context, s tenant.Scope, i uuid.UUID) error {
		return conversation.GiveUp(ctx, s, conversation.MessageID{UUID: i})
	}},
}

func resend(ctx context.Context, s tenant.Scope, i uuid.UUID) error {
	var of conversation.ID
	err := s.Query(ctx, &of, `select conversation_id from crm.messages where tenant_id = $1 and id = $2`, s.Tenant(), i)
	if err != nil {
		return fmt.Errorf("find the conversation: %w", err)
	}
	_, err = conversation.Resend(ctx, s, of, conversation.MessageID{UUID: i})
	return err
}
