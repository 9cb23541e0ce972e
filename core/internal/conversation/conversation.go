// Package conversation owns threads of messages: one per contact and provider
// account. Its messages come in from webhooks and go out through the outbox;
// their delivery states only move forward.
package conversation

import (
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/assistant"
	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/tenant"
)

// ID identifies a conversation.
type ID = id.Of[Conversation]

// MessageID identifies a message.
type MessageID = id.Of[Message]

// Faults of this package.
var (
	ErrNotFound        = fault.New(fault.NotFound, "conversation.not_found", "There is no such conversation.")
	ErrMessageNotFound = fault.New(fault.NotFound, "message.not_found", "There is no such message.")
	ErrWindowClosed    = fault.New(fault.Conflict, "conversation.window_closed", "The time for free replies is over. Wait for the customer to write, or send a template.")
	ErrText            = fault.New(fault.Invalid, "message.text", "A message needs text of 1 to 4096 characters.")
	ErrReplyTo         = fault.New(fault.Invalid, "message.reply_to", "The message to reply to is not in this conversation, or the provider has not named it yet.")
	ErrNoAssistant     = fault.New(fault.Conflict, "conversation.no_assistant", "There is no active assistant to take the conversation.")
	ErrNotResendable   = fault.New(fault.Conflict, "message.not_resendable", "Only a message that failed, or of which nothing is known, can be sent again.")
)

// Status says whether a conversation is being worked.
type Status string

// The statuses.
const (
	Open    Status = "open"
	Pending Status = "pending"
	Closed  Status = "closed"
)

// Holder says who answers.
type Holder string

// The holders.
const (
	HeldByBot   Holder = "bot"
	HeldByHuman Holder = "human"
	HeldByNone  Holder = "none"
)

// Conversation is one thread with one contact on one provider account.
type Conversation struct {
	bun.BaseModel `bun:"table:crm.conversations,alias:v"`
	tenant.Row

	ID          ID                     `bun:",pk" json:"id" format:"uuid"`
	ContactID   contact.ID             `json:"contact_id" format:"uuid"`
	AccountID   installation.AccountID `json:"account_id" format:"uuid"`
	LeadID      lead.ID                `json:"lead_id" format:"uuid"`
	Status      Status                 `json:"status" enum:"open,pending,closed"`
	Holder      Holder                 `json:"holder" enum:"bot,human,none" doc:"Who answers"`
	Epoch       int                    `json:"epoch" doc:"Grows whenever the holder changes"`
	AssistantID assistant.ID           `bun:",nullzero" json:"assistant_id,omitzero" format:"uuid"`
	AssigneeID  uuid.UUID              `bun:",nullzero" json:"assignee_id,omitzero" format:"uuid"`
	GreetedAt   time.Time              `bun:",nullzero" json:"-"`
	// WindowExpiresAt is until when free replies are allowed; zero for no limit.
	WindowExpiresAt time.Time `bun:",nullzero" json:"window_expires_at,omitzero" doc:"Until when free replies are allowed; absent: no limit"`
	Unread          int       `json:"unread" doc:"Messages that came since somebody of the agency last wrote or read"`
	Preview         string    `json:"preview" doc:"How the last message begins"`
	LastMessageAt   time.Time `json:"last_message_at"`
	LastInboundAt   time.Time `bun:",nullzero" json:"last_inbound_at,omitzero"`
	Version         int       `json:"version"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
}

// Direction of a message, seen from the agency.
type Direction string

// The directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Author says who wrote a message.
type Author string

// The authors. A message by the provider was sent from elsewhere, such as the
// phone's own app.
const (
	ByContact   Author = "contact"
	ByAssistant Author = "assistant"
	ByUser      Author = "user"
	ByProvider  Author = "provider"
)

// State of a message. See [State.rank] for their order.
type State string

// The states. Received is the only one of inbound messages.
const (
	Received    State = "received"
	Queued      State = "queued"      // waits for its turn
	Dispatching State = "dispatching" // being given to the provider
	Sent        State = "sent"        // the provider took it
	Delivered   State = "delivered"
	Read        State = "read"
	Failed      State = "failed"
	Unknown     State = "unknown" // given to the provider, who may or may not have taken it
)

// Message is one message of a conversation.
type Message struct {
	bun.BaseModel `bun:"table:crm.messages,alias:m"`
	tenant.Row

	ID             MessageID              `bun:",pk" json:"id" format:"uuid"`
	ConversationID ID                     `json:"conversation_id" format:"uuid"`
	LeadID         lead.ID                `bun:",scanonly" json:"-"` // the conversation's, where a query asks for it
	AccountID      installation.AccountID `json:"-"`
	Direction      Direction              `json:"direction" enum:"in,out"`
	Author         Author                 `json:"author" enum:"contact,assistant,user,provider"`
	AuthorID       uuid.UUID              `bun:",nullzero" json:"author_id,omitzero" format:"uuid"`
	Type           string                 `json:"type" example:"text"`
	Text           string                 `json:"text" doc:"The text, a caption, or the words of a choice; may be empty"`
	Content        *Content               `bun:"type:jsonb" json:"content,omitempty"`
	ExternalID     string                 `bun:",nullzero" json:"external_id,omitempty" doc:"The provider's id"`
	ReplyTo        string                 `json:"reply_to,omitempty" doc:"The provider's id of the message this one answers"`
	Status         State                  `json:"status" enum:"received,queued,dispatching,sent,delivered,read,failed,unknown"`
	FailureCode    string                 `json:"failure_code,omitempty" example:"window_closed"`
	FailureDetail  string                 `json:"failure_detail,omitempty"`
	ProviderCode   string                 `json:"provider_code,omitempty" example:"131047"`
	Attempts       int                    `json:"attempts"`
	Epoch          int                    `json:"-"`
	NotBefore      time.Time              `bun:",nullzero" json:"-"`
	DispatchedAt   time.Time              `bun:",nullzero" json:"-"`
	OccurredAt     time.Time              `json:"occurred_at" doc:"When it was written, by the provider's clock"`
	SentAt         time.Time              `bun:",nullzero" json:"sent_at,omitzero"`
	DeliveredAt    time.Time              `bun:",nullzero" json:"delivered_at,omitzero"`
	ReadAt         time.Time              `bun:",nullzero" json:"read_at,omitzero"`
	FailedAt       time.Time              `bun:",nullzero" json:"failed_at,omitzero"`
	CreatedAt      time.Time              `json:"created_at"`

	contactID contact.ID // the conversation's, where a query asked for it
}

// View is a conversation with its contact and account.
type View struct {
	Conversation `bun:",extend"`

	Contact      contact.Contact `bun:"-" json:"contact"`
	Channel      string          `bun:"channel,scanonly" json:"channel" doc:"The plugin" example:"whatsapp"`
	AccountLabel string          `bun:"account_label,scanonly" json:"account_label"`
}
