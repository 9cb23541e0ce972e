package conversation

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/assistant"
	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Followable is a conversation with what decides how to follow it.
type Followable struct {
	Conversation
	Assistant   *assistant.Assistant // nil for none that is active
	ContactName string
	// Texts are what the contact wrote since the assistant greeted, or ever
	// where it did not; the newest first, at most 20.
	Texts []string
}

// Follow locks a conversation and reads what decides how to follow it.
func Follow(ctx context.Context, s tenant.Scope, i ID) (*Followable, error) {
	v, err := lock(ctx, s, i)
	if err != nil {
		return nil, err
	}
	f := &Followable{Conversation: *v}
	if v.Holder == HeldByBot {
		if f.Assistant, err = assistant.Default(ctx, s); err != nil {
			return nil, err
		}
	}
	c, err := contact.Get(ctx, s, v.ContactID)
	if err != nil {
		return nil, err
	}
	f.ContactName = c.Name
	// By the time of arrival: a message that was on its way when the assistant
	// greeted does not answer it.
	err = s.Query(ctx, &f.Texts, `
		select text from crm.messages
		where tenant_id = $1 and conversation_id = $2 and direction = 'in' and created_at > coalesce($3, '-infinity'::timestamptz)
		order by occurred_at desc, id desc limit 20`, s.Tenant(), i, orNull(v.GreetedAt))
	if err != nil {
		return nil, fmt.Errorf("read the last messages of conversation %s: %w", i, err)
	}
	return f, nil
}

// Greeted notes that the assistant greeted.
func Greeted(ctx context.Context, s tenant.Scope, i ID) error {
	_, err := s.Exec(ctx, `update crm.conversations set greeted_at = $3 where tenant_id = $1 and id = $2`, s.Tenant(), i, s.Now())
	if err != nil {
		return fmt.Errorf("note the greeting of conversation %s: %w", i, err)
	}
	return nil
}

// Route gives a conversation and its lead to an agent; a zero agent leaves them
// to whoever takes them. The assistant lets go of it.
func Route(ctx context.Context, s tenant.Scope, i ID, agent uuid.UUID, reason string) error {
	v, err := lock(ctx, s, i)
	if err != nil {
		return err
	}
	columns := []string{"holder", "epoch"}
	if v.Holder == HeldByBot || agent != uuid.Nil && v.Holder == HeldByNone {
		v.Holder = HeldByHuman
		if agent == uuid.Nil {
			v.Holder = HeldByNone
		}
		v.Epoch++
	}
	if agent != uuid.Nil && v.AssigneeID == uuid.Nil {
		v.AssigneeID = agent
		columns = append(columns, "assignee_id")
		if err := lead.Assign(ctx, s, v.LeadID, agent, event.BySystem, uuid.Nil, reason); err != nil {
			return err
		}
	}
	s.Announce(tenant.Change{Type: "conversation.updated", ID: v.ID.UUID, Parent: v.LeadID.UUID})
	return save(ctx, s, v, columns...)
}

// HandBack gives a conversation back to the assistant. Messages of the
// assistant decided before stay refused.
func HandBack(ctx context.Context, s tenant.Scope, i ID, user uuid.UUID) (*Conversation, error) {
	v, err := lock(ctx, s, i)
	if err != nil {
		return nil, err
	}
	if v.Holder == HeldByBot {
		return v, nil
	}
	bot, err := assistant.Default(ctx, s)
	if err != nil {
		return nil, err
	}
	if bot == nil {
		return nil, ErrNoAssistant
	}
	v.Holder, v.AssistantID = HeldByBot, bot.ID
	v.Epoch++
	if err := event.Append(ctx, s, v.event(event.HandedBack, event.ByUser, user, map[string]any{"epoch": v.Epoch})); err != nil {
		return nil, err
	}
	s.Announce(tenant.Change{Type: "conversation.updated", ID: v.ID.UUID, Parent: v.LeadID.UUID})
	return v, save(ctx, s, v, "holder", "epoch", "assistant_id")
}

// TakeOver gives a conversation to a person without a message.
func TakeOver(ctx context.Context, s tenant.Scope, i ID, user uuid.UUID) (*Conversation, error) {
	v, err := lock(ctx, s, i)
	if err != nil {
		return nil, err
	}
	if v.Holder == HeldByHuman {
		return v, nil
	}
	if err := v.takeOver(ctx, s, user, "taken"); err != nil {
		return nil, err
	}
	s.Announce(tenant.Change{Type: "conversation.updated", ID: v.ID.UUID, Parent: v.LeadID.UUID})
	return v, save(ctx, s, v, "holder", "epoch", "assignee_id")
}

// MarkRead notes that somebody of the agency has seen the conversation, and shows
// it to the customer where the channel can.
func MarkRead(ctx context.Context, s tenant.Scope, i ID) (*Conversation, error) {
	v, err := lock(ctx, s, i)
	if err != nil || v.Unread == 0 {
		return v, err
	}
	v.Unread = 0
	s.Announce(tenant.Change{Type: "conversation.updated", ID: v.ID.UUID, Parent: v.LeadID.UUID})
	if err := signal(ctx, s, v.ID, SignalRead); err != nil {
		return nil, err
	}
	return v, save(ctx, s, v, "unread")
}
