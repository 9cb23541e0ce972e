package live_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/httpapi"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

func TestStreamThroughTheRouter(t *testing.T) {
	t.Parallel()

	n := newNode(t, miniredis.RunT(t))
	acme := id.New[tenant.Tenant]()
	policy, err := rbac.New()
	require.NoError(t, err)
	r, err := httpapi.New(httpapi.Options{
		Policy: policy, Log: slog.New(slog.DiscardHandler), Cookie: "strato_access",
		Authenticate: func(_ context.Context, token string) (rbac.Actor, error) {
			return rbac.Actor{User: rbac.NewUserID(), Tenant: acme, Role: rbac.Role(token)}, nil
		},
	})
	require.NoError(t, err)
	n.hub.Register(r)
	server := httptest.NewServer(r)
	server.URL += "/api/events"
	t.Cleanup(server.Close)
	t.Cleanup(n.stop) // streams end before the server waits for them

	refused, err := server.Client().Get(server.URL) //nolint:noctx // a test
	require.NoError(t, err)
	require.NoError(t, refused.Body.Close())
	require.Equal(t, 401, refused.StatusCode)

	through := &node{Server: server, cookie: &http.Cookie{Name: "strato_access", Value: "viewer"}}
	s := through.open(t, "", "")
	require.Equal(t, 200, s.status)
	s.next(t, "ready")
	n.hub.Announce(t.Context(), acme, []tenant.Change{change("message.created")})
	s.next(t, "message.created")
}
