package conversation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Update is a tick on a message we sent, as a webhook told of it.
type Update struct {
	Account installation.AccountKey `json:"-"`
	// ExternalID is the provider's id of the message.
	ExternalID string `json:"-"`
	// MessageID is ours, when the provider carries it back; else zero.
	MessageID MessageID `json:"message_id,omitzero"`
	// Status is Sent, Delivered, Read or Failed.
	Status State `json:"status"`
	// FailureCode, FailureDetail and ProviderCode come with Failed.
	FailureCode   string    `json:"failure_code,omitempty"`
	FailureDetail string    `json:"failure_detail,omitempty"`
	ProviderCode  string    `json:"provider_code,omitempty"`
	OccurredAt    time.Time `json:"occurred_at"`
}

// rank orders the states of a message on its way. Providers promise no order:
// a state is taken only if it ranks higher than the one that is there.
func (s State) rank() int {
	switch s {
	case Queued:
		return 0
	case Dispatching, Unknown:
		return 1
	case Sent:
		return 2
	case Failed:
		return 3
	case Delivered:
		return 4
	case Read:
		return 5
	case Received: // nothing comes after
	}
	return 6
}

// advance takes an update into a message, and reports whether the message's
// status changed. Times are kept whatever the order: the first of each kind
// stays. Failed is final unless something real had arrived before it.
func (m *Message) advance(u Update) bool {
	at := u.OccurredAt
	switch u.Status {
	case Sent:
		m.SentAt = first(m.SentAt, at)
	case Delivered:
		m.DeliveredAt = first(m.DeliveredAt, at)
	case Read:
		m.ReadAt = first(m.ReadAt, at)
		m.DeliveredAt = first(m.DeliveredAt, at)
	case Failed:
		m.FailedAt = first(m.FailedAt, at)
	default: // no webhook tells of the others
	}
	if m.Status == Failed || u.Status.rank() <= m.Status.rank() {
		return false
	}
	// An unknown message may have said why; it did go after all.
	m.FailureCode, m.FailureDetail, m.ProviderCode = u.FailureCode, u.FailureDetail, u.ProviderCode
	m.Status = u.Status
	return true
}

func first(have, new time.Time) time.Time {
	if have.IsZero() {
		return new
	}
	return have
}

// Advance takes ticks of one tenant that arrived together. States only move
// forward, so ticks may come in any order and any number of times. A tick for a
// message that is not known yet is parked until the send is recorded.
func Advance(ctx context.Context, s tenant.Scope, in []Update) error {
	if len(in) == 0 {
		return nil
	}
	accounts, err := installation.Accounts(ctx, s, accountKeysOf(in))
	if err != nil {
		return err
	}
	rest, err := tick(ctx, s, in, accounts)
	if err != nil || len(rest) == 0 {
		return err
	}
	unmet := make([]external, len(rest))
	for n, u := range rest {
		unmet[n] = external{accounts[u.Account], u.ExternalID}
	}
	if err := meet(ctx, s, unmet); err != nil {
		return err
	}
	// Their messages may have come while we waited.
	rest, err = tick(ctx, s, rest, accounts)
	if err != nil {
		return err
	}
	return park(ctx, s, rest, accounts)
}

// tick takes updates into the messages that they speak of, and returns those
// whose messages are not there.
func tick(ctx context.Context, s tenant.Scope, in []Update, accounts map[installation.AccountKey]installation.AccountID) ([]Update, error) {
	found, err := lockTicked(ctx, s, in, accounts)
	if err != nil {
		return nil, err
	}
	var moved []*Message
	var rest []Update
	for _, u := range in {
		m := found.of(accounts[u.Account], u)
		if m == nil {
			rest = append(rest, u)
			continue
		}
		m.ExternalID = cmp.Or(m.ExternalID, u.ExternalID)
		if m.advance(u) && m.Status == Failed {
			if err := event.Append(ctx, s, failedEvent(m)); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(moved, m) {
			moved = append(moved, m)
		}
	}
	return rest, saveTicks(ctx, s, moved)
}

func accountKeysOf(in []Update) []installation.AccountKey {
	var keys []installation.AccountKey
	for _, u := range in {
		if !slices.Contains(keys, u.Account) {
			keys = append(keys, u.Account)
		}
	}
	return keys
}

type external struct {
	account installation.AccountID
	id      string
}

// ticked finds a message by either of its ids.
type ticked struct {
	byID       map[MessageID]*Message
	byExternal map[external]*Message
}

// of prefers the provider's id. Ours comes back through the provider, so it
// counts only for the account it was sent from.
func (t ticked) of(account installation.AccountID, u Update) *Message {
	if m := t.byExternal[external{account, u.ExternalID}]; m != nil {
		return m
	}
	m := t.byID[u.MessageID]
	if m == nil || m.AccountID != account || m.ExternalID != "" && m.ExternalID != u.ExternalID {
		return nil
	}
	return m
}

const tickColumns = `v.lead_id as lead_id, m.id, m.conversation_id, m.account_id, m.external_id, m.status, m.failure_code, m.failure_detail,
	m.provider_code, m.sent_at, m.delivered_at, m.read_at, m.failed_at`

// lockTicked locks the messages that updates speak of, in the order of their
// ids, so that two batches cannot wait for each other in a circle.
func lockTicked(ctx context.Context, s tenant.Scope, in []Update, accounts map[installation.AccountKey]installation.AccountID) (ticked, error) {
	var owners, ids []uuid.UUID
	var externals []string
	for _, u := range in {
		owners, externals = append(owners, accounts[u.Account].UUID), append(externals, u.ExternalID)
		if !u.MessageID.IsZero() {
			ids = append(ids, u.MessageID.UUID)
		}
	}
	rows := []Message{}
	err := s.Query(ctx, &rows, `
		with k as (
			select m.id from unnest($2::uuid[], $3::text[]) e(account_id, external_id)
			join crm.messages m on m.tenant_id = $1 and m.account_id = e.account_id and m.external_id = e.external_id
			union
			select m.id from crm.messages m where m.tenant_id = $1 and m.id = any($4)
		)
		select `+tickColumns+`
		from crm.messages m
		join crm.conversations v on v.tenant_id = m.tenant_id and v.id = m.conversation_id
		where m.tenant_id = $1 and m.id in (select id from k) and m.direction = 'out'
		order by m.id for update of m`, s.Tenant(), owners, externals, ids)
	if err != nil {
		return ticked{}, fmt.Errorf("find the messages of %d ticks: %w", len(in), err)
	}
	t := ticked{map[MessageID]*Message{}, map[external]*Message{}}
	for i := range rows {
		m := &rows[i]
		t.byID[m.ID] = m
		if m.ExternalID != "" {
			t.byExternal[external{m.AccountID, m.ExternalID}] = m
		}
	}
	return t, nil
}

// saveTicks writes messages back in one statement.
func saveTicks(ctx context.Context, s tenant.Scope, list []*Message) error {
	if len(list) == 0 {
		return nil
	}
	var u struct {
		ids                           []uuid.UUID
		externals, statuses           []string
		codes, details, provider      []string
		sent, delivered, read, failed []*time.Time
	}
	for _, m := range list {
		u.ids, u.externals, u.statuses = append(u.ids, m.ID.UUID), append(u.externals, m.ExternalID), append(u.statuses, string(m.Status))
		u.codes, u.details, u.provider = append(u.codes, m.FailureCode), append(u.details, m.FailureDetail), append(u.provider, m.ProviderCode)
		u.sent, u.delivered = append(u.sent, orNull(m.SentAt)), append(u.delivered, orNull(m.DeliveredAt))
		u.read, u.failed = append(u.read, orNull(m.ReadAt)), append(u.failed, orNull(m.FailedAt))
		s.Announce(tenant.Change{Type: "message.updated", ID: m.ID.UUID, Parent: m.ConversationID.UUID})
	}
	_, err := s.Exec(ctx, `
		update crm.messages m set external_id = nullif(u.external_id, ''), status = u.status, failure_code = u.code,
			failure_detail = u.detail, provider_code = u.provider_code,
			sent_at = u.sent, delivered_at = u.delivered, read_at = u.read, failed_at = u.failed
		from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
			$8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[])
			u(id, external_id, status, code, detail, provider_code, sent, delivered, read, failed)
		where m.tenant_id = $1 and m.id = u.id`,
		s.Tenant(), u.ids, u.externals, u.statuses, u.codes, u.details, u.provider, u.sent, u.delivered, u.read, u.failed)
	if err != nil {
		return fmt.Errorf("write the ticks of %d messages: %w", len(list), err)
	}
	return nil
}

// failedEvent tells that a message will not arrive.
func failedEvent(m *Message) event.Event {
	return event.Event{
		Type: event.MessageFailed, LeadID: m.LeadID.UUID, ConversationID: m.ConversationID.UUID, Actor: event.ByProvider,
		Payload: event.Payload(map[string]any{
			"message_id": m.ID, "code": m.FailureCode, "detail": m.FailureDetail, "provider_code": m.ProviderCode,
		}),
	}
}
