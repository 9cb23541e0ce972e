package lead

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Filter narrows a list of leads. Zero fields do not.
type Filter struct {
	Before     ID
	Status     Status
	AssigneeID uuid.UUID
	ContactID  contact.ID
	Limit      int
}

// view adds what a lead is shown with.
func view(q *bun.SelectQuery) *bun.SelectQuery {
	return q.ColumnExpr("l.*").
		ColumnExpr("g.key AS stage").
		ColumnExpr("p.key AS pipeline").
		ColumnExpr(`(SELECT v.id FROM crm.conversations v WHERE v.tenant_id = l.tenant_id AND v.lead_id = l.id
			ORDER BY v.last_message_at DESC LIMIT 1) AS conversation_id`).
		Join("JOIN crm.stages g ON g.tenant_id = l.tenant_id AND g.id = l.stage_id").
		Join("JOIN crm.pipelines p ON p.tenant_id = l.tenant_id AND p.id = l.pipeline_id")
}

var byID = tenant.NewHot[View](func(q *bun.SelectQuery) *bun.SelectQuery {
	return view(q).Where("l.id = $2")
})

// Get returns a lead with its contact.
func Get(ctx context.Context, s tenant.Scope, i ID) (*View, error) {
	l, err := byID.One(ctx, s, i)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("get lead %s: %w", i, err)
	}
	c, err := contact.Get(ctx, s, l.ContactID)
	if err != nil {
		return nil, err
	}
	l.Contact = *c
	return l, nil
}

// List returns leads with their contacts, newest first.
func List(ctx context.Context, s tenant.Scope, f Filter) ([]View, error) {
	list := []View{}
	q := view(s.Select(&list)).Order("l.id DESC").Limit(int64(f.Limit))
	if !f.Before.IsZero() {
		q.Where("l.id < ?", f.Before)
	}
	if f.Status != "" {
		q.Where("l.status = ?", f.Status)
	}
	if f.AssigneeID != uuid.Nil {
		q.Where("l.assignee_id = ?", f.AssigneeID)
	}
	if !f.ContactID.IsZero() {
		q.Where("l.contact_id = ?", f.ContactID)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list leads: %w", err)
	}
	ids := make([]contact.ID, len(list))
	for n := range list {
		ids[n] = list[n].ContactID
	}
	people, err := contact.Many(ctx, s, ids)
	if err != nil {
		return nil, err
	}
	for n := range list {
		list[n].Contact = people[list[n].ContactID]
	}
	return list, nil
}

// Exists reports ErrNotFound unless the tenant has the lead.
func Exists(ctx context.Context, s tenant.Scope, i ID) error {
	ok, err := s.Select((*Lead)(nil)).Where("l.id = ?", i).Exists(ctx)
	if err != nil {
		return fmt.Errorf("look for lead %s: %w", i, err)
	}
	if !ok {
		return ErrNotFound
	}
	return nil
}

// openOf returns the newest open lead of each contact that has one.
func openOf(ctx context.Context, s tenant.Scope, contacts []uuid.UUID) (map[contact.ID]ID, error) {
	rows := []Lead{}
	err := s.Query(ctx, &rows, `
		select distinct on (contact_id) contact_id, id from crm.leads
		where tenant_id = $1 and contact_id = any($2) and status = 'open'
		order by contact_id, id desc`, s.Tenant(), contacts)
	if err != nil {
		return nil, fmt.Errorf("find open leads of %d contacts: %w", len(contacts), err)
	}
	out := map[contact.ID]ID{}
	for _, l := range rows {
		out[l.ContactID] = l.ID
	}
	return out, nil
}

// start is where a new lead stands: the first stage of the default pipeline.
func start(ctx context.Context, s tenant.Scope) (Stage, error) {
	var g Stage
	err := s.Query(ctx, &g, `
		select g.id, g.pipeline_id from crm.stages g
		join crm.pipelines p on p.tenant_id = g.tenant_id and p.id = g.pipeline_id
		where g.tenant_id = $1 and p.is_default
		order by g.position limit 1`, s.Tenant())
	if err != nil {
		return g, fmt.Errorf("find the first stage of the default pipeline: %w", err)
	}
	return g, nil
}

// Touch notes that something happened to leads.
func Touch(ctx context.Context, s tenant.Scope, leads []uuid.UUID) error {
	_, err := s.Exec(ctx, `
		update crm.leads set activity_at = $3 where tenant_id = $1 and id = any($2)`, s.Tenant(), leads, s.Now())
	if err != nil {
		return fmt.Errorf("touch %d leads: %w", len(leads), err)
	}
	return nil
}

// OpenCounts tells how many open leads each of the given agents has.
func OpenCounts(ctx context.Context, s tenant.Scope, agents []uuid.UUID) (map[uuid.UUID]int, error) {
	rows := []struct {
		AssigneeID uuid.UUID
		N          int
	}{}
	err := s.Query(ctx, &rows, `
		select assignee_id, count(*)::int as n from crm.leads
		where tenant_id = $1 and assignee_id = any($2) and status = 'open'
		group by assignee_id`, s.Tenant(), agents)
	if err != nil {
		return nil, fmt.Errorf("count open leads of %d agents: %w", len(agents), err)
	}
	out := map[uuid.UUID]int{}
	for _, r := range rows {
		out[r.AssigneeID] = r.N
	}
	return out, nil
}
