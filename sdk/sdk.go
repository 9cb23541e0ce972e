// Package sdk holds what an author of a Strato plugin writes against: plain Go
// types and small interfaces. A plugin is a program that translates between one
// provider and Strato. It keeps no tenant's data; the core gives it an
// [Installation] with each call and owns queues, retries, order and storage.
//
// The author writes a type, one value of which serves one installation, and
// gives it the methods of the capabilities it has: [WebhookHandler], [Channel],
// [Checker] and so on. The package serve turns it into a program.
package sdk

import (
	"context"
	"io"
	"time"
)

// Installation is a plugin switched on by one tenant, with its settings.
type Installation struct {
	// TenantID and ID are UUIDs.
	TenantID, ID string
	// Revision grows with each saved change of settings; the first is 1.
	Revision uint64
	// SettingsVersion is the manifest's settings version that wrote Settings.
	SettingsVersion uint32
	// Settings is a JSON object valid against the manifest's schema, without secrets.
	Settings []byte
	// Secrets holds the secret values by JSON pointer, such as "/access_token".
	Secrets map[string]string
	// WebhookURL is where the provider must post to; empty while there is none.
	WebhookURL string
	// TimeZone is an IANA name and Locale a BCP 47 tag, both the tenant's.
	TimeZone, Locale string
}

// RouteKey names a provider's object by which webhooks find their installation.
// Kind is one of the manifest's route kinds.
type RouteKey struct{ Kind, Value string }

// Address names a person or an account in the provider's own terms. Value is
// exactly what the provider gave; nobody rewrites it.
type Address struct{ Kind, Value string }

// Party is a person as the provider describes them. Addresses has every name
// the provider used in this event, the one to answer to first.
type Party struct {
	Addresses   []Address
	DisplayName string
	// Username is for display only; it changes.
	Username string
}

// Header is one line of an HTTP header.
type Header struct{ Name, Value string }

// Request is a webhook request as it arrived. Body has the exact bytes.
// ReceivedAt is when the core got it: tolerances of timestamps count from
// there, because a request may have been kept while the plugin was away.
type Request struct {
	Method, Path, RawQuery string
	Headers                []Header
	Body                   []byte
	RemoteAddr             string
	ReceivedAt             time.Time
}

// Response is what the provider gets back. A zero Status means 200.
type Response struct {
	Status  int
	Headers []Header
	Body    []byte
}

// Webhook is one request for one installation.
type Webhook struct {
	// Endpoint is the rest of the path after the token; empty for none.
	Endpoint string
	Request  Request
	// MatchedKeys are the confirmed keys that led here; events of others are dropped.
	MatchedKeys []RouteKey
	// Replay says that the core kept the request while the plugin was away.
	Replay bool
	// Routed says that Route verified the request this part was cut from:
	// its signature must not be checked again.
	Routed bool
}

// WebhookResult is a handled webhook. If Verified is false the caller gets 401
// and nothing is stored. A zero Response is an empty 200.
type WebhookResult struct {
	Verified bool
	Response Response
	// Events has at most 1000 entries.
	Events []Event
}

// RoutedPart is what one installation gets of a request: the keys that name it
// and its share of the body. A nil Body means the whole.
type RoutedPart struct {
	Keys []RouteKey
	Body []byte
}

// Routing answers a request to the provider-level URL, which names no
// installation. A Final response is given as it is and nothing is stored.
type Routing struct {
	Verified bool
	Parts    []RoutedPart
	Final    *Response
}

// WebhookHandler verifies and translates webhooks. An error that is not a
// failure counts as the plugin's fault; a failure of code Malformed is answered 400.
// Beside any other failure a Verified result has the request kept and handed in
// again, for plugins that ask the provider before they know what happened;
// without it the caller is asked to send the request again.
type WebhookHandler interface {
	HandleWebhook(ctx context.Context, w Webhook) (WebhookResult, error)
}

// Message is one message to deliver.
type Message struct {
	// IdempotencyKey is the message's id; providers that carry a value back get it.
	IdempotencyKey string
	// Attempt is 1 for the first.
	Attempt int
	// To has every address known for the person, the one to use first.
	To   []Address
	From Address
	// Content is what to say.
	Content Content
	// ReplyTo is the provider's id of the message answered; empty for none.
	ReplyTo string
	// WindowExpiresAt is until when free-form messages are allowed; zero if unknown.
	WindowExpiresAt time.Time
	Hints           map[string]string
}

// Receipt is the provider's word for a message it took.
type Receipt struct {
	// ProviderMessageID is empty for providers that name no message.
	ProviderMessageID string
	// State is Accepted unless the provider says more.
	State DeliveryState
	// AcceptedAt is the provider's time; zero means now.
	AcceptedAt time.Time
	// Recipient has the addresses that the provider says are the recipient's.
	Recipient []Address
	// Uploaded are files of the message that the provider holds now: the core
	// gives their ids along when the same files are sent again.
	Uploaded []UploadedFile
}

// UploadedFile is a file of the core's that the provider holds.
type UploadedFile struct {
	// BlobID is that of the [MediaRef], ProviderID the provider's for it.
	BlobID, ProviderID string
	// ExpiresAt is until when the provider holds it; zero means unknown, and then
	// the core does not count on it.
	ExpiresAt time.Time
}

// Channel writes to people. Send makes one attempt: it neither retries nor
// waits on a limit. An error without a failure means the outcome is unknown.
type Channel interface {
	Send(ctx context.Context, m Message) (Receipt, error)
}

// Signal is a read mark or a typing notice.
type Signal struct {
	// Kind is "read" or "typing".
	Kind              string
	To, From          Address
	ProviderMessageID string
}

// Signaler sends read marks and typing notices.
type Signaler interface {
	Signal(ctx context.Context, s Signal) error
}

// MediaFile is a file on its way. Ref has what is known of it, its size and
// type above all; the reader of Body closes it.
type MediaFile struct {
	Ref  MediaRef
	Body io.ReadCloser
}

// MediaFetcher fetches files that people sent, for which providers want the
// tenant's credentials. It gives at most limit bytes and fails with the code
// Media if there are more.
type MediaFetcher interface {
	FetchMedia(ctx context.Context, ref MediaRef, limit int64) (MediaFile, error)
}

// Severity of a diagnostic.
type Severity int

// The severities.
const (
	SeverityError Severity = iota + 1
	SeverityWarning
)

// Diagnostic is a finding about a setting. Pointer is a JSON pointer into the
// settings, empty for the whole.
type Diagnostic struct {
	Severity Severity
	Pointer  string
	Summary  string
	Detail   string
}

// Validator checks settings beyond their schema and names the routing keys
// they claim. It must not use the network.
type Validator interface {
	Validate(ctx context.Context) ([]Diagnostic, []RouteKey)
}

// Health of an installation or of one check.
type Health int

// The states of health; the zero value means unknown.
const (
	HealthUnknown Health = iota
	HealthOK
	HealthDegraded
	HealthFailed
)

// Check is one thing that was asked of the provider. Pointer names the setting
// to blame; Err, if any, is preferably a failure.
type Check struct {
	Name, Message, Pointer string
	State                  Health
	Err                    error
	// ExpiresAt is when a credential ends; zero for never or unknown.
	ExpiresAt time.Time
}

// CheckResult is the health of an installation. ConfirmedKeys are the routing
// keys that the provider confirmed with this installation's own credentials.
type CheckResult struct {
	State         Health
	Checks        []Check
	ConfirmedKeys []RouteKey
	AccountLabel  string
}

// Checker asks the provider whether the settings work. A deep check also
// confirms routing keys.
type Checker interface {
	Check(ctx context.Context, deep bool) (CheckResult, error)
}

// Option is a choice in a select of the settings form.
type Option struct {
	Value, Label, Description string
	Disabled                  bool
}

// OptionQuery asks for a page of choices; Source is the schema's optionsFrom.
type OptionQuery struct{ Source, Query, PageToken string }

// OptionLister fills selects of the settings form. It returns the next page's
// token, empty at the end.
type OptionLister interface {
	Options(ctx context.Context, q OptionQuery) (options []Option, next string, err error)
}

// Closer is an instance that holds something to let go of. Close is called
// once, after the last call has ended.
type Closer interface {
	Close() error
}
