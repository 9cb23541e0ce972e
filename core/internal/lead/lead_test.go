package lead_test

import (
	"context"
	"encoding/json"
	"testing"

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

type bundle struct {
	pool   *tenant.Pool
	agency tenant.Tenant
	people []contact.ID
}

// setup makes an agency with a few contacts.
func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{}
	b.pool, b.agency = tenanttest.New(t)
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		found, err := contact.Identify(ctx, s, []contact.Party{
			{Name: "Ana", Addresses: []contact.Address{{Kind: "wa_id", Value: "5491160001234"}}},
			{Name: "Bea", Addresses: []contact.Address{{Kind: "wa_id", Value: "5491160009999"}}},
		})
		for _, f := range found {
			b.people = append(b.people, f.ID)
		}
		return err
	})
	return b
}

func (b *bundle) do(t *testing.T, fn func(context.Context, tenant.Scope) error) {
	t.Helper()
	tenanttest.Do(t, b.pool, b.agency, fn)
}

func (b *bundle) open(t *testing.T, in ...lead.Enquiry) []lead.Opened {
	t.Helper()
	var out []lead.Opened
	b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
		out, err = lead.OpenMany(ctx, s, in)
		return err
	})
	return out
}

func (b *bundle) get(t *testing.T, i lead.ID) *lead.View {
	t.Helper()
	var l *lead.View
	require.NoError(t, b.pool.Read(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		l, err = lead.Get(ctx, s, i)
		return err
	}))
	return l
}

func (b *bundle) events(t *testing.T, i lead.ID) []event.Event {
	t.Helper()
	var list []event.Event
	require.NoError(t, b.pool.Read(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		list, err = event.OfLead(ctx, s, i.UUID, event.ID{}, 100)
		return err
	}))
	return list
}

// end puts a lead into a final status, as its pipeline will one day.
func (b *bundle) end(t *testing.T, i lead.ID, as lead.Status) {
	t.Helper()
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `update crm.leads set status = $3, closed_at = $4 where tenant_id = $1 and id = $2`, s.Tenant(), i, string(as), s.Now())
		return err
	})
}

func TestOpenMany(t *testing.T) {
	t.Parallel()

	t.Run("in the first stage of the default pipeline, with its event", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		out := b.open(t, lead.Enquiry{Contact: b.people[0], Source: lead.SourceWhatsApp, Channel: "whatsapp"})
		require.True(t, out[0].New)
		l := b.get(t, out[0].ID)
		require.Equal(t, "search", l.Pipeline)
		require.Equal(t, "new", l.Stage)
		require.Equal(t, lead.Open, l.Status)
		require.Equal(t, lead.SourceWhatsApp, l.Source)
		require.Equal(t, "Ana", l.Contact.Name)
		events := b.events(t, l.ID)
		require.Len(t, events, 1)
		require.Equal(t, event.Created, events[0].Type)
		require.JSONEq(t, `{"source":"whatsapp","channel":"whatsapp"}`, string(events[0].Payload))
	})

	t.Run("an open lead takes what comes, also within a batch", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		ana := lead.Enquiry{Contact: b.people[0], Source: lead.SourceWhatsApp}
		bea := lead.Enquiry{Contact: b.people[1], Source: lead.SourceWhatsApp}
		out := b.open(t, ana, bea, ana)
		require.Equal(t, out[0].ID, out[2].ID)
		require.False(t, out[2].New)
		require.NotEqual(t, out[0].ID, out[1].ID)
		require.Equal(t, lead.Opened{ID: out[0].ID}, b.open(t, ana)[0])
	})

	t.Run("after the end of one a new one is opened", func(t *testing.T) {
		t.Parallel()

		for _, as := range []lead.Status{lead.Won, lead.Lost} {
			t.Run(string(as), func(t *testing.T) {
				t.Parallel()

				b := setup(t)
				in := lead.Enquiry{Contact: b.people[0], Source: lead.SourceWhatsApp}
				first := b.open(t, in)[0]
				b.end(t, first.ID, as)
				second := b.open(t, in)[0]
				require.True(t, second.New)
				require.NotEqual(t, first.ID, second.ID)
			})
		}
	})

	t.Run("an advertisement is a source of its own, a post is not", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		out := b.open(t,
			lead.Enquiry{Contact: b.people[0], Source: lead.SourceWhatsApp, Referral: &lead.Referral{SourceType: "ad", ClickID: "ARA"}},
			lead.Enquiry{Contact: b.people[1], Source: lead.SourceWhatsApp, Referral: &lead.Referral{SourceType: "post"}})
		require.Equal(t, lead.SourceAds, b.get(t, out[0].ID).Source)
		require.Equal(t, "ARA", b.get(t, out[0].ID).Referral.ClickID)
		require.Equal(t, lead.SourceWhatsApp, b.get(t, out[1].ID).Source)
	})
}

func TestAssign(t *testing.T) {
	t.Parallel()

	assign := func(b *bundle, i lead.ID, agent uuid.UUID) func(context.Context, tenant.Scope) error {
		return func(ctx context.Context, s tenant.Scope) error {
			return lead.Assign(ctx, s, i, agent, event.BySystem, uuid.Nil, "test")
		}
	}

	t.Run("with its event, once", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		agent := uuid.New()
		l := b.open(t, lead.Enquiry{Contact: b.people[0], Source: lead.SourceManual})[0]
		b.do(t, assign(b, l.ID, agent))
		b.do(t, assign(b, l.ID, agent))
		got := b.get(t, l.ID)
		require.Equal(t, agent, got.AssigneeID)
		require.Equal(t, 2, got.Version)
		events := b.events(t, l.ID)
		require.Len(t, events, 2)
		require.Equal(t, event.Assigned, events[0].Type)
		var payload struct {
			AssigneeID uuid.UUID `json:"assignee_id"`
		}
		require.NoError(t, json.Unmarshal(events[0].Payload, &payload))
		require.Equal(t, agent, payload.AssigneeID)
	})

	t.Run("another tenant's lead is not there", func(t *testing.T) {
		t.Parallel()

		b, other := setup(t), setup(t)
		l := b.open(t, lead.Enquiry{Contact: b.people[0], Source: lead.SourceManual})[0]
		require.ErrorIs(t, other.pool.Do(t.Context(), other.agency.ID, assign(other, l.ID, uuid.New())), lead.ErrNotFound)
		require.Zero(t, b.get(t, l.ID).AssigneeID)
	})
}

func TestOpenCounts(t *testing.T) {
	t.Parallel()

	b := setup(t)
	busy, free := uuid.New(), uuid.New()
	out := b.open(t,
		lead.Enquiry{Contact: b.people[0], Source: lead.SourceManual, AssigneeID: busy},
		lead.Enquiry{Contact: b.people[1], Source: lead.SourceManual, AssigneeID: busy})
	b.end(t, out[1].ID, lead.Lost)
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		counts, err := lead.OpenCounts(ctx, s, []uuid.UUID{busy, free})
		require.Equal(t, map[uuid.UUID]int{busy: 1}, counts)
		return err
	})
}

func TestList(t *testing.T) {
	t.Parallel()

	b := setup(t)
	agent := uuid.New()
	out := b.open(t,
		lead.Enquiry{Contact: b.people[0], Source: lead.SourceManual},
		lead.Enquiry{Contact: b.people[1], Source: lead.SourceManual, AssigneeID: agent})
	b.end(t, out[0].ID, lead.Won)
	for name, tt := range map[string]struct {
		filter lead.Filter
		want   []lead.ID
	}{
		"newest first": {lead.Filter{Limit: 10}, []lead.ID{out[1].ID, out[0].ID}},
		"a page":       {lead.Filter{Limit: 1}, []lead.ID{out[1].ID}},
		"the next":     {lead.Filter{Limit: 10, Before: out[1].ID}, []lead.ID{out[0].ID}},
		"by status":    {lead.Filter{Limit: 10, Status: lead.Won}, []lead.ID{out[0].ID}},
		"by agent":     {lead.Filter{Limit: 10, AssigneeID: agent}, []lead.ID{out[1].ID}},
		"by contact":   {lead.Filter{Limit: 10, ContactID: b.people[0]}, []lead.ID{out[0].ID}},
		"of nobody":    {lead.Filter{Limit: 10, AssigneeID: uuid.New()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			require.NoError(t, b.pool.Read(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
				list, err := lead.List(ctx, s, tt.filter)
				var got []lead.ID
				for _, l := range list {
					got = append(got, l.ID)
				}
				require.Equal(t, tt.want, got)
				return err
			}))
		})
	}
}

func TestSeed(t *testing.T) {
	t.Parallel()

	b := setup(t)
	pipelines := func() (n int64) {
		b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
			require.NoError(t, lead.Seed(ctx, s)) // the agency was seeded when it was made
			n, err = s.Select((*lead.Pipeline)(nil)).Count(ctx)
			return err
		})
		return n
	}
	require.EqualValues(t, 5, pipelines())
	require.EqualValues(t, 5, pipelines())
}
