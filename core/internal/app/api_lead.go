package app

import (
	"context"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
	"github.com/stratohub/strato/core/internal/tenant"
)

// byID is the place in a list that is ordered by id.
type byID struct {
	ID uuid.UUID `json:"i"`
}

// before is where the page asked for begins; zero for the first.
func before[T any](q rest.PageQuery) (id.Of[T], error) {
	k, err := rest.Key[byID](q)
	if err != nil || k == nil {
		return id.Of[T]{}, err
	}
	return id.From[T](k.ID), nil
}

type leadList struct {
	rest.PageQuery
	Status   lead.Status `query:"status" enum:"open,won,lost" doc:"Only leads of this status."`
	Assignee uuid.UUID   `query:"assignee" format:"uuid" doc:"Only leads of this agent."`
	Contact  contact.ID  `query:"contact" format:"uuid" doc:"Only leads of this contact."`
}

func listLeads(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *leadList) (rest.Page[lead.View], error) {
	from, err := before[lead.Lead](in.PageQuery)
	if err != nil {
		return rest.Page[lead.View]{}, err
	}
	rows, err := lead.List(ctx, s, lead.Filter{
		Before: from, Status: in.Status, AssigneeID: in.Assignee, ContactID: in.Contact, Limit: in.Fetch(),
	})
	return rest.NewPage(in.PageQuery, rows, func(l lead.View) byID { return byID{l.ID.UUID} }), err
}

// LeadPath names a lead. It is exported, like the other paths, because the
// binding of requests passes over embedded types that are not.
type LeadPath struct {
	ID lead.ID `path:"id" format:"uuid"`
}

func getLead(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *LeadPath) (*lead.View, error) {
	return lead.Get(ctx, s, in.ID)
}

type leadEvents struct {
	LeadPath
	rest.PageQuery
}

func listLeadEvents(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *leadEvents) (rest.Page[event.Event], error) {
	if err := lead.Exists(ctx, s, in.ID); err != nil {
		return rest.Page[event.Event]{}, err
	}
	from, err := before[event.Event](in.PageQuery)
	if err != nil {
		return rest.Page[event.Event]{}, err
	}
	rows, err := event.OfLead(ctx, s, in.ID.UUID, from, in.Fetch())
	return rest.NewPage(in.PageQuery, rows, func(e event.Event) byID { return byID{e.ID.UUID} }), err
}

type contactList struct{ rest.PageQuery }

func listContacts(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *contactList) (rest.Page[contact.Contact], error) {
	from, err := before[contact.Contact](in.PageQuery)
	if err != nil {
		return rest.Page[contact.Contact]{}, err
	}
	rows, err := contact.List(ctx, s, from, in.Fetch())
	return rest.NewPage(in.PageQuery, rows, func(c contact.Contact) byID { return byID{c.ID.UUID} }), err
}

// ContactPath names a contact.
type ContactPath struct {
	ID contact.ID `path:"id" format:"uuid"`
}

func getContact(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *ContactPath) (*contact.Contact, error) {
	return contact.Get(ctx, s, in.ID)
}
