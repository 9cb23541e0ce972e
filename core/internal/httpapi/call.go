package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
)

// call is what the layers of this package tell each other about one request. It
// never leaves the package: use cases get what they need as parameters.
type call struct {
	began          time.Time
	slug           string      // of a path /t/{slug}/…
	client         rest.Client // its Tenant is the one that the host or the path names
	actor          rbac.Actor
	code           string // of the problem that was answered
	target         string // the request's path and query, as sent
	idempotencyKey string
	body           []byte
	bodyType       reflect.Type // of the input's Body, nil if it takes none
	stream         bool
}

type callKey struct{}

func withCall(req *http.Request, c *call) *http.Request {
	return req.WithContext(context.WithValue(req.Context(), callKey{}, c))
}

// callOf returns the context's call, or nil outside a request.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
