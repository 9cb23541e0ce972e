package sdk

import (
	"time"

	"github.com/stratohub/strato/sdk/failure"
)

// Event is one fact from a webhook, in Strato's words.
type Event struct {
	// DedupeKey is the same for the same fact, however often it is delivered.
	DedupeKey string
	// OccurredAt is the provider's time; zero means the time of arrival.
	OccurredAt time.Time
	// RouteKeys names the account the event belongs to, the main key first.
	RouteKeys []RouteKey
	// OrderingKey groups events that must be taken in order; empty for none.
	OrderingKey string
	Payload     Payload
}

// Payload is what happened: one of the types of this file.
type Payload interface{ payload() }

// DeliveryState of a message we sent. The core only moves it forward.
type DeliveryState int

// The states of delivery, in their order. Failed is final unless a later real
// state had arrived.
const (
	DeliveryAccepted DeliveryState = iota + 1
	DeliverySent
	DeliveryDelivered
	DeliveryRead
	DeliveryPlayed
	DeliveryFailed
)

// Referral tells which advertisement or post brought the person.
type Referral struct {
	// SourceType is "ad" or "post".
	SourceType, SourceID, SourceURL string
	Headline, Body                  string
	// ClickID is for the provider's conversions API.
	ClickID, MediaURL string
}

// InboundMessage is a message that a person wrote to the tenant.
type InboundMessage struct {
	// ProviderMessageID is unique within the account.
	ProviderMessageID string
	From              Party
	To                Address
	Content           Content
	// ReplyTo is the provider's id of the message answered; empty for none.
	ReplyTo   string
	Referral  *Referral
	Forwarded bool
	// WindowExpiresAt is until when free-form replies are allowed; zero for no limit.
	WindowExpiresAt time.Time
}

// MessageEcho is a message that the tenant sent by other means.
type MessageEcho struct {
	ProviderMessageID string
	To                Party
	From              Address
	Content           Content
	ReplyTo           string
}

// DeliveryUpdate is a tick on a message we sent.
type DeliveryUpdate struct {
	ProviderMessageID string
	// IdempotencyKey is that of the [Message], when the provider carries it back.
	IdempotencyKey string
	State          DeliveryState
	// Failure is set when State is DeliveryFailed.
	Failure         *failure.Failure
	PricingCategory string
	WindowExpiresAt time.Time
	Recipient       Party
}

// ContactUpdate changes what is known of a person. Previous are addresses that
// named the person before.
type ContactUpdate struct {
	Contact                Party
	Previous               []Address
	Fields                 map[string]string
	TagsAdded, TagsRemoved []string
}

// ConsentChange is an opt-in or opt-out; Scope is "marketing" or "all".
type ConsentChange struct {
	Contact Party
	OptedIn bool
	Scope   string
}

// LeadCaptured is an enquiry made at the provider, such as a lead form. Fields
// are the answers by the question's key; "name", "email" and "phone" are what
// the person gave of themselves.
type LeadCaptured struct {
	ProviderLeadID   string
	Contact          Party
	Source, Campaign string
	Fields           map[string]string
	ListingReference string
	// Referral is the advertisement that it came from; nil for none.
	Referral *Referral
	// FormID and FormName are the form's at the provider; empty for none.
	FormID, FormName string
	// Test says that it is a trial of the form: nobody must be written to.
	Test bool
}

// CallUpdate is the progress or the end of a call. State is "queued",
// "ringing", "in_progress", "completed", "no_answer", "busy", "voicemail",
// "failed" or "cancelled"; empty when the event tells nothing of it.
type CallUpdate struct {
	ProviderCallID, IdempotencyKey, State string
	// OtherIDs are further ids of the call, such as the telephone company's: an
	// order whose answer was lost is found by them.
	OtherIDs []string
	// Contact is the person on the other end.
	Contact Party
	// Direction is "outbound" or "inbound"; empty when unknown.
	Direction string
	// Reason is why the call ended or did not begin, in the provider's words.
	Reason string
	// Verdict is the agent's own judgement of the call: "success", "failure" or
	// "unknown"; empty for none. Evaluation is the same by criterion.
	Verdict    string
	Evaluation map[string]string
	Duration   time.Duration
	Recording  *MediaRef
	Transcript []byte
	Summary    string
	Collected  map[string]string
}

// TemplateUpdate is a change of a template's standing.
type TemplateUpdate struct{ Name, Language, Status, Reason string }

// AccountUpdate is news about the provider account itself.
type AccountUpdate struct {
	Kind, Detail string
	State        Health
}

// Unrecognized keeps an event that the plugin has no words for.
type Unrecognized struct {
	ProviderType string
	Raw          []byte
}

func (InboundMessage) payload() {}
func (MessageEcho) payload()    {}
func (DeliveryUpdate) payload() {}
func (ContactUpdate) payload()  {}
func (ConsentChange) payload()  {}
func (LeadCaptured) payload()   {}
func (CallUpdate) payload()     {}
func (TemplateUpdate) payload() {}
func (AccountUpdate) payload()  {}
func (Unrecognized) payload()   {}
