package conversation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/tenant"
)

// lock returns a conversation that no other transaction can change until this
// one ends.
func lock(ctx context.Context, s tenant.Scope, i ID) (*Conversation, error) {
	v := &Conversation{}
	err := s.Query(ctx, v, `select * from crm.conversations where tenant_id = $1 and id = $2 for update`, s.Tenant(), i)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("lock conversation %s: %w", i, err)
	}
	return v, nil
}

// save writes columns of a conversation.
func save(ctx context.Context, s tenant.Scope, v *Conversation, columns ...string) error {
	v.UpdatedAt = s.Now()
	v.Version++
	_, err := s.Update(v).Column(append(columns, "version", "updated_at")...).Exec(ctx)
	if err != nil {
		return fmt.Errorf("save conversation %s: %w", v.ID, err)
	}
	return nil
}

// Filter narrows a list of conversations. Zero fields do not. Lists go by the
// last message, newest first; BeforeAt and BeforeID continue one.
type Filter struct {
	BeforeAt   time.Time
	BeforeID   ID
	LeadID     lead.ID
	ContactID  contact.ID
	Status     Status
	AssigneeID uuid.UUID
	Limit      int
}

func view(q *bun.SelectQuery) *bun.SelectQuery {
	return q.ColumnExpr("v.*").ColumnExpr("n.plugin AS channel").ColumnExpr("a.label AS account_label").
		Join("JOIN crm.accounts a ON a.tenant_id = v.tenant_id AND a.id = v.account_id").
		Join("JOIN crm.installations n ON n.tenant_id = a.tenant_id AND n.id = a.installation_id")
}

// List returns conversations with their contacts.
func List(ctx context.Context, s tenant.Scope, f Filter) ([]View, error) {
	list := []View{}
	q := view(s.Select(&list)).Order("v.last_message_at DESC", "v.id DESC").Limit(int64(f.Limit))
	if !f.BeforeAt.IsZero() {
		q.Where("(v.last_message_at, v.id) < (?, ?)", f.BeforeAt, f.BeforeID)
	}
	if !f.LeadID.IsZero() {
		q.Where("v.lead_id = ?", f.LeadID)
	}
	if !f.ContactID.IsZero() {
		q.Where("v.contact_id = ?", f.ContactID)
	}
	if f.Status != "" {
		q.Where("v.status = ?", f.Status)
	}
	if f.AssigneeID != uuid.Nil {
		q.Where("v.assignee_id = ?", f.AssigneeID)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	return list, withContacts(ctx, s, list)
}

// Get returns a conversation with its contact.
func Get(ctx context.Context, s tenant.Scope, i ID) (*View, error) {
	list := []View{}
	if err := view(s.Select(&list)).Where("v.id = ?", i).Scan(ctx); err != nil {
		return nil, fmt.Errorf("get conversation %s: %w", i, err)
	}
	if len(list) == 0 {
		return nil, ErrNotFound
	}
	return &list[0], withContacts(ctx, s, list)
}

func withContacts(ctx context.Context, s tenant.Scope, list []View) error {
	ids := make([]contact.ID, len(list))
	for n := range list {
		ids[n] = list[n].ContactID
	}
	people, err := contact.Many(ctx, s, ids)
	if err != nil {
		return err
	}
	for n := range list {
		list[n].Contact = people[list[n].ContactID]
	}
	return nil
}

// Messages returns a page of a conversation, newest first, older than the
// given message unless that is zero.
func Messages(ctx context.Context, s tenant.Scope, v ID, beforeAt time.Time, before MessageID, limit int) ([]Message, error) {
	ok, err := s.Select((*Conversation)(nil)).Where("v.id = ?", v).Exists(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for conversation %s: %w", v, err)
	}
	if !ok {
		return nil, ErrNotFound
	}
	list := []Message{}
	q := s.Select(&list).Where("m.conversation_id = ?", v).Order("m.occurred_at DESC", "m.id DESC").Limit(int64(limit))
	if !before.IsZero() {
		q.Where("(m.occurred_at, m.id) < (?, ?)", beforeAt, before)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list messages of conversation %s: %w", v, err)
	}
	return list, nil
}
