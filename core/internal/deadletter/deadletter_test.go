package deadletter_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/deadletter"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/outbox"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
	"github.com/stratohub/strato/sdk/host"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// patience is how long a test waits for a process to be back.
const patience = 20 * time.Second

// bundle is an agency of the plugin that obeys, with a control plane of its own.
type bundle struct {
	*hosttest.World

	letters  deadletter.Letters
	handler  *ingress.Handler
	receiver *ingress.Receiver
	outbox   *outbox.Outbox
	to       installation.Target
	url      string
}

func setup(t *testing.T) *bundle {
	t.Helper()
	db := dbtest.Fresh(t)
	pool := tenanttest.Open(t, db, nil)
	b := &bundle{World: hosttest.On(t, pool, tenanttest.Create(t, pool, db.Name), host.Timing{
		BackoffMin: time.Millisecond, BackoffMax: 2 * time.Millisecond, QuarantineExits: 1000,
	})}
	b.letters = deadletter.Letters{Pool: pool}
	inbox := ingress.NewInbox(pool, b.Log.Logger())
	t.Cleanup(inbox.Close)
	all := telemetry.NewMetrics(telemetry.NewTenants(10, uuid.UUID.String))
	metrics := ingress.NewMetrics(all)
	b.handler = &ingress.Handler{
		Pool: pool, Directory: b.Directory, Registry: b.Registry, Inbox: inbox, Metrics: metrics, Log: b.Log.Logger(),
		Client: func(r *http.Request) string { return r.RemoteAddr },
	}
	b.receiver = &ingress.Receiver{Pool: pool, Directory: b.Directory, Registry: b.Registry, Metrics: metrics, Log: b.Log.Logger()}
	b.outbox = outbox.New(pool, b.Directory, b.Registry, func(context.Context, installation.Target) {}, all, b.Log.Logger())
	b.to = b.Echo(t)
	mux := http.NewServeMux()
	serve := func(w http.ResponseWriter, r *http.Request) {
		if err := b.handler.Serve(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
		}
	}
	mux.HandleFunc("/api/webhooks/{plugin}", serve)
	mux.HandleFunc("/api/webhooks/{plugin}/{token}", serve)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b.url = server.URL + "/api/webhooks/" + hosttest.Echo
	return b
}

func (b *bundle) post(t *testing.T, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// replay shows the plugin what waits, as the sweep's job does.
func (b *bundle) replay(t *testing.T) {
	t.Helper()
	rows := []struct {
		ID uuid.UUID
		At time.Time
	}{}
	require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &rows, `select id, received_at as at from crm.inbox where tenant_id = $1 and state in ('raw', 'ready')`, s.Tenant())
	}))
	for _, r := range rows {
		_ = b.receiver.Work(t.Context(), &queue.Job[ingress.Received]{Args: ingress.Received{Rows: []ingress.Ref{{Tenant: b.Agency.ID, ID: r.ID, At: r.At}}}})
	}
}

// letter waits until the one letter of a kind is there.
func (b *bundle) letter(t *testing.T, kind deadletter.Kind, work func()) deadletter.Letter {
	t.Helper()
	var found []deadletter.Letter
	require.Eventually(t, func() bool {
		work()
		all, err := b.letters.List(t.Context(), hosttest.Echo, 10)
		require.NoError(t, err)
		found = all
		return len(all) == 1
	}, patience, time.Millisecond)
	require.Equal(t, kind, found[0].Kind)
	require.Equal(t, hosttest.Echo, found[0].Plugin)
	require.NotEmpty(t, found[0].Reason)
	return found[0]
}

func (b *bundle) none(t *testing.T) {
	t.Helper()
	all, err := b.letters.List(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestLetters(t *testing.T) {
	t.Parallel()

	t.Run("a webhook is tried once more, and dies at the next crash", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		token, err := b.Directory.NewToken(t.Context(), hosttest.Echo, b.to)
		require.NoError(t, err)
		b.none(t)
		b.post(t, "/"+token, "exit")
		l := b.letter(t, deadletter.Webhook, func() { b.replay(t) })
		require.Equal(t, 2, l.Crashes)
		require.Equal(t, b.Agency.ID, l.Tenant)
		_, err = b.letters.Retry(t.Context(), l.ID)
		require.NoError(t, err)
		b.none(t)
		l = b.letter(t, deadletter.Webhook, func() { b.replay(t) })
		require.Equal(t, 2, l.Crashes, "a single one was enough")
		_, err = b.letters.Drop(t.Context(), l.ID)
		require.NoError(t, err)
		b.none(t)
		_, err = b.letters.Drop(t.Context(), l.ID)
		require.ErrorIs(t, err, deadletter.ErrNotFound)
	})

	t.Run("a webhook of nobody known", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.post(t, "", "exit")
		l := b.letter(t, deadletter.Shared, func() { b.handler.SpoolRound(t.Context()) })
		require.True(t, l.Tenant.IsZero())
		_, err := b.letters.Retry(t.Context(), l.ID)
		require.NoError(t, err)
		b.none(t)
		l = b.letter(t, deadletter.Shared, func() { b.handler.SpoolRound(t.Context()) })
		_, err = b.letters.Drop(t.Context(), l.ID)
		require.NoError(t, err)
		b.none(t)
	})

	t.Run("an event that no domain could take", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		token, err := b.Directory.NewToken(t.Context(), hosttest.Echo, b.to)
		require.NoError(t, err)
		b.post(t, "/"+token, "said one 5491100000001 hola")
		b.replay(t)
		tenanttest.Do(t, b.Pool, b.Agency, func(ctx context.Context, s tenant.Scope) error {
			_, err := s.Exec(ctx, `insert into crm.failed_events (tenant_id, id, inbox_id, dedupe_key, event, reason, created_at)
				select tenant_id, $2, id, 'in:one', '', 'it was full', now() from crm.inbox where tenant_id = $1`, s.Tenant(), uuid.New())
			return err
		})
		l := b.letter(t, deadletter.Event, func() {})
		require.Equal(t, "it was full", l.Reason)
		_, err = b.letters.Retry(t.Context(), l.ID)
		require.NoError(t, err)
		b.none(t)
		b.replay(t)
		var left int
		require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
			return s.Query(ctx, &left, `select count(*)::int from crm.inbox where tenant_id = $1 and state <> 'done'`, s.Tenant())
		}))
		require.Zero(t, left)
	})
}

// A message in whose sending the plugin's process ended is never sent again by
// itself, and the operator sees it.
func TestHost04PoisonSend(t *testing.T) {
	t.Parallel()

	b := setup(t)
	var of conversation.ID
	tenanttest.Do(t, b.Pool, b.Agency, func(ctx context.Context, s tenant.Scope) error {
		err := conversation.Receive(ctx, s, []conversation.Incoming{{
			Account: installation.AccountKey{Installation: b.to.Installation, Kind: "installation", Value: "main"},
			Channel: hosttest.Echo, ExternalID: "in-1", Type: "text", Text: "Hola", OccurredAt: s.Now(),
			Party: contact.Party{Name: "Lucía", Addresses: []contact.Address{{Kind: "phone", Value: "5491100000001"}}},
		}})
		if err != nil {
			return err
		}
		list, err := conversation.List(ctx, s, conversation.Filter{Limit: 1})
		of = list[0].ID
		return err
	})
	say := func(text string) {
		t.Helper()
		tenanttest.Do(t, b.Pool, b.Agency, func(ctx context.Context, s tenant.Scope) error {
			_, err := conversation.Send(ctx, s, conversation.Draft{Conversation: of, Text: text, Author: conversation.ByUser, AuthorID: uuid.New()})
			return err
		})
	}
	work := func() {
		_ = b.outbox.Work(t.Context(), &queue.Job[conversation.Deliver]{Args: conversation.Deliver{Tenant: b.Agency.ID, Conversation: of}})
	}
	states := func() map[string]string {
		t.Helper()
		rows, out := []conversation.Message{}, map[string]string{}
		require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
			return s.Select(&rows).Where("m.direction = 'out'").Scan(ctx)
		}))
		for _, m := range rows {
			out[m.ID.String()] = string(m.Status) + " " + m.FailureCode
		}
		return out
	}
	say("exit")
	l := b.letter(t, deadletter.Message, work)
	require.Equal(t, map[string]string{l.ID.String(): "unknown plugin_crashed"}, states())
	for range 3 {
		work()
	}
	s, err := b.Registry.Status(hosttest.Echo)
	require.NoError(t, err)
	require.Equal(t, 1, s.Exits, "it was sent again")

	_, err = b.letters.Retry(t.Context(), l.ID)
	require.NoError(t, err)
	b.none(t)
	second := b.letter(t, deadletter.Message, work)
	require.NotEqual(t, l.ID, second.ID)
	_, err = b.letters.Drop(t.Context(), second.ID)
	require.NoError(t, err)
	b.none(t)
	require.Equal(t, map[string]string{l.ID.String(): "unknown ", second.ID.String(): "failed plugin_crashed"}, states())
	require.NotContains(t, b.Log.String(), "a token of the tests")
}
