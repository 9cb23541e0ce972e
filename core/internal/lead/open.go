package lead

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Enquiry is what a message tells about the lead it may open.
type Enquiry struct {
	Contact  contact.ID
	Source   Source
	Channel  string
	Referral *Referral
	// AssigneeID is the agent who has the conversation already; zero for none.
	AssigneeID uuid.UUID
}

// Opened is the lead an enquiry belongs to.
type Opened struct {
	ID  ID
	New bool
}

// OpenMany returns, in order, the lead of each enquiry: the newest open one of
// its contact, else a new one in the first stage of the default pipeline, with
// its event. Enquiries of one contact share a lead. The caller keeps other
// transactions from opening leads for the same contacts.
func OpenMany(ctx context.Context, s tenant.Scope, in []Enquiry) ([]Opened, error) {
	contacts := make([]uuid.UUID, len(in))
	for n, e := range in {
		contacts[n] = e.Contact.UUID
	}
	open, err := openOf(ctx, s, contacts)
	if err != nil {
		return nil, err
	}
	out := make([]Opened, len(in))
	var made []Lead
	var events []event.Event
	var first Stage
	for n, e := range in {
		if have, ok := open[e.Contact]; ok {
			out[n] = Opened{ID: have}
			continue
		}
		if first.ID.IsZero() {
			if first, err = start(ctx, s); err != nil {
				return nil, err
			}
		}
		l := begin(s, e, first)
		made = append(made, l)
		events = append(events, created(l))
		open[e.Contact] = l.ID
		out[n] = Opened{ID: l.ID, New: true}
	}
	if err := tenant.InsertAll(ctx, s, made); err != nil {
		return nil, fmt.Errorf("open %d leads: %w", len(made), err)
	}
	return out, event.Append(ctx, s, events...)
}

func begin(s tenant.Scope, e Enquiry, at Stage) Lead {
	l := Lead{
		ID: id.New[Lead](), ContactID: e.Contact, PipelineID: at.PipelineID, StageID: at.ID,
		Status: Open, Source: e.Source, Channel: e.Channel, Referral: e.Referral, AssigneeID: e.AssigneeID, Version: 1,
		CreatedAt: s.Now(), UpdatedAt: s.Now(), ActivityAt: s.Now(),
	}
	if e.Referral != nil && e.Referral.SourceType == "ad" {
		l.Source = SourceAds
	}
	return l
}

func created(l Lead) event.Event {
	return event.Event{
		Type: event.Created, LeadID: l.ID.UUID, ContactID: l.ContactID.UUID, Actor: event.ByContact, ActorID: l.ContactID.UUID,
		Payload: event.Payload(struct {
			Source     Source    `json:"source"`
			Channel    string    `json:"channel,omitempty"`
			Referral   *Referral `json:"referral,omitempty"`
			AssigneeID uuid.UUID `json:"assignee_id,omitzero"`
		}{l.Source, l.Channel, l.Referral, l.AssigneeID}),
	}
}

// Assign gives a lead to an agent, with the event. Giving it to whom it belongs
// changes nothing.
func Assign(ctx context.Context, s tenant.Scope, i ID, agent uuid.UUID, by event.Actor, byID uuid.UUID, reason string) error {
	n, err := s.Exec(ctx, `
		update crm.leads set assignee_id = $3, version = version + 1, updated_at = $4, activity_at = $4
		where tenant_id = $1 and id = $2 and assignee_id is distinct from $3`, s.Tenant(), i, agent, s.Now())
	if err != nil {
		return fmt.Errorf("assign lead %s: %w", i, err)
	}
	if n == 0 {
		return Exists(ctx, s, i)
	}
	return event.Append(ctx, s, event.Event{
		Type: event.Assigned, LeadID: i.UUID, Actor: by, ActorID: byID,
		Payload: event.Payload(map[string]any{"assignee_id": agent, "reason": reason}),
	})
}
