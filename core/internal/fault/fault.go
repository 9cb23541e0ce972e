// Package fault has the errors that Strato tells its users: a kind, a code that
// never changes, words that are safe to show, and the fields they speak of.
//
// Domain packages declare their faults as variables and return them, refined by
// [Error.At] and [Error.With]. Every error that holds no [Error] is internal:
// the log learns what it was, the user only that something failed.
package fault

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind says what sort of trouble a fault is, which decides how it is answered.
// The zero Kind is [Internal].
type Kind int

// The kinds of fault. Package httpapi alone maps them to HTTP status codes.
const (
	Internal        Kind = iota // Strato's own failure; retrying may or may not help
	Invalid                     // the input breaks a rule; Fields name where
	Unauthenticated             // nobody is signed in, or no longer
	Forbidden                   // signed in, but not allowed
	NotFound                    // no such thing in this tenant
	Conflict                    // the state of things does not allow it now
	Stale                       // the caller saw an older version (If-Match)
	Throttled                   // too many requests; RetryAfter says when again
	Unavailable                 // something Strato needs is down; RetryAfter says when again
)

// String returns the kind's name in lower case, for logs and metrics.
func (k Kind) String() string {
	names := [...]string{"internal", "invalid", "unauthenticated", "forbidden", "not_found", "conflict", "stale", "throttled", "unavailable"}
	if k < 0 || int(k) >= len(names) {
		return "internal"
	}
	return names[k]
}

// Place says in which part of a request a field lies. The zero Place is the
// body.
type Place string

// The places of a field.
const (
	Body   Place = ""
	Query  Place = "query"
	Path   Place = "path"
	Header Place = "header"
)

// Field names one part of the input that a fault speaks of.
type Field struct {
	Place   Place  // which part of the request; the zero value is the body
	Pointer string // RFC 6901 pointer within Place, such as "/stage" or "/items/3/name"
	Words   string // what is wrong with it, safe to show
}

// Error is a fault. Errors are values: its methods return refined copies and
// leave the receiver, usually a package variable, as it was.
//
// An Error is safe for concurrent use as long as nobody writes to its fields.
type Error struct {
	Kind       Kind
	Code       string         // stable and unique, such as "lead.not_found"; documented in docs/errors.md
	Words      string         // one sentence for the user, never holding secrets or foreign data
	Fields     []Field        // what parts of the input it is about, possibly none
	RetryAfter time.Duration  // when another try makes sense; zero means unknown
	Extra      map[string]any // further members of the answer, such as a choice to make

	cause error
}

// New declares a fault. Code has the form "noun.trouble".
func New(kind Kind, code, words string) *Error {
	return &Error{Kind: kind, Code: code, Words: words}
}

// Error returns the code, the words, the fields and the cause. It is for logs;
// show users the Words instead.
func (e *Error) Error() string {
	var s strings.Builder
	s.WriteString(e.Code + ": " + e.Words)
	for _, f := range e.Fields {
		s.WriteString(" [" + string(f.Place) + f.Pointer + " " + f.Words + "]")
	}
	if e.cause != nil {
		s.WriteString(": " + e.cause.Error())
	}
	return s.String()
}

// Unwrap returns the cause, which is for the log alone, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is a fault with the same code, so that a refined
// copy still matches the variable it came from.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// At returns a copy that also names a field of the body by its JSON pointer.
func (e *Error) At(pointer, words string) *Error { return e.In(Body, pointer, words) }

// In returns a copy that also names a field of the given place.
func (e *Error) In(place Place, pointer, words string) *Error {
	c := e.clone()
	c.Fields = append(c.Fields, Field{Place: place, Pointer: pointer, Words: words})
	return c
}

// With returns a copy that remembers the error behind it for the log.
func (e *Error) With(cause error) *Error {
	c := e.clone()
	c.cause = cause
	return c
}

// Saying returns a copy with other words. They are shown to the user.
func (e *Error) Saying(words string) *Error {
	c := e.clone()
	c.Words = words
	return c
}

// After returns a copy that tells the user when another try makes sense.
func (e *Error) After(d time.Duration) *Error {
	c := e.clone()
	c.RetryAfter = d
	return c
}

// Adding returns a copy that answers with a further member. The value must be
// safe to show and encode as JSON.
func (e *Error) Adding(name string, value any) *Error {
	c := e.clone()
	if c.Extra == nil {
		c.Extra = map[string]any{}
	}
	c.Extra[name] = value
	return c
}

func (e *Error) clone() *Error {
	c := *e
	c.Fields = slices.Clone(e.Fields)
	c.Extra = maps.Clone(e.Extra)
	return &c
}

// Of returns the fault within err, or nil if it holds none.
func Of(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return nil
}

// KindOf returns the kind of the fault within err, or Internal if it holds
// none. It returns Internal for nil too; ask about errors only.
func KindOf(err error) Kind {
	if e := Of(err); e != nil {
		return e.Kind
	}
	return Internal
}

// Join makes one error of several checks, so that a user learns all that is
// wrong at once. It skips nils and returns nil if nothing is left. Invalid
// faults become one with the code and words of the first and the fields of all;
// the first error that is anything else wins alone.
func Join(errs ...error) error {
	var joined *Error
	for _, err := range errs {
		if err == nil {
			continue
		}
		e := Of(err)
		if e == nil || e.Kind != Invalid {
			return err
		}
		if joined == nil {
			joined = e.clone()
			continue
		}
		joined.Fields = append(joined.Fields, e.Fields...)
	}
	if joined == nil {
		return nil
	}
	return joined
}
