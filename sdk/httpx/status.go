package httpx

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/failure"
)

// maxRetryAfter bounds what a provider may ask for, so that a wrong date does
// not silence an installation for years.
const maxRetryAfter = 24 * time.Hour

// Failure returns what the status means where the provider says no more, nil
// if it is of the 200s. Plugins correct it with what the body tells. The
// outcome of a POST that met a 5xx is unknown: gateways answer so although the
// service behind them has acted.
func (r *Response) Failure() *failure.Failure {
	if r.OK() {
		return nil
	}
	f := failure.New(failure.InvalidRequest, "the provider refused the request (HTTP %d)", r.Status)
	f.Outcome, f.Blame, f.HTTPStatus = failure.NotSent, failure.Plugin, r.Status
	f.RetryAfter = RetryAfter(r.Header, time.Now())
	switch {
	case r.Status == http.StatusUnauthorized:
		f.Code, f.Blame, f.Message = failure.Auth, failure.Tenant, "the provider refused the credentials"
	case r.Status == http.StatusForbidden:
		f.Code, f.Blame, f.Message = failure.Permission, failure.Tenant, "the credentials lack a permission"
	case r.Status == http.StatusPaymentRequired:
		f.Code, f.Blame, f.Message = failure.QuotaExhausted, failure.Tenant, "the provider account has nothing left"
	case r.Status == http.StatusTooManyRequests:
		f.Code, f.Blame, f.Message = failure.RateLimited, failure.Provider, "the provider asks to slow down"
	case r.Status == http.StatusRequestTimeout, r.Status == http.StatusTooEarly:
		f.Code, f.Blame, f.Message = failure.Temporary, failure.Provider, "the provider did not take the request in time"
	case r.Status >= 500:
		f.Code, f.Blame, f.Outcome = failure.Temporary, failure.Provider, outcome(r.Method, true)
		f.Message = "the provider has trouble (HTTP " + strconv.Itoa(r.Status) + ")"
	}
	return f
}

// RetryAfter reads the header of that name, which holds seconds or a date,
// counted from now. It is zero if there is none, it cannot be read, or it is
// past, and at most a day.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if !(s > 0) {
			return 0
		}
		if s > maxRetryAfter.Seconds() {
			return maxRetryAfter
		}
		return time.Duration(s * float64(time.Second))
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
