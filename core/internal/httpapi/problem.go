package httpapi

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stratohub/strato/core/internal/fault"
)

// Faults of this package.
var (
	ErrInternal        = fault.New(fault.Internal, "internal", "Something failed on our side. Tell us the request's id if it goes on.")
	ErrUnauthenticated = fault.New(fault.Unauthenticated, "session.required", "Sign in first.")
	ErrForbidden       = fault.New(fault.Forbidden, "permission.denied", "Your role does not allow this.")
	ErrCrossOrigin     = fault.New(fault.Forbidden, "request.cross_origin", "Another website may not do this in your name.")
	ErrTenantMismatch  = fault.New(fault.Forbidden, "tenant.mismatch", "The address belongs to another agency than your session.")
	ErrNoTenant        = fault.New(fault.Forbidden, "tenant.required", "This belongs to an agency; sign in to one.")
	ErrNotFound        = fault.New(fault.NotFound, "request.not_found", "There is nothing here.")
	ErrMethod          = fault.New(fault.NotFound, "request.method", "This address does not know that method.")
	ErrMalformed       = fault.New(fault.Invalid, "request.malformed", "The body is not valid JSON.")
	ErrTooLarge        = fault.New(fault.Invalid, "request.too_large", "The request is too large.")
	ErrMediaType       = fault.New(fault.Invalid, "request.media_type", "Send JSON, with the type application/json.")
	ErrSlowBody        = fault.New(fault.Invalid, "request.timeout", "The request's body did not arrive in time.")
	ErrInvalid         = fault.New(fault.Invalid, "request.invalid", "Parts of the request are not valid; see errors.")
	ErrDeadline        = fault.New(fault.Unavailable, "request.deadline", "This took too long and was given up.")
	ErrMaintenance     = fault.New(fault.Unavailable, "service.maintenance", "Strato is starting or being maintained. Try again shortly.")
	ErrKeyBusy         = fault.New(fault.Conflict, "idempotency.busy", "The request with this Idempotency-Key is still being worked on.")
	ErrKeyReused       = fault.New(fault.Conflict, "idempotency.reused", "This Idempotency-Key was used for another request.")
)

// Problem is the body of every answer that is not a success (RFC 9457).
type Problem struct {
	_ struct{} `json:"-" additionalProperties:"true"`

	Type      string         `json:"type" example:"/errors/lead.not_found" doc:"Page that explains the code."`
	Title     string         `json:"title" example:"Not Found" doc:"The status in words."`
	Status    int            `json:"status" example:"404"`
	Detail    string         `json:"detail" example:"There is no such lead." doc:"What happened, for a person."`
	Code      string         `json:"code" example:"lead.not_found" doc:"What happened, for a program. It never changes."`
	RequestID string         `json:"request_id" example:"0190f3a0-7b6c-7d2e-9f0a-3c1d5e7f9a2b" doc:"Names this request in the log."`
	Errors    []ProblemField `json:"errors,omitempty" doc:"The parts of the request that are wrong."`

	extra      map[string]any
	retryAfter time.Duration
}

// ProblemField names one part of a request.
type ProblemField struct {
	In      string `json:"in" enum:"body,query,path,header" doc:"Which part of the request."`
	Pointer string `json:"pointer" example:"/name" doc:"JSON Pointer (RFC 6901) within that part."`
	Detail  string `json:"detail" example:"expected length >= 1"`
}

// statuses maps kinds to HTTP. Nothing else in Strato does.
var statuses = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Invalid:         http.StatusUnprocessableEntity,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Stale:           http.StatusPreconditionFailed,
	fault.Throttled:       http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// exceptions are the faults of HTTP itself, which have statuses of their own.
var exceptions = map[string]int{
	ErrMethod.Code:    http.StatusMethodNotAllowed,
	ErrMediaType.Code: http.StatusUnsupportedMediaType,
	ErrSlowBody.Code:  http.StatusRequestTimeout,
}

// statusOf is a fault's status. A body that cannot be read at all is a fault of
// HTTP too, whoever finds it out: an API call's or a webhook's.
func statusOf(f *fault.Error) int {
	if status, ok := exceptions[f.Code]; ok {
		return status
	}
	_, trouble, _ := strings.Cut(f.Code, ".")
	switch {
	case f.Kind == fault.Invalid && trouble == "malformed":
		return http.StatusBadRequest
	case f.Kind == fault.Invalid && trouble == "too_large":
		return http.StatusRequestEntityTooLarge
	default:
		return statuses[f.Kind]
	}
}

// newProblem words an error for the client. Of errors that are no fault it
// tells nothing.
func newProblem(err error, requestID string) *Problem {
	f := fault.Of(err)
	if f == nil {
		f = ErrInternal
	}
	status := statusOf(f)
	p := &Problem{
		Type: "/errors/" + f.Code, Title: http.StatusText(status), Status: status, Detail: f.Words,
		Code: f.Code, RequestID: requestID, extra: f.Extra, retryAfter: f.RetryAfter,
	}
	if p.retryAfter == 0 && (f.Kind == fault.Unavailable || f.Kind == fault.Throttled) {
		p.retryAfter = 5 * time.Second
	}
	for _, field := range f.Fields {
		in := string(field.Place)
		if field.Place == fault.Body {
			in = "body"
		}
		p.Errors = append(p.Errors, ProblemField{In: in, Pointer: field.Pointer, Detail: field.Words})
	}
	return p
}

// MarshalJSON puts the further members beside the standard ones, which they
// cannot replace.
func (p *Problem) MarshalJSON() ([]byte, error) {
	type plain Problem
	if len(p.extra) == 0 {
		return json.Marshal((*plain)(p))
	}
	text, err := json.Marshal((*plain)(p))
	if err != nil {
		return nil, err
	}
	all := maps.Clone(p.extra)
	var own map[string]json.RawMessage
	if err := json.Unmarshal(text, &own); err != nil {
		return nil, err
	}
	for name, value := range own {
		all[name] = value
	}
	return json.Marshal(all)
}

// Error is the code and the words.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus is the answer's status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of problems.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// GetHeaders are those that go with the answer.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{"Cache-Control": {"no-store"}}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="strato"`)
	}
	return h
}

// write answers with the problem where huma does not.
func (p *Problem) write(w http.ResponseWriter) {
	h := w.Header()
	maps.Copy(h, p.GetHeaders())
	h.Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}

// pointer turns the location that the validator names, such as
// "body.items[3].name", into a place and a JSON pointer.
func pointer(location string) (fault.Place, string) {
	place, rest, _ := strings.Cut(location, ".")
	rest = strings.NewReplacer("~", "~0", "/", "~1").Replace(rest)
	rest = strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(rest)
	if rest != "" {
		rest = "/" + rest
	}
	switch place {
	case "query", "path", "header":
		return fault.Place(place), rest
	case "cookie":
		return fault.Header, "/Cookie" + rest
	default:
		return fault.Body, rest
	}
}
