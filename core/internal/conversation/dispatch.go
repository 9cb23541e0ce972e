package conversation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
)

// FailureStale is the failure of a message that was decided before somebody
// else took the conversation.
const FailureStale = "superseded"

// FailureCrashed marks an unknown message in whose sending the plugin's process
// ended: it waits for the operator, too.
const FailureCrashed = "plugin_crashed"

// Dispatch is a claimed message with what a provider has to know.
type Dispatch struct {
	Message      Message
	Installation installation.ID
	Account      installation.AccountKey
	// To is what the contact is known by, the last seen first.
	To              []contact.Address
	WindowExpiresAt time.Time
}

// Claim takes the oldest message that waits in a conversation, or nil if none
// may go now: order is kept, so nothing goes while another is being given to
// the provider or waits for its next attempt. A message of the assistant that
// was decided before somebody else took the conversation fails here. Only after
// the claim has been committed may the provider be called.
func Claim(ctx context.Context, s tenant.Scope, i ID) (*Dispatch, error) {
	v, err := lock(ctx, s, i)
	if err != nil {
		return nil, err
	}
	for {
		m, err := head(ctx, s, i)
		if err != nil || m == nil || m.Status == Dispatching || m.NotBefore.After(s.Now()) {
			return nil, err
		}
		m.LeadID = v.LeadID
		if m.Author == ByAssistant && m.Epoch != v.Epoch {
			if err := m.fail(ctx, s, Refusal{Code: FailureStale, Detail: "somebody else took the conversation first"}); err != nil {
				return nil, err
			}
			continue
		}
		return claim(ctx, s, v, m)
	}
}

// head is the oldest message of a conversation that is not out yet.
func head(ctx context.Context, s tenant.Scope, i ID) (*Message, error) {
	m := &Message{}
	err := s.Query(ctx, m, `
		select * from crm.messages
		where tenant_id = $1 and conversation_id = $2 and status in ('queued', 'dispatching')
		order by id limit 1`, s.Tenant(), i)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find what waits in conversation %s: %w", i, err)
	}
	return m, nil
}

func claim(ctx context.Context, s tenant.Scope, v *Conversation, m *Message) (*Dispatch, error) {
	m.Status, m.DispatchedAt = Dispatching, s.Now()
	m.Attempts++
	_, err := s.Exec(ctx, `
		update crm.messages set status = 'dispatching', attempts = $3, dispatched_at = $4 where tenant_id = $1 and id = $2`,
		s.Tenant(), m.ID, int32(m.Attempts), m.DispatchedAt)
	if err != nil {
		return nil, fmt.Errorf("claim message %s: %w", m.ID, err)
	}
	var a installation.Account
	if err := s.Select(&a).Where("n.id = ?", v.AccountID).Scan(ctx); err != nil {
		return nil, fmt.Errorf("find account %s: %w", v.AccountID, err)
	}
	to, err := contact.Addresses(ctx, s, v.ContactID)
	if err != nil {
		return nil, err
	}
	return &Dispatch{
		Message: *m, Installation: a.InstallationID, To: to, WindowExpiresAt: v.WindowExpiresAt,
		Account: installation.AccountKey{Installation: a.InstallationID, Kind: a.Kind, Value: a.Value},
	}, nil
}

// Refusal says why a message did not go.
type Refusal struct{ Code, Detail, ProviderCode string }

// Accepted records that the provider took a message, under the provider's id,
// which may be empty. Ticks that came before are taken now. recipient has
// addresses that the provider says are the contact's.
func Accepted(ctx context.Context, s tenant.Scope, i MessageID, externalID string, recipient []contact.Address) error {
	m, err := lockMessage(ctx, s, i)
	if err != nil {
		return err
	}
	if externalID != "" && m.ExternalID == "" {
		m.ExternalID = externalID
		if err := meet(ctx, s, []external{{m.AccountID, externalID}}); err != nil {
			return err
		}
		if err := absorb(ctx, s, m); err != nil {
			return err
		}
		if err := unpark(ctx, s, m); err != nil {
			return err
		}
	}
	m.advance(Update{Status: Sent, OccurredAt: s.Now()})
	if err := saveTicks(ctx, s, []*Message{m}); err != nil {
		return err
	}
	if err := contact.Learn(ctx, s, m.contactID, recipient); err != nil {
		return err
	}
	return event.Append(ctx, s, event.Event{
		Type: event.MessageSent, LeadID: m.LeadID.UUID, ConversationID: m.ConversationID.UUID,
		Actor: actorOf(m.Author), ActorID: m.AuthorID,
		Payload: event.Payload(map[string]any{"message_id": m.ID, "type": m.Type, "preview": preview(m.Type, m.Text)}),
	})
}

func actorOf(a Author) event.Actor {
	if a == ByUser {
		return event.ByUser
	}
	return event.ByAssistant
}

// Refused records that a message will not go.
func Refused(ctx context.Context, s tenant.Scope, i MessageID, r Refusal) error {
	m, err := lockMessage(ctx, s, i)
	if err != nil || m.Status != Dispatching {
		return err
	}
	return m.fail(ctx, s, r)
}

// fail makes a message failed, with its event.
func (m *Message) fail(ctx context.Context, s tenant.Scope, r Refusal) error {
	m.advance(Update{Status: Failed, FailureCode: r.Code, FailureDetail: r.Detail, ProviderCode: r.ProviderCode, OccurredAt: s.Now()})
	if err := saveTicks(ctx, s, []*Message{m}); err != nil {
		return err
	}
	return event.Append(ctx, s, failedEvent(m))
}

// Postponed puts a message back, to be tried again not before a moment. It is
// for messages that certainly did not go. An attempt that does not count is
// taken back.
func Postponed(ctx context.Context, s tenant.Scope, i MessageID, until time.Time, counts bool) error {
	m, err := lockMessage(ctx, s, i)
	if err != nil || m.Status != Dispatching {
		return err
	}
	attempts := m.Attempts
	if !counts {
		attempts--
	}
	_, err = s.Exec(ctx, `
		update crm.messages set status = 'queued', attempts = $3, not_before = $4 where tenant_id = $1 and id = $2`,
		s.Tenant(), i, int32(attempts), until)
	if err != nil {
		return fmt.Errorf("postpone message %s: %w", i, err)
	}
	return queue.Insert(ctx, s, Deliver{s.Tenant(), m.ConversationID}, queue.Options{Queue: queue.Send, At: until})
}

// Lost records that nobody knows whether the provider took a message. It is
// never sent again by itself: a tick may still tell, or a person decides. The
// conversation's next message may go. why is FailureCrashed or empty.
func Lost(ctx context.Context, s tenant.Scope, i MessageID, why string) error {
	m, err := lockMessage(ctx, s, i)
	if err != nil || m.Status != Dispatching {
		return err
	}
	m.Status, m.FailureCode = Unknown, why
	if err := saveTicks(ctx, s, []*Message{m}); err != nil {
		return err
	}
	err = event.Append(ctx, s, event.Event{
		Type: event.MessageUnknown, LeadID: m.LeadID.UUID, ConversationID: m.ConversationID.UUID, Actor: event.BySystem,
		Payload: event.Payload(map[string]any{"message_id": m.ID}),
	})
	if err != nil {
		return err
	}
	return queue.Insert(ctx, s, Deliver{s.Tenant(), m.ConversationID}, queue.Options{Queue: queue.Send})
}

// GiveUp has a message that is unknown for FailureCrashed count as failed.
func GiveUp(ctx context.Context, s tenant.Scope, i MessageID) error {
	m, err := lockMessage(ctx, s, i)
	if err != nil || m.Status != Unknown || m.FailureCode != FailureCrashed {
		return err
	}
	return m.fail(ctx, s, Refusal{Code: FailureCrashed, Detail: "the plugin's process ended while it sent the message"})
}

// resent takes the mark of FailureCrashed from a message that goes out again
// as another.
func (m *Message) resent(ctx context.Context, s tenant.Scope) error {
	if m.Status != Unknown || m.FailureCode == "" {
		return nil
	}
	m.FailureCode = ""
	return saveTicks(ctx, s, []*Message{m})
}

// lockMessage locks an outbound message with its conversation's lead and contact.
func lockMessage(ctx context.Context, s tenant.Scope, i MessageID) (*Message, error) {
	row := &struct {
		Message   `bun:",extend"`
		ContactID contact.ID
	}{}
	err := s.Query(ctx, row, `
		select m.*, v.lead_id, v.contact_id from crm.messages m
		join crm.conversations v on v.tenant_id = m.tenant_id and v.id = m.conversation_id
		where m.tenant_id = $1 and m.id = $2 and m.direction = 'out' for update of m`, s.Tenant(), i)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrMessageNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("lock message %s: %w", i, err)
	}
	row.Message.contactID = row.ContactID
	return &row.Message, nil
}

// overdueAfter is when nobody can be working on a claimed message any more: an
// attempt ends within 20 seconds, writing its outcome down within 30.
const overdueAfter = 60 * time.Second

// Overdue finds messages that were claimed and of which no outcome was
// recorded: the process was killed.
var Overdue = queue.Sweep{
	Name: "messages overdue", Every: 5 * time.Second,
	Find: `select tenant_id, id from crm.messages
		where status in ('queued', 'dispatching') and status = 'dispatching' and dispatched_at < now() - interval '60 seconds'
		order by dispatched_at limit $1`,
	Act: func(ctx context.Context, s tenant.Scope, i uuid.UUID) error {
		m, err := lockMessage(ctx, s, MessageID{UUID: i})
		if err != nil || m.Status != Dispatching || s.Now().Sub(m.DispatchedAt) < overdueAfter {
			return err
		}
		return Lost(ctx, s, m.ID, "")
	},
}

// Stuck finds conversations whose oldest message waits though nothing keeps it:
// its job was lost. Those behind one that waits for its time are kept by it.
var Stuck = queue.Sweep{
	Name: "messages stuck", Every: 10 * time.Second,
	Find: `select tenant_id, conversation_id from (
			select distinct on (tenant_id, conversation_id) tenant_id, conversation_id, status, coalesce(not_before, created_at) as due
			from crm.messages where status in ('queued', 'dispatching')
			order by tenant_id, conversation_id, id
		) head
		where status = 'queued' and due < now() - interval '20 seconds'
		order by due limit $1`,
	Act: func(ctx context.Context, s tenant.Scope, i uuid.UUID) error {
		return queue.Insert(ctx, s, Deliver{s.Tenant(), ID{UUID: i}}, queue.Options{Queue: queue.Send, Once: true})
	},
}
