package ingress_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/tenanttest"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/webhook"
)

// ownSpool is a bundle with a control plane of its own: the spool is the
// plugin's, whosever webhooks it holds.
func ownSpool(t *testing.T) (*bundle, installation.Target) {
	t.Helper()
	db := dbtest.Fresh(t)
	pool := tenanttest.Open(t, db, nil)
	b := around(t, hosttest.On(t, pool, tenanttest.Create(t, pool, db.Name), host.Timing{}))
	return b, b.Connect(t, "acme", b.url+"/elsewhere")
}

// spool keeps a webhook of the shared address, signed with a secret.
func (b *bundle) spool(t *testing.T, body []byte, secret string) {
	t.Helper()
	require.NoError(t, b.handler.Spool(t.Context(), hosttest.Provider, &pluginv1.HttpRequest{
		Method: http.MethodPost, Body: body, ReceivedAt: timestamppb.Now(),
		Headers: []*pluginv1.Header{{Name: webhook.HubHeader, Value: webhook.SignHub(secret, body)}},
	}))
}

type kept struct {
	State, Error string
	Attempts     int
	Pause        bool
}

// spooled is what the spool holds, the oldest first.
func (b *bundle) spooled(t *testing.T) []kept {
	t.Helper()
	var out []kept
	require.NoError(t, b.Pool.Control().NewRaw(`
		select state, error, attempts, coalesce(not_before > now(), false) as pause from control.spool order by received_at, id`).Scan(t.Context(), &out))
	return out
}

func (b *bundle) control(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.Pool.Control().NewRaw(sql, args...).Exec(t.Context())
	require.NoError(t, err)
}

func TestSpool(t *testing.T) {
	t.Parallel()

	t.Run("what came while the plugin was away is handed on once it is back", func(t *testing.T) {
		t.Parallel()

		b, to := ownSpool(t)
		away := around(t, hosttest.On(t, b.Pool, b.Agency, host.Timing{}))
		away.Registry.Close()
		body := b.body(t, to, "wamid.1", "Hola")
		status, _ := post(t, away.url+"/api/webhooks/"+hosttest.Provider, body, webhook.HubHeader, webhook.SignHub(hosttest.AppSecret, body))
		require.Equal(t, 200, status)
		require.Equal(t, []kept{{State: "waiting"}}, b.spooled(t))
		away.handler.SpoolRound(t.Context())
		require.Equal(t, []kept{{State: "waiting"}}, b.spooled(t), "waiting for the plugin costs nothing")
		status, code := request(t, http.MethodGet, away.url+"/api/webhooks/"+hosttest.Provider, nil)
		require.Equal(t, 503, status)
		require.Equal(t, "webhook.later", code)

		b.handler.SpoolRound(t.Context())
		require.Empty(t, b.spooled(t))
		b.handler.SpoolRound(t.Context())
		require.Equal(t, 1, b.rows(t, b.Agency.ID))
		require.NoError(t, b.work(t, b.waiting(t)...))
		require.Equal(t, []string{"Hola"}, b.texts(t))
	})

	t.Run("one that cannot be handed on keeps no other", func(t *testing.T) {
		t.Parallel()

		b, to := ownSpool(t)
		b.control(t, `insert into control.spool (id, plugin, request, received_at) values (?, ?, ?, now() - interval '1 hour')`,
			uuid.New(), hosttest.Provider, []byte{0xff})
		b.spool(t, b.body(t, to, "wamid.1", "Hola"), hosttest.AppSecret)
		b.handler.SpoolRound(t.Context())
		left := b.spooled(t)
		require.Len(t, left, 1)
		require.Equal(t, kept{State: "waiting", Attempts: 1, Pause: true, Error: left[0].Error}, left[0])
		require.NotEmpty(t, left[0].Error)
		require.Equal(t, 1, b.rows(t, b.Agency.ID))

		b.handler.SpoolRound(t.Context())
		require.Equal(t, 1, b.spooled(t)[0].Attempts, "it was tried before its time")
		b.control(t, `update control.spool set not_before = null, attempts = 99`)
		b.handler.SpoolRound(t.Context())
		require.Equal(t, "dead", b.spooled(t)[0].State)
		b.handler.SpoolRound(t.Context())
		require.Equal(t, 100, b.spooled(t)[0].Attempts)
	})

	t.Run("a forged one is dropped", func(t *testing.T) {
		t.Parallel()

		b, to := ownSpool(t)
		b.spool(t, b.body(t, to, "wamid.1", "Hola"), "not the secret")
		b.handler.SpoolRound(t.Context())
		require.Empty(t, b.spooled(t))
		require.Zero(t, b.rows(t, b.Agency.ID))
	})

	t.Run("an agency whose database is away waits, at no cost, and keeps no other", func(t *testing.T) {
		t.Parallel()

		b, to := ownSpool(t)
		lost, nowhere := uuid.New(), uuid.New()
		dsn := filepath.Join(t.TempDir(), "dsn")
		require.NoError(t, os.WriteFile(dsn, []byte("postgres://nobody@127.0.0.1:1/nowhere"), 0o600))
		b.control(t, `insert into control.databases (id, name, kind, dsn_ref) values (?, 'nowhere', 'dedicated', ?)`, nowhere, "file:"+dsn)
		b.control(t, `insert into control.tenants (id, slug, name) values (?, 'lost', 'Lost')`, lost)
		b.control(t, `insert into control.placements (tenant_id, database_id) values (?, ?)`, lost, nowhere)
		b.control(t, `insert into control.routes (plugin, kind, value, tenant_id, installation_id) values (?, 'phone_number_id', '777777777', ?, ?)`,
			hosttest.Provider, lost, uuid.New())
		theirs := replaceKey(b.body(t, to, "wamid.1", "perdido"), b.keyValue(t, to, "phone_number_id"), "777777777")
		b.spool(t, replaceKey(theirs, b.keyValue(t, to, "waba_id"), "888888888"), hosttest.AppSecret)
		b.spool(t, b.body(t, to, "wamid.2", "Hola"), hosttest.AppSecret)
		began := time.Now()
		b.handler.SpoolRound(t.Context())
		require.Less(t, time.Since(began), patience)
		left := b.spooled(t)
		require.Len(t, left, 1)
		require.Equal(t, kept{State: "waiting", Pause: true, Error: left[0].Error}, left[0])
		require.Contains(t, left[0].Error, "tenant.database_unavailable")
		require.Equal(t, 1, b.rows(t, b.Agency.ID))
	})
}
