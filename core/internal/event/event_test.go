package event_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// newLead makes an agency with a lead, whose timeline has one event.
func newLead(t *testing.T) (*tenant.Pool, tenant.Tenant, uuid.UUID) {
	t.Helper()
	pool, agency := tenanttest.New(t)
	var id uuid.UUID
	tenanttest.Do(t, pool, agency, func(ctx context.Context, s tenant.Scope) error {
		who, err := contact.Identify(ctx, s, []contact.Party{{Addresses: []contact.Address{{Kind: "wa_id", Value: "5491160001234"}}}})
		require.NoError(t, err)
		out, err := lead.OpenMany(ctx, s, []lead.Enquiry{{Contact: who[0].ID, Source: lead.SourceManual}})
		id = out[0].ID.UUID
		return err
	})
	return pool, agency, id
}

func list(t *testing.T, pool *tenant.Pool, agency tenant.Tenant, of uuid.UUID, before event.ID, limit int) []event.Event {
	t.Helper()
	var out []event.Event
	require.NoError(t, pool.Read(t.Context(), agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		out, err = event.OfLead(ctx, s, of, before, limit)
		return err
	}))
	return out
}

func TestTimeline(t *testing.T) {
	t.Parallel()

	pool, agency, of := newLead(t)
	tenanttest.Do(t, pool, agency, func(ctx context.Context, s tenant.Scope) error {
		require.NoError(t, event.Append(ctx, s))
		return event.Append(ctx, s,
			event.Event{Type: event.Contacted, LeadID: of, Actor: event.ByUser},
			event.Event{Type: event.MessageSent, LeadID: of, Actor: event.ByUser, Payload: event.Payload(map[string]any{"a": 1})},
			event.Event{Type: event.Contacted, Actor: event.ByUser}) // of no lead
	})
	all := list(t, pool, agency, of, event.ID{}, 10)
	require.Len(t, all, 3)
	require.Equal(t, event.MessageSent, all[0].Type)
	require.JSONEq(t, `{"a":1}`, string(all[0].Payload))
	require.JSONEq(t, `{}`, string(all[1].Payload))
	require.False(t, all[1].OccurredAt.IsZero())
	require.Equal(t, all[:1], list(t, pool, agency, of, event.ID{}, 1))
	require.Equal(t, all[1:], list(t, pool, agency, of, all[0].ID, 10))

	other := tenanttest.Create(t, pool, dbtest.Database(t).Name)
	require.Empty(t, list(t, pool, other, of, event.ID{}, 10))
	for _, sql := range []string{`update crm.events set type = 'x' where tenant_id = $1`, `delete from crm.events where tenant_id = $1`} {
		require.Error(t, pool.Do(t.Context(), agency.ID, func(ctx context.Context, s tenant.Scope) error {
			_, err := s.Exec(ctx, sql, s.Tenant())
			return err
		}), "the timeline only grows")
	}
}

func TestAppendOnce(t *testing.T) {
	t.Parallel()

	pool, agency, of := newLead(t)
	at := time.Now().Add(-time.Hour)
	for range 3 {
		for _, key := range []string{"a", "b"} {
			tenanttest.Do(t, pool, agency, func(ctx context.Context, s tenant.Scope) error {
				return event.AppendOnce(ctx, s, event.Event{ID: event.IDFor(at, key), Type: event.ConsentChanged, LeadID: of, Actor: event.ByContact})
			})
		}
	}
	require.Len(t, list(t, pool, agency, of, event.ID{}, 10), 3)
}

func TestIDFor(t *testing.T) {
	t.Parallel()

	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	id := event.IDFor(at, "a")
	require.Equal(t, id, event.IDFor(at, "a"))
	require.NotEqual(t, id, event.IDFor(at, "b"))
	require.EqualValues(t, 7, id.Version())
	require.Equal(t, uuid.RFC4122, id.Variant())
	sec, nsec := id.Time().UnixTime()
	require.WithinDuration(t, at, time.Unix(sec, nsec), time.Millisecond)
	require.Less(t, id.String(), event.IDFor(at.Add(time.Millisecond), "a").String())
	require.EqualValues(t, 7, event.IDFor(time.Time{}, "a").Version())
	require.Panics(t, func() { event.Payload(func() {}) })
}
