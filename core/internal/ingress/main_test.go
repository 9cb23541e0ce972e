package ingress_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// patience is how long tests wait for what happens in another process.
const patience = 20 * time.Second

// bundle is the way in of webhooks, with an agency and real plugins.
type bundle struct {
	*hosttest.World

	inbox    *ingress.Inbox
	handler  *ingress.Handler
	receiver *ingress.Receiver
	url      string // of a server with the handler
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return setupWith(t, host.Timing{})
}

func setupWith(t *testing.T, timing host.Timing) *bundle {
	t.Helper()
	return around(t, hosttest.New(t, timing))
}

// around builds the way in of webhooks around a world.
func around(t *testing.T, w *hosttest.World) *bundle {
	t.Helper()
	b := &bundle{World: w}
	b.inbox = ingress.NewInbox(b.Pool, b.Log.Logger())
	t.Cleanup(b.inbox.Close)
	metrics := ingress.NewMetrics(telemetry.NewMetrics(telemetry.NewTenants(10, uuid.UUID.String)))
	b.handler = &ingress.Handler{
		Pool: b.Pool, Directory: b.Directory, Registry: b.Registry, Inbox: b.inbox, Metrics: metrics, Log: b.Log.Logger(),
		Client: func(r *http.Request) string { return r.RemoteAddr },
	}
	b.receiver = &ingress.Receiver{Pool: b.Pool, Directory: b.Directory, Registry: b.Registry, Metrics: metrics, Log: b.Log.Logger()}
	mux := http.NewServeMux()
	serve := func(w http.ResponseWriter, r *http.Request) {
		if err := b.handler.Serve(w, r); err != nil {
			http.Error(w, codeOf(err), statusOf(err))
		}
	}
	mux.HandleFunc("/api/webhooks/{plugin}", serve)
	mux.HandleFunc("/api/webhooks/{plugin}/{token}", serve)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

func codeOf(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Code
	}
	return err.Error()
}

func statusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Invalid:
		return http.StatusBadRequest
	default:
		return http.StatusInternalServerError
	}
}

// address gives an installation a webhook address.
func (b *bundle) address(t *testing.T, plugin string, target installation.Target) string {
	t.Helper()
	token, err := b.Directory.NewToken(t.Context(), plugin, target)
	require.NoError(t, err)
	return b.url + "/api/webhooks/" + plugin + "/" + token
}

// state is what an inbox row has come to.
type state struct {
	State, Error string
	Attempts     int
	Pause        bool // it is not to be tried now
}

func (b *bundle) state(t *testing.T, r ingress.Ref) state {
	t.Helper()
	var out state
	require.NoError(t, b.Pool.Read(t.Context(), r.Tenant, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &out, `select state, error, attempts, coalesce(not_before > now(), false) as pause from crm.inbox
			where tenant_id = $1 and id = $2`, s.Tenant(), r.ID)
	}))
	return out
}

// rows counts the inbox rows of an agency.
func (b *bundle) rows(t *testing.T, tenantID tenant.ID) (n int) {
	t.Helper()
	require.NoError(t, b.Pool.Read(t.Context(), tenantID, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &n, `select count(*)::int from crm.inbox where tenant_id = $1`, s.Tenant())
	}))
	return n
}

// refs are the rows of the agency that still wait.
func (b *bundle) waiting(t *testing.T) []ingress.Ref {
	t.Helper()
	rows := []struct {
		ID uuid.UUID
		At time.Time
	}{}
	require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &rows, `select id, received_at as at from crm.inbox where tenant_id = $1 and state in ('raw', 'ready') order by received_at`, s.Tenant())
	}))
	var out []ingress.Ref
	for _, r := range rows {
		out = append(out, ingress.Ref{Tenant: b.Agency.ID, ID: r.ID, At: r.At})
	}
	return out
}

// work does the job of rows, as often as it takes without a pause.
func (b *bundle) work(t *testing.T, refs ...ingress.Ref) error {
	t.Helper()
	return b.receiver.Work(t.Context(), &queue.Job[ingress.Received]{Args: ingress.Received{Rows: refs}})
}

// texts are the messages of the agency's conversations, by their text.
func (b *bundle) texts(t *testing.T) []string {
	t.Helper()
	texts := []string{}
	require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &texts, `select text from crm.messages where tenant_id = $1 order by occurred_at, id`, s.Tenant())
	}))
	return texts
}

// failed are the events that could not be taken: their keys and reasons.
func (b *bundle) failed(t *testing.T) map[string]string {
	t.Helper()
	rows := []struct{ DedupeKey, Reason string }{}
	require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &rows, `select dedupe_key, reason from crm.failed_events where tenant_id = $1`, s.Tenant())
	}))
	out := map[string]string{}
	for _, r := range rows {
		out[r.DedupeKey] = r.Reason
	}
	return out
}

func (b *bundle) contacts(t *testing.T) []contact.Contact {
	t.Helper()
	var list []contact.Contact
	require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		list, err = contact.List(ctx, s, contact.ID{}, 100)
		return err
	}))
	return list
}

func (b *bundle) conversations(t *testing.T) []conversation.View {
	t.Helper()
	var list []conversation.View
	require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		list, err = conversation.List(ctx, s, conversation.Filter{Limit: 100})
		return err
	}))
	return list
}

// admin runs a statement as the superuser, past every policy.
func admin(t *testing.T, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dbtest.Database(t).AdminURL)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// jobs counts the unfinished jobs of a kind whose arguments hold a text.
func jobs(t *testing.T, kind, holding string) int {
	t.Helper()
	pool := dbtest.Database(t).Pool(t, postgres.RoleQueue, postgres.PoolConfig{})
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from river.river_job
		where kind = $1 and args::text like '%' || $2 || '%' and state not in ('completed', 'discarded', 'cancelled')`, kind, holding).Scan(&n))
	return n
}

// said is an event of a customer's text message.
func said(external, phone, text string) *pluginv1.Event {
	return &pluginv1.Event{
		DedupeKey: "in:" + external, OccurredAt: timestamppb.New(time.Now().Add(-time.Minute)),
		Payload: &pluginv1.Event_Inbound{Inbound: &pluginv1.InboundMessage{
			ProviderMessageId: external,
			From:              &pluginv1.Party{DisplayName: "Lucía", Addresses: []*pluginv1.Address{{Kind: "wa_id", Value: phone}}},
			Content:           &pluginv1.Content{Kind: &pluginv1.Content_Text{Text: &pluginv1.Text{Body: text}}},
		}},
	}
}

// result is a webhook as the plugin translated it.
func result(events ...*pluginv1.Event) *pluginv1.WebhookResult {
	return &pluginv1.WebhookResult{Verified: true, Events: events}
}

// timeline are the types of the agency's events, of those asked for.
func (b *bundle) timeline(t *testing.T, types ...event.Type) []string {
	t.Helper()
	got := []string{}
	require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &got, `select type from crm.events where tenant_id = $1`, s.Tenant())
	}))
	return slices.DeleteFunc(got, func(one string) bool { return !slices.Contains(types, event.Type(one)) })
}

// value is the one text that a query finds for the agency.
func (b *bundle) value(t *testing.T, query string) (text string) {
	t.Helper()
	require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &text, query, s.Tenant())
	}))
	return text
}
