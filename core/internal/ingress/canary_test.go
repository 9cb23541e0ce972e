package ingress_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// bodies are what an agency's inbox holds.
func (b *bundle) bodies(t *testing.T, agency tenant.Tenant) []string {
	t.Helper()
	rows, out := []struct{ Delivery []byte }{}, []string{}
	require.NoError(t, b.Pool.Read(t.Context(), agency.ID, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &rows, `select delivery from crm.inbox where tenant_id = $1`, s.Tenant())
	}))
	for _, r := range rows {
		d := &pluginv1.WebhookDelivery{}
		require.NoError(t, proto.Unmarshal(r.Delivery, d))
		out = append(out, string(d.GetRequest().GetBody()))
	}
	slices.Sort(out)
	return out
}

// Those whom a canary serves get what the canary makes of a shared webhook, the
// others what the plugin's own release does.
func TestCanaryRoutesForItsOwn(t *testing.T) {
	t.Parallel()

	b := setupWith(t, quick)
	other := tenanttest.Create(t, b.Pool, dbtest.Database(t).Name)
	brave, careful := "@brave-"+uuid.NewString(), "@careful-"+uuid.NewString()
	b.EchoOf(t, b.Agency, brave, "token-brave")
	b.EchoOf(t, other, careful, "token-careful")
	both := func(words string) {
		t.Helper()
		lines := []byte(brave + " " + words + "\n" + careful + " " + words + "\n2:" + brave + " " + words + " new\n2:" + careful + " " + words + " new\n")
		status, _ := post(t, b.url+"/api/webhooks/"+hosttest.Echo, lines)
		require.Equal(t, http.StatusOK, status)
	}
	both("before")
	require.Equal(t, []string{"before"}, b.bodies(t, b.Agency))
	require.Equal(t, []string{"before"}, b.bodies(t, other))
	b.Canary(t)
	both("after")
	require.Equal(t, []string{"after by v2", "after new by v2", "before"}, b.bodies(t, b.Agency))
	require.Equal(t, []string{"after", "before"}, b.bodies(t, other))
}
