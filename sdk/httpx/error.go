package httpx

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"

	"github.com/stratohub/strato/sdk/failure"
)

// Error is a request that got no usable answer. errors.As finds the failure in
// it; the cause, for logs, never holds the URL, because tokens travel in URLs.
type Error struct {
	Failure *failure.Failure
	cause   error
}

// Error implements error with the words of the failure and the cause.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Failure.Error()
	}
	return e.Failure.Error() + ": " + e.cause.Error()
}

// Unwrap returns the failure and the cause.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Failure}
	}
	return []error{e.Failure, e.cause}
}

func notSent(code failure.Code, blame failure.Blame, words string, cause error) *Error {
	f := failure.New(code, "%s", words)
	f.Outcome, f.Blame = failure.NotSent, blame
	return &Error{Failure: f, cause: cause}
}

// outcome of a request that failed: a request that only asks changes nothing.
func outcome(method string, written bool) failure.Outcome {
	if !written || method == http.MethodGet || method == http.MethodHead || method == "" {
		return failure.NotSent
	}
	return failure.Unknown
}

func transportError(method string, written bool, err error) *Error {
	words := "the provider could not be reached"
	var timeout net.Error
	switch {
	case errors.Is(err, errForbidden):
		return notSent(failure.InvalidRequest, failure.Plugin, "the plugin may not reach that address", hideURL(err))
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		words = "the provider did not answer in time"
	case written:
		words = "the connection to the provider broke"
	}
	f := failure.New(failure.Temporary, "%s", words)
	f.Outcome, f.Blame = outcome(method, written), failure.Provider
	return &Error{Failure: f, cause: hideURL(err)}
}

// hideURL takes the URL out of an error of net/http, with its query.
func hideURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
