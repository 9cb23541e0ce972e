package ingress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// Receiver takes stored webhooks into the domains.
type Receiver struct {
	Pool      *tenant.Pool
	Directory *installation.Directory
	Registry  *pluginhost.Registry
	Metrics   *Metrics
	Log       *slog.Logger
}

// Work takes the rows of a job. Those of one tenant share a transaction, in
// which they are also marked done; if it fails, each row and then each event is
// tried alone, and one that cannot be taken is kept with its reason.
func (v *Receiver) Work(ctx context.Context, job *queue.Job[Received]) error {
	byTenant := map[tenant.ID][]Ref{}
	var order []tenant.ID
	for _, r := range job.Args.Rows {
		if byTenant[r.Tenant] == nil {
			order = append(order, r.Tenant)
		}
		byTenant[r.Tenant] = append(byTenant[r.Tenant], r)
	}
	var all error
	left := restNone
	for _, t := range order {
		more, err := v.handle(ctx, t, byTenant[t])
		if err != nil {
			all = errors.Join(all, fmt.Errorf("take webhooks of tenant %s: %w", t, err))
		}
		left = max(left, more)
	}
	if all == nil && left != restNone && time.Since(oldest(job.Args.Rows)) < overdueAfter {
		return queue.Snooze(replayPause)
	}
	return all // what is left for longer is found by Waiting
}

func oldest(rows []Ref) time.Time {
	at := rows[0].At
	for _, r := range rows {
		if r.At.Before(at) {
			at = r.At
		}
	}
	return at
}

// handle takes rows of one tenant: those with events, and those that the plugin
// is shown now.
func (v *Receiver) handle(ctx context.Context, t tenant.ID, refs []Ref) (rest, error) {
	raw, err := v.take(ctx, t, refs)
	if err != nil || len(raw) == 0 {
		return restNone, err
	}
	return v.replay(ctx, t, raw)
}

// stored is an inbox row as it is read back.
type stored struct {
	ID             uuid.UUID
	ReceivedAt     time.Time
	InstallationID uuid.UUID
	Plugin         string
	State          string
	Delivery       []byte
	Result         []byte
	Attempts       int
	Crashes        int
	NotBefore      time.Time `bun:",nullzero"`
}

// span are the arguments by which rows are found: their ids, and the time they
// lie in, so that only the partitions of those days are looked at.
func span(rows []Ref) (ids []uuid.UUID, from, to time.Time) {
	from, to = rows[0].At, rows[0].At
	for _, r := range rows {
		ids = append(ids, r.ID)
		if r.At.Before(from) {
			from = r.At
		}
		if r.At.After(to) {
			to = r.At
		}
	}
	return ids, from, to
}

// take handles the rows whose events are there, and returns those that the
// plugin has not seen.
func (v *Receiver) take(ctx context.Context, t tenant.ID, refs []Ref) ([]stored, error) {
	var raw, ready []stored
	err := v.Pool.Do(ctx, t, func(ctx context.Context, s tenant.Scope) error {
		raw, ready = nil, nil
		rows, err := lockRows(ctx, s, refs)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.State == stateRaw {
				raw = append(raw, r)
			} else {
				ready = append(ready, r)
			}
		}
		var events []received
		for _, r := range ready {
			more, err := eventsOf(r)
			if err != nil {
				return err
			}
			events = append(events, more...)
		}
		if err := apply(ctx, s, events); err != nil {
			return err
		}
		return finish(ctx, s, ready)
	})
	if err == nil || passing(ctx, err) && !postgres.IsRetryable(err) {
		return raw, err
	}
	v.Log.WarnContext(ctx, "webhooks could not be taken together, taking each alone", "tenant", t, "rows", len(ready), "error", err)
	var all error
	for _, r := range ready {
		all = errors.Join(all, v.alone(ctx, t, r))
	}
	return raw, all
}

func lockRows(ctx context.Context, s tenant.Scope, refs []Ref) ([]stored, error) {
	ids, from, to := span(refs)
	rows := []stored{}
	err := s.Query(ctx, &rows, `
		select id, received_at, installation_id, plugin, state, delivery, result, attempts, crashes, not_before from crm.inbox
		where tenant_id = $1 and id = any($2) and received_at between $3 and $4 and state in ('raw', 'ready')
		order by received_at, id for update skip locked`, s.Tenant(), ids, from, to)
	if err != nil {
		return nil, fmt.Errorf("lock %d webhooks: %w", len(refs), err)
	}
	return rows, nil
}

func finish(ctx context.Context, s tenant.Scope, rows []stored) error {
	if len(rows) == 0 {
		return nil
	}
	refs := make([]Ref, len(rows))
	for n, r := range rows {
		refs[n] = Ref{ID: r.ID, At: r.ReceivedAt}
	}
	ids, from, to := span(refs)
	_, err := s.Exec(ctx, `
		update crm.inbox set state = 'done', done_at = $5, error = ''
		where tenant_id = $1 and id = any($2) and received_at between $3 and $4`, s.Tenant(), ids, from, to, s.Now())
	if err != nil {
		return fmt.Errorf("finish %d webhooks: %w", len(rows), err)
	}
	return nil
}

// received is an event with the row it came in.
type received struct {
	row   stored
	event *pluginv1.Event
}

func eventsOf(r stored) ([]received, error) {
	result := &pluginv1.WebhookResult{}
	if err := proto.Unmarshal(r.Result, result); err != nil {
		return nil, fmt.Errorf("read the result of webhook %s: %w", r.ID, err)
	}
	out := make([]received, len(result.GetEvents()))
	for n, e := range result.GetEvents() {
		out[n] = received{r, e}
	}
	return out, nil
}

// alone takes one row, event by event if need be. What fails is kept with its
// reason, and the row is done.
func (v *Receiver) alone(ctx context.Context, t tenant.ID, r stored) error {
	events, err := eventsOf(r)
	if err != nil {
		return v.bury(ctx, t, r, err)
	}
	var bad []received
	var reasons []string
	for _, e := range events {
		err := v.Pool.Do(ctx, t, func(ctx context.Context, s tenant.Scope) error { return apply(ctx, s, []received{e}) })
		if err == nil {
			continue
		}
		if passing(ctx, err) {
			return err
		}
		v.Log.ErrorContext(ctx, "event could not be taken", "tenant", t, "plugin", r.Plugin, "webhook", r.ID, "error", err)
		v.Metrics.count(r.Plugin, "failed_event")
		bad, reasons = append(bad, e), append(reasons, err.Error())
	}
	return v.Pool.Do(ctx, t, func(ctx context.Context, s tenant.Scope) error {
		for n, e := range bad {
			if err := keepFailed(ctx, s, e, reasons[n]); err != nil {
				return err
			}
		}
		return finish(ctx, s, []stored{r})
	})
}

// passing reports whether an error comes from what is around an event rather than
// from the event: then it is tried again. A unique key refuses what somebody
// else wrote at the same moment.
func passing(ctx context.Context, err error) bool {
	return ctx.Err() != nil || postgres.IsUnavailable(err) || postgres.IsRetryable(err) || postgres.IsTimeout(err) || postgres.IsUnique(err, "")
}

func keepFailed(ctx context.Context, s tenant.Scope, e received, reason string) error {
	raw, err := proto.Marshal(e.event)
	if err != nil {
		return err
	}
	_, err = s.Exec(ctx, `
		insert into crm.failed_events (tenant_id, id, inbox_id, dedupe_key, event, reason, created_at)
		values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
		s.Tenant(), uuid.Must(uuid.NewV7()), e.row.ID, shortKey(e.event.GetDedupeKey()), raw, clean(reason), s.Now())
	if err != nil {
		return fmt.Errorf("keep an event that failed: %w", err)
	}
	return nil
}

// shortKey is a dedupe key that an index can hold: a long one is replaced by its
// digest.
func shortKey(key string) string {
	if len(key) <= 200 {
		return clean(key)
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// bury gives a row up.
func (v *Receiver) bury(ctx context.Context, t tenant.ID, r stored, why error) error {
	v.Log.ErrorContext(ctx, "webhook given up", "tenant", t, "plugin", r.Plugin, "webhook", r.ID, "error", why)
	v.Metrics.count(r.Plugin, "dead")
	return v.Pool.Do(ctx, t, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `
			update crm.inbox set state = 'dead', error = $4, done_at = $5, attempts = attempts + 1, crashes = crashes + $6
			where tenant_id = $1 and id = $2 and received_at = $3`,
			s.Tenant(), r.ID, r.ReceivedAt, clean(why.Error()), s.Now(), crashOf(why))
		return err
	})
}

// crashOf is 1 if a process ended with the webhook, else 0.
func crashOf(err error) int32 {
	if pluginhost.Crashed(err) {
		return 1
	}
	return 0
}

// apply takes events of one tenant: messages, then ticks, then the rest.
func apply(ctx context.Context, s tenant.Scope, events []received) error {
	var messages []conversation.Incoming
	var ticks []conversation.Update
	for _, e := range events {
		switch p := e.event.GetPayload().(type) {
		case *pluginv1.Event_Inbound:
			messages = append(messages, inbound(e, p.Inbound))
		case *pluginv1.Event_Echo:
			messages = append(messages, echo(e, p.Echo))
		case *pluginv1.Event_Delivery:
			if u, ok := tick(e, p.Delivery); ok {
				ticks = append(ticks, u)
			}
		}
	}
	if err := lockOthers(ctx, s, messages, events); err != nil {
		return err
	}
	if err := conversation.Receive(ctx, s, messages); err != nil {
		return err
	}
	if err := conversation.Advance(ctx, s, ticks); err != nil {
		return err
	}
	for _, e := range events {
		if err := applyOther(ctx, s, e); err != nil {
			return err
		}
	}
	return nil
}

// lockOthers locks all people at once where events speak of more than those who
// wrote, whom conversation.Receive locks.
func lockOthers(ctx context.Context, s tenant.Scope, messages []conversation.Incoming, events []received) error {
	var people []contact.Party
	for _, e := range events {
		people = append(people, partiesOf(e)...)
	}
	if len(people) == 0 {
		return nil
	}
	for _, m := range messages {
		people = append(people, m.Party)
	}
	return contact.Lock(ctx, s, people)
}
