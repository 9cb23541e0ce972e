package conversation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
)

// maxText is the longest text in characters, the least of the providers' limits.
const maxText = 4096

// Draft is a message to be sent.
type Draft struct {
	Conversation ID
	// Text is a plain text; Saying is anything else, for which Channel tells what
	// the conversation's plugin takes.
	Text    string
	Saying  *Saying
	Channel Channel
	// Hints are what only the plugin understands, by its own names.
	Hints map[string]string
	// ReplyTo is the message it answers; zero for none.
	ReplyTo MessageID
	Author  Author
	// AuthorID is the user, when a user wrote it.
	AuthorID uuid.UUID
	// Epoch is that under which an assistant decided to write. A user takes the
	// conversation over instead.
	Epoch int
}

// Deliver asks the outbox to send what waits in a conversation.
type Deliver struct {
	Tenant       tenant.ID `json:"tenant"`
	Conversation ID        `json:"conversation"`
}

// Kind names the job.
func (Deliver) Kind() string { return "conversation_deliver" }

// Send queues a message. A user's first message takes the conversation over
// from the assistant. It is refused when the channel cannot carry it, or allows
// no free replies now. The message goes out after the commit.
func Send(ctx context.Context, s tenant.Scope, d Draft) (*Message, error) {
	m, err := d.message(s)
	if err != nil {
		return nil, err
	}
	v, err := lock(ctx, s, d.Conversation)
	if err != nil {
		return nil, err
	}
	if err := v.admits(s, m); err != nil {
		return nil, err
	}
	m.ConversationID, m.AccountID = v.ID, v.AccountID
	if !d.ReplyTo.IsZero() {
		if m.ReplyTo, err = externalIDOf(ctx, s, v.ID, d.ReplyTo, "/reply_to"); err != nil {
			return nil, err
		}
	}
	if d.Saying != nil && d.Saying.Reaction != nil {
		r := d.Saying.Reaction
		target, err := externalIDOf(ctx, s, v.ID, r.Message, "/content/reaction/message")
		if err != nil {
			return nil, err
		}
		m.Content.Reaction = &Reaction{TargetID: target, Emoji: r.Emoji}
	}
	if d.Author == ByUser {
		if err := v.takeOver(ctx, s, d.AuthorID, "message"); err != nil {
			return nil, err
		}
		m.Epoch = v.Epoch
		v.Unread = 0
	}
	return m, queueMessage(ctx, s, v, m)
}

// message is what a draft says, as a message that belongs nowhere yet.
func (d *Draft) message(s tenant.Scope) (*Message, error) {
	m := &Message{
		ID: id.New[Message](), Direction: Out, Author: d.Author, AuthorID: d.AuthorID, Type: "text", Text: strings.TrimSpace(d.Text),
		Status: Queued, Epoch: d.Epoch, OccurredAt: s.Now(), CreatedAt: s.Now(),
	}
	if d.Saying == nil {
		if n := utf8.RuneCountInString(m.Text); n == 0 || n > maxText {
			return nil, ErrText.At("/text", "must have 1 to 4096 characters")
		}
	} else {
		if err := d.Saying.check(d.Channel); err != nil {
			return nil, err
		}
		d.Saying.fill(m)
	}
	if len(d.Hints) > 0 {
		if m.Content == nil {
			m.Content = &Content{}
		}
		m.Content.Hints = d.Hints
	}
	return m, nil
}

// admits refuses what may not be sent now: outside the window for free replies
// only a template may.
func (v *Conversation) admits(s tenant.Scope, m *Message) error {
	if m.Type != "template" && !v.WindowExpiresAt.IsZero() && !s.Now().Before(v.WindowExpiresAt) {
		return ErrWindowClosed
	}
	return nil
}

// queueMessage stores a message with its job, and what it changes around it.
func queueMessage(ctx context.Context, s tenant.Scope, v *Conversation, m *Message) error {
	if _, err := s.Insert(m).Exec(ctx); err != nil {
		return fmt.Errorf("queue message: %w", err)
	}
	v.Preview, v.LastMessageAt = preview(m.Type, m.Text), m.OccurredAt
	if err := save(ctx, s, v, "preview", "last_message_at", "unread", "holder", "epoch", "assignee_id", "status"); err != nil {
		return err
	}
	if err := lead.Touch(ctx, s, []uuid.UUID{v.LeadID.UUID}); err != nil {
		return err
	}
	s.Announce(
		tenant.Change{Type: "message.created", ID: m.ID.UUID, Parent: v.ID.UUID},
		tenant.Change{Type: "conversation.updated", ID: v.ID.UUID, Parent: v.LeadID.UUID},
	)
	return queue.Insert(ctx, s, Deliver{s.Tenant(), v.ID}, queue.Options{Queue: queue.Send})
}

// takeOver gives the conversation to a person, unless a person has it.
func (v *Conversation) takeOver(ctx context.Context, s tenant.Scope, user uuid.UUID, reason string) error {
	if v.AssigneeID == uuid.Nil {
		v.AssigneeID = user
		if err := lead.Assign(ctx, s, v.LeadID, user, event.ByUser, user, reason); err != nil {
			return err
		}
	}
	if v.Holder == HeldByHuman {
		return nil
	}
	v.Holder = HeldByHuman
	v.Epoch++
	return event.Append(ctx, s,
		v.event(event.TakenOver, event.ByUser, user, map[string]any{"epoch": v.Epoch, "reason": reason}),
		v.event(event.Contacted, event.ByUser, user, map[string]any{}),
	)
}

// event is one about the conversation.
func (v *Conversation) event(t event.Type, by event.Actor, who uuid.UUID, payload any) event.Event {
	return event.Event{
		Type: t, LeadID: v.LeadID.UUID, ContactID: v.ContactID.UUID, ConversationID: v.ID.UUID, Actor: by, ActorID: who,
		Payload: event.Payload(payload),
	}
}

// externalIDOf is the provider's id of a message of the conversation, which the
// body names at pointer.
func externalIDOf(ctx context.Context, s tenant.Scope, v ID, m MessageID, pointer string) (string, error) {
	row := &Message{}
	err := s.Select(row).Column("external_id").Where("m.id = ?", m).Where("m.conversation_id = ?", v).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) || err == nil && row.ExternalID == "" {
		return "", ErrReplyTo.At(pointer, "no such message in this conversation")
	}
	if err != nil {
		return "", fmt.Errorf("look for message %s: %w", m, err)
	}
	return row.ExternalID, nil
}

// Resend queues a message again that failed or of which nothing is known. It is
// a person's decision: the customer may get the message twice.
func Resend(ctx context.Context, s tenant.Scope, v ID, i MessageID) (*Message, error) {
	c, err := lock(ctx, s, v)
	if err != nil {
		return nil, err
	}
	m := &Message{}
	err = s.Select(m).Where("m.id = ?", i).Where("m.conversation_id = ?", v).Where("m.direction = 'out'").For("UPDATE").Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrMessageNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("lock message %s: %w", i, err)
	}
	if m.Status != Failed && m.Status != Unknown || m.ExternalID != "" && m.Status == Unknown {
		return nil, ErrNotResendable
	}
	if err := c.admits(s, m); err != nil {
		return nil, err
	}
	if err := m.resent(ctx, s); err != nil {
		return nil, err
	}
	n := &Message{
		ID: id.New[Message](), ConversationID: c.ID, AccountID: c.AccountID, Direction: Out, Author: m.Author, AuthorID: m.AuthorID,
		Type: m.Type, Text: m.Text, Content: m.Content, ReplyTo: m.ReplyTo, Status: Queued, Epoch: c.Epoch,
		OccurredAt: s.Now(), CreatedAt: s.Now(),
	}
	return n, queueMessage(ctx, s, c, n)
}
