// Package deadletter shows the operator what was given up: webhooks that a
// plugin died with or never got done, events that no domain could take, messages
// in whose sending a plugin died. None of it is ever tried again by itself; the
// operator lets it go once more, or drops it.
package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Kind says what was given up.
type Kind string

// The kinds.
const (
	Webhook Kind = "webhook" // of an installation
	Shared  Kind = "shared"  // a webhook of nobody known
	Event   Kind = "event"   // of a webhook whose other events were taken
	Message Kind = "message" // nobody knows whether it went
)

// ErrNotFound says that nothing of that id was given up.
var ErrNotFound = fault.New(fault.NotFound, "dead_letter.not_found", "Nothing of that id was given up.")

// Letter is something that was given up.
type Letter struct {
	Kind Kind
	ID   uuid.UUID
	// Tenant is zero for Shared.
	Tenant tenant.ID
	Plugin string
	// At is when it came, or was to go.
	At time.Time
	// Crashes counts the exits of the plugin's process in which it was under way.
	Crashes int
	Reason  string
}

// Letters are those of all agencies.
type Letters struct{ Pool *tenant.Pool }

// listSQL finds the letters of a tenants' database: of plugin $1, or of any if
// that is empty, and of id $2, or any if that is null; at most $3.
const listSQL = `
select * from (
	select 'webhook' as kind, b.tenant_id, b.id, b.plugin, b.received_at as at, b.crashes, b.error
	from crm.inbox b where b.state = 'dead'
	union all
	select 'event', f.tenant_id, f.id, coalesce(b.plugin, ''), f.created_at, 0, f.reason
	from crm.failed_events f left join crm.inbox b on b.tenant_id = f.tenant_id and b.id = f.inbox_id
	union all
	select 'message', m.tenant_id, m.id, n.plugin, m.dispatched_at, 1, 'the process ended while it sent the message'
	from crm.messages m
	join crm.accounts a on a.tenant_id = m.tenant_id and a.id = m.account_id
	join crm.installations n on n.tenant_id = a.tenant_id and n.id = a.installation_id
	where m.status = 'unknown' and m.failure_code = '` + conversation.FailureCrashed + `'
) l
where ($1 = '' or plugin = $1) and ($2::uuid is null or id = $2)
order by at desc limit $3`

// List returns the newest letters of a plugin, or of all for an empty name. A
// database that is away does not hide those of the others, and is an error all
// the same.
func (l Letters) List(ctx context.Context, plugin string, limit int) ([]Letter, error) {
	return l.find(ctx, plugin, nil, limit)
}

func (l Letters) find(ctx context.Context, plugin string, one *uuid.UUID, limit int) ([]Letter, error) {
	out := []Letter{}
	err := l.Pool.Control().NewRaw(`
		select 'shared' as kind, id, plugin, received_at as at, crashes, error as reason from control.spool
		where state = 'dead' and (? = '' or plugin = ?) and (?::uuid is null or id = ?) order by received_at desc limit ?`,
		plugin, plugin, one, one, limit).Scan(ctx, &out)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	databases, err := l.Pool.Databases(ctx)
	if err != nil {
		return nil, err
	}
	var away error
	for _, d := range databases {
		err := l.Pool.System(ctx, d.ID, "dead letters", func(ctx context.Context, s tenant.Sys) error {
			return s.Query(ctx, func(scan func(...any) error) error {
				var one Letter
				var whose uuid.UUID
				err := scan(&one.Kind, &whose, &one.ID, &one.Plugin, &one.At, &one.Crashes, &one.Reason)
				one.Tenant = id.From[tenant.Tenant](whose)
				out = append(out, one)
				return err
			}, listSQL, plugin, one, limit)
		})
		if err != nil {
			away = errors.Join(away, fmt.Errorf("list dead letters of database %s: %w", d.Name, err))
		}
	}
	slices.SortFunc(out, func(a, b Letter) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID.String(), b.ID.String())) })
	return out[:min(len(out), limit)], away
}

// Retry lets a letter go once more. A webhook is shown to the plugin again,
// alone, and given up at its next crash. A message goes out as another of the
// same words: the customer may get it twice.
func (l Letters) Retry(ctx context.Context, i uuid.UUID) (Letter, error) {
	return l.settle(ctx, i, retries)
}

// Drop has a letter never be tried again: it is not listed any more.
func (l Letters) Drop(ctx context.Context, i uuid.UUID) (Letter, error) {
	return l.settle(ctx, i, drops)
}

func (l Letters) settle(ctx context.Context, i uuid.UUID, how map[Kind]action) (Letter, error) {
	found, err := l.find(ctx, "", &i, 1)
	if len(found) == 0 {
		return Letter{}, cmp.Or(err, error(ErrNotFound))
	}
	one := found[0]
	if one.Kind == Shared {
		_, err = l.Pool.Control().NewRaw(how[Shared].sql[0], i).Exec(ctx)
	} else {
		err = l.Pool.Do(ctx, one.Tenant, func(ctx context.Context, s tenant.Scope) error { return how[one.Kind].do(ctx, s, i) })
	}
	if err != nil {
		return one, fmt.Errorf("settle dead letter %s: %w", i, err)
	}
	return one, nil
}
