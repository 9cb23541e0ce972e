package conversation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
)

// SignalKind is what the customer is shown.
type SignalKind string

// The kinds of signal.
const (
	SignalRead   SignalKind = "read"   // what the customer wrote was read
	SignalTyping SignalKind = "typing" // somebody of the agency is writing
)

// Signal asks the outbox to show the customer something, for as long as it is
// worth showing: it is tried once.
type Signal struct {
	Tenant       tenant.ID  `json:"tenant"`
	Conversation ID         `json:"conversation"`
	Of           SignalKind `json:"of"`
}

// Kind names the job.
func (Signal) Kind() string { return "conversation_signal" }

// Typing shows the customer that somebody of the agency is writing, where the
// channel can.
func Typing(ctx context.Context, s tenant.Scope, i ID) error {
	ok, err := s.Select((*Conversation)(nil)).Where("v.id = ?", i).Exists(ctx)
	if err != nil {
		return fmt.Errorf("look for conversation %s: %w", i, err)
	}
	if !ok {
		return ErrNotFound
	}
	return signal(ctx, s, i, SignalTyping)
}

// signal queues a signal, unless the same one waits already.
func signal(ctx context.Context, s tenant.Scope, i ID, of SignalKind) error {
	return queue.Insert(ctx, s, Signal{s.Tenant(), i, of}, queue.Options{Queue: queue.Send, Once: true, MaxAttempts: 1})
}

// Signalled is whom a signal is for, and of which message.
type Signalled struct {
	Installation installation.ID
	Account      installation.AccountKey
	To           []contact.Address
	// ExternalID is the provider's id of what the customer wrote last.
	ExternalID string
}

// Signalling returns what a provider has to know for a signal; nil where the
// customer has written nothing that the provider named.
func Signalling(ctx context.Context, s tenant.Scope, i ID) (*Signalled, error) {
	var row struct {
		ContactID      contact.ID
		InstallationID installation.ID
		Kind, Value    string
		ExternalID     string
	}
	err := s.Query(ctx, &row, `
		select v.contact_id, a.installation_id, a.kind, a.value, m.external_id
		from crm.conversations v
		join crm.accounts a on a.tenant_id = v.tenant_id and a.id = v.account_id
		join crm.messages m on m.tenant_id = v.tenant_id and m.conversation_id = v.id
		where v.tenant_id = $1 and v.id = $2 and m.direction = 'in' and m.external_id is not null
		order by m.occurred_at desc, m.id desc limit 1`, s.Tenant(), i)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find what a signal of conversation %s is about: %w", i, err)
	}
	to, err := contact.Addresses(ctx, s, row.ContactID)
	if err != nil {
		return nil, err
	}
	return &Signalled{
		Installation: row.InstallationID, To: to, ExternalID: row.ExternalID,
		Account: installation.AccountKey{Installation: row.InstallationID, Kind: row.Kind, Value: row.Value},
	}, nil
}
