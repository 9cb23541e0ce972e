// Package simulator holds what the simulators of providers have in common: the
// control API by which a demo or a test plays the people on the other side, the
// state file, switches for faults, a scheduler that is waited for, a sender of
// webhooks that retries, and the command line.
//
// A plugin brings a [Provider], which knows the provider's own API, and a
// [Program] that names it. Tests use [New] in their own process.
package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Provider is one simulated provider. Its ServeHTTP is the provider's API, at
// any path but those of the control API. All methods may be called at once.
type Provider interface {
	http.Handler
	// Account opens the account of an agency, or finds it again. Values are
	// derived from the label, so that they survive a lost state file.
	Account(r AccountRequest) (Account, error)
	// Say lets a person write to an agency, in a form of the provider's own.
	Say(ctx context.Context, request json.RawMessage) (Said, error)
	// Replay posts a webhook body to the agency, signed as the provider would.
	// Unless asIs, the ids that route it are replaced by the agency's.
	Replay(ctx context.Context, to string, asIs bool, body []byte) (Said, error)
	// Messages lists what people's phones show, oldest first; phone is empty
	// for everybody's.
	Messages(account, phone string) ([]Message, error)
	// Faults are the provider's switches.
	Faults() Faults
	// Close stops what is scheduled, waits for what runs and saves the state.
	Close() error
}

// AccountRequest asks for an agency's account.
type AccountRequest struct {
	// Label is the agency's short name: letters, digits and dashes.
	Label string `json:"label"`
	// WebhookURL is where the provider posts to; empty keeps the former one.
	WebhookURL string `json:"webhook_url"`
}

// Account is what an installation's form takes, secrets included.
type Account struct {
	Label    string            `json:"label"`
	Settings map[string]string `json:"settings"`
}

// Said is what became of a webhook.
type Said struct {
	// MessageID is empty for webhooks that hold no message.
	MessageID string `json:"message_id"`
	// Status is the HTTP status of the answer; 0 if there was none yet.
	Status int `json:"status"`
	// Detail says more where there is no status: batched, or why nobody answered.
	Detail string `json:"detail,omitempty"`
}

// The directions of a [Message], as Strato sees them.
const (
	Inbound  = "inbound"
	Outbound = "outbound"
)

// Message is one line on a person's phone.
type Message struct {
	ID        string `json:"id"`
	Direction string `json:"direction"`
	Phone     string `json:"phone"`
	Name      string `json:"name,omitempty"`
	Type      string `json:"type"`
	Text      string `json:"text,omitempty"`
	ReplyTo   string `json:"reply_to,omitempty"`
	Status    string `json:"status,omitempty"`
	Error     string `json:"error,omitempty"`
	// Typing says that the phone shows, below this message, that the business is
	// writing.
	Typing bool      `json:"typing,omitempty"`
	At     time.Time `json:"at"`
}

// Refusal is an error with the HTTP status for it; its words are for the person
// at the command line.
type Refusal struct {
	Status int
	Words  string
}

// Refuse returns a refusal.
func Refuse(status int, format string, args ...any) error {
	return &Refusal{Status: status, Words: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (r *Refusal) Error() string { return r.Words }
