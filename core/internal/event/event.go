// Package event is the timeline: what happened to a lead, a contact or a
// conversation, and who did it. Events are only ever appended.
package event

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// ID identifies an event.
type ID = id.Of[Event]

// Type says what happened.
type Type string

// The types of event.
const (
	Created         Type = "created"          // a lead came to be
	MessageReceived Type = "message_received" // the contact wrote
	MessageSent     Type = "message_sent"     // we wrote, and the provider took it
	MessageFailed   Type = "message_failed"   // we wrote, and it will not arrive
	MessageUnknown  Type = "message_unknown"  // we wrote, and nobody knows whether it was sent
	Contacted       Type = "contacted"        // a person of the agency wrote for the first time
	Assigned        Type = "assigned"         // an agent got the lead
	TakenOver       Type = "taken_over"       // a person took the conversation from the assistant
	HandedBack      Type = "handed_back"      // a person gave the conversation to the assistant
	IdentityChanged Type = "identity_changed" // the contact is known by another address
	ConsentChanged  Type = "consent_changed"  // the contact opted in or out at the provider
)

// Actor says who did it.
type Actor string

// The kinds of actor.
const (
	ByContact   Actor = "contact"
	ByUser      Actor = "user"
	ByAssistant Actor = "assistant"
	BySystem    Actor = "system"
	ByProvider  Actor = "provider"
)

// Event is one entry of the timeline. Zero ids mean that it does not concern
// one.
type Event struct {
	bun.BaseModel `bun:"table:crm.events,alias:e"`
	tenant.Row

	ID             ID              `bun:",pk" json:"id" format:"uuid"`
	Type           Type            `json:"type"`
	LeadID         uuid.UUID       `bun:",nullzero" json:"lead_id,omitzero" format:"uuid"`
	ContactID      uuid.UUID       `bun:",nullzero" json:"contact_id,omitzero" format:"uuid"`
	ConversationID uuid.UUID       `bun:",nullzero" json:"conversation_id,omitzero" format:"uuid"`
	Actor          Actor           `json:"actor"`
	ActorID        uuid.UUID       `bun:",nullzero" json:"actor_id,omitzero" format:"uuid"`
	Payload        json.RawMessage `bun:"type:jsonb" json:"payload" doc:"What the type of event has to say, an object"`
	OccurredAt     time.Time       `json:"occurred_at"`
}

// Append adds events to the timeline, in one statement. Those without an id,
// a time or a payload get a new id, the scope's time and an empty object.
func Append(ctx context.Context, s tenant.Scope, events ...Event) error {
	for i := range events {
		events[i].fill(s)
	}
	if err := tenant.InsertAll(ctx, s, events); err != nil {
		return fmt.Errorf("append %d events: %w", len(events), err)
	}
	return nil
}

func (e *Event) fill(s tenant.Scope) {
	if e.ID.IsZero() {
		e.ID = id.New[Event]()
	}
	if e.OccurredAt.IsZero() {
		e.OccurredAt = s.Now()
	}
	if e.Payload == nil {
		e.Payload = json.RawMessage("{}")
	}
}

// IDFor is the id of what happened at a moment and is known by a key: the same
// for the same, so that [AppendOnce] can tell repeats, and in the order of time
// like any other.
func IDFor(at time.Time, key string) ID {
	sum := sha256.Sum256([]byte(key))
	var u uuid.UUID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(at.UnixMilli(), 0))) //nolint:gosec // not negative
	copy(u[:6], ms[2:])
	copy(u[6:], sum[:])
	u[6] = u[6]&0x0f | 0x70 // version 7
	u[8] = u[8]&0x3f | 0x80
	return ID{UUID: u}
}

// AppendOnce adds an event unless one with its id is there.
func AppendOnce(ctx context.Context, s tenant.Scope, e Event) error {
	e.fill(s)
	if _, err := s.Insert(&e).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
		return fmt.Errorf("append an event: %w", err)
	}
	return nil
}

// Payload encodes the particulars of an event. It panics on what JSON cannot
// hold: payloads are plain structs and maps of this program.
func Payload(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("event: encode payload %T: %v", v, err))
	}
	return b
}

// OfLead returns a page of a lead's timeline, newest first, older than the
// event before unless that is zero.
func OfLead(ctx context.Context, s tenant.Scope, lead uuid.UUID, before ID, limit int) ([]Event, error) {
	events := []Event{}
	q := s.Select(&events).Where("e.lead_id = ?", lead).Order("e.id DESC").Limit(int64(limit))
	if !before.IsZero() {
		q.Where("e.id < ?", before)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list events of lead %s: %w", lead, err)
	}
	return events, nil
}
