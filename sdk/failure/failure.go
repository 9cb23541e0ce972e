// Package failure has the closed set of ways in which a provider or a plugin
// can refuse. The core acts on the code, never on the words.
package failure

import (
	"fmt"
	"time"
)

// Code says what the core should do about a failure.
type Code int

// The codes. Their numbers are those of the wire.
const (
	// Temporary: try again later.
	Temporary Code = iota + 1
	// RateLimited: too fast; try again after RetryAfter.
	RateLimited
	// Auth: the credentials do not work; the installation is paused.
	Auth
	// Permission: the credentials lack a right; the installation is paused.
	Permission
	// InvalidRequest: the provider did not understand what we sent.
	InvalidRequest
	// Recipient: the person cannot be reached at this address.
	Recipient
	// WindowClosed: free-form messages are not allowed now; offer a template.
	WindowClosed
	// Template: the template is missing, paused or filled wrongly.
	Template
	// ContentRejected: the provider refused what the message says.
	ContentRejected
	// QuotaExhausted: the account has nothing left until it is renewed.
	QuotaExhausted
	// Unsupported: this provider cannot do this.
	Unsupported
	// Media: the file could not be fetched or accepted.
	Media
	// Malformed: a webhook body that is not what the provider documents.
	Malformed
)

var names = [...]string{"unspecified", "temporary", "rate_limited", "auth", "permission", "invalid_request", "recipient",
	"window_closed", "template", "content_rejected", "quota_exhausted", "unsupported", "media", "malformed"}

// String returns the code's stable name, fit for a metric label.
func (c Code) String() string {
	if c < 0 || int(c) >= len(names) {
		return names[0]
	}
	return names[c]
}

// Outcome says whether the provider may have acted on the request.
type Outcome int

// The outcomes. Unknown must be said whenever the request may have been
// written: the core then waits for a webhook instead of sending again.
const (
	NotSent Outcome = iota + 1
	Unknown
)

// Blame says who has to mend it.
type Blame int

// Who is to blame.
const (
	Provider Blame = iota + 1
	Tenant
	Plugin
)

// Failure is a refusal. It is an error; find one in a chain with errors.As.
// The zero Outcome means NotSent, the zero Blame is decided by the code.
type Failure struct {
	Code    Code
	Outcome Outcome
	Blame   Blame
	// RetryAfter is the earliest moment for another try; zero leaves it to the core.
	RetryAfter time.Duration
	// Message is for the tenant's eyes. It never holds a secret.
	Message string
	// ProviderCode and TraceID are the provider's own, to quote to its support.
	ProviderCode, TraceID string
	// HTTPStatus of the provider's answer; 0 if there was none.
	HTTPStatus int
	// Limit is the manifest's name of the rate limit that the provider enforced,
	// of [RateLimited]. The core then keeps back what falls under it, else what
	// falls under the widest that applies to the call.
	Limit string
}

// New returns a failure with words for the tenant.
func New(c Code, format string, args ...any) *Failure {
	return &Failure{Code: c, Message: fmt.Sprintf(format, args...)}
}

// Error implements error with the code, the provider's code and the words.
func (f *Failure) Error() string {
	if f.ProviderCode != "" {
		return fmt.Sprintf("%s (%s): %s", f.Code, f.ProviderCode, f.Message)
	}
	return fmt.Sprintf("%s: %s", f.Code, f.Message)
}

// Is reports whether target is a failure of the same code, so that
// errors.Is(err, &failure.Failure{Code: failure.Auth}) works.
func (f *Failure) Is(target error) bool {
	t, ok := target.(*Failure)
	return ok && t.Code == f.Code && t.ProviderCode == ""
}
