package conversation_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type bundle struct {
	pool    *tenant.Pool
	agency  tenant.Tenant
	account installation.AccountKey
	now     time.Time
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{now: time.Now().UTC().Truncate(time.Second)}
	b.pool, b.agency = tenanttest.New(t)
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		n := installation.New(s, "whatsapp", "WhatsApp")
		b.account = installation.AccountKey{Installation: n.ID, Kind: "phone_number_id", Value: "100"}
		return installation.Create(ctx, s, n)
	})
	return b
}

func (b *bundle) do(t *testing.T, fn func(context.Context, tenant.Scope) error) {
	t.Helper()
	tenanttest.Do(t, b.pool, b.agency, fn)
}

func (b *bundle) message(phone, external, text string) conversation.Incoming {
	return conversation.Incoming{
		Account: b.account, Channel: "whatsapp", ExternalID: external, Type: "text", Text: text,
		Party:      contact.Party{Name: "Lucía Ferreyra", Addresses: []contact.Address{{Kind: "wa_id", Value: phone}}},
		OccurredAt: b.now, WindowExpiresAt: b.now.Add(24 * time.Hour),
	}
}

func (b *bundle) receive(t *testing.T, in ...conversation.Incoming) {
	t.Helper()
	b.do(t, func(ctx context.Context, s tenant.Scope) error { return conversation.Receive(ctx, s, in) })
}

func (b *bundle) conversations(t *testing.T) []conversation.View {
	t.Helper()
	var list []conversation.View
	require.NoError(t, b.pool.Read(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		list, err = conversation.List(ctx, s, conversation.Filter{Limit: 100})
		return err
	}))
	return list
}

func (b *bundle) messages(t *testing.T, v conversation.ID) []conversation.Message {
	t.Helper()
	var list []conversation.Message
	require.NoError(t, b.pool.Read(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		list, err = conversation.Messages(ctx, s, v, time.Time{}, conversation.MessageID{}, 100)
		return err
	}))
	return list
}

func TestReceive(t *testing.T) {
	t.Parallel()

	t.Run("a first message makes contact, lead, conversation and timeline", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		in := b.message("5491160001234", "wamid.1", "Hola")
		in.Referral = &lead.Referral{SourceType: "ad", SourceID: "77", ClickID: "ARA"}
		b.receive(t, in)

		list := b.conversations(t)
		require.Len(t, list, 1)
		v := list[0]
		require.Equal(t, conversation.HeldByBot, v.Holder)
		require.Equal(t, 1, v.Unread)
		require.Equal(t, "Hola", v.Preview)
		require.Equal(t, "whatsapp", v.Channel)
		require.Equal(t, b.now.Add(24*time.Hour), v.WindowExpiresAt.UTC())
		require.Equal(t, "Lucía Ferreyra", v.Contact.Name)
		require.Equal(t, "5491160001234", v.Contact.Identities[0].Value)

		require.NoError(t, b.pool.Read(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
			l, err := lead.Get(ctx, s, v.LeadID)
			require.NoError(t, err)
			require.Equal(t, lead.SourceAds, l.Source)
			require.Equal(t, "ARA", l.Referral.ClickID)
			require.Equal(t, "new", l.Stage)
			require.Equal(t, v.ID.UUID, l.ConvID)
			events, err := event.OfLead(ctx, s, l.ID.UUID, event.ID{}, 10)
			require.NoError(t, err)
			require.Len(t, events, 2)
			return nil
		}))
	})

	t.Run("repeats change nothing", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		in := b.message("5491160001234", "wamid.1", "Hola")
		b.receive(t, in, in)
		b.receive(t, in)

		list := b.conversations(t)
		require.Len(t, list, 1)
		require.Equal(t, 1, list[0].Unread)
		require.Len(t, b.messages(t, list[0].ID), 1)
	})

	t.Run("a batch of many people and messages", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		var in []conversation.Incoming
		for n := range 60 {
			m := b.message("54911600012"+string(rune('0'+n%6))+"0", "wamid."+uuid.NewString(), "Hola")
			m.OccurredAt = b.now.Add(time.Duration(n) * time.Second)
			in = append(in, m)
		}
		b.receive(t, in...)

		list := b.conversations(t)
		require.Len(t, list, 6)
		for _, v := range list {
			require.Equal(t, 10, v.Unread)
		}
		b.receive(t, b.message("5491160001200", "wamid.later", "Otra"))
		list = b.conversations(t)
		require.Len(t, list, 6)
	})

	t.Run("spellings of one number are one person", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.receive(t, b.message("5491160001234", "wamid.1", "Hola"))
		b.receive(t, b.message("541160001234", "wamid.2", "sigo acá"))
		require.Len(t, b.conversations(t), 1)
	})

	t.Run("a business-scoped id alone is a person, and is linked when the phone comes", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		in := b.message("", "wamid.1", "Hola")
		in.Party.Addresses = []contact.Address{{Kind: "bsuid", Value: "AR.1"}}
		b.receive(t, in)
		in = b.message("5491160001234", "wamid.2", "mi número")
		in.Party.Addresses = append(in.Party.Addresses, contact.Address{Kind: "bsuid", Value: "AR.1"})
		b.receive(t, in)
		list := b.conversations(t)
		require.Len(t, list, 1)
		require.Len(t, list[0].Contact.Identities, 2)
	})

	t.Run("many at once from one new person make one person", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		errs := make(chan error, 8)
		for n := range 8 {
			go func() {
				errs <- b.pool.Do(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
					return conversation.Receive(ctx, s, []conversation.Incoming{b.message("5491160001234", "wamid."+string(rune('a'+n)), "Hola")})
				})
			}()
		}
		for range 8 {
			require.NoError(t, <-errs)
		}
		list := b.conversations(t)
		require.Len(t, list, 1)
		require.Equal(t, 8, list[0].Unread)
	})

	t.Run("an echo is outbound and nobody's unread message", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		in := b.message("5491160001234", "wamid.1", "desde el teléfono")
		in.Echo = true
		b.receive(t, in)
		v := b.conversations(t)[0]
		require.Zero(t, v.Unread)
		m := b.messages(t, v.ID)[0]
		require.Equal(t, conversation.Out, m.Direction)
		require.Equal(t, conversation.Sent, m.Status)
	})

	t.Run("an echo takes the ticks that came before it", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		in := b.message("5491160001234", "wamid.1", "desde el teléfono")
		in.Echo = true
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			return conversation.Advance(ctx, s, []conversation.Update{
				{Account: in.Account, ExternalID: "wamid.1", Status: conversation.Read, OccurredAt: b.now},
				{Account: in.Account, ExternalID: "wamid.1", Status: conversation.Delivered, OccurredAt: b.now},
				{Account: in.Account, ExternalID: "wamid.2", Status: conversation.Delivered, OccurredAt: b.now},
			})
		})
		b.receive(t, in, b.message("5491160001234", "wamid.3", "hola"))
		got := map[string]conversation.State{}
		for _, m := range b.messages(t, b.conversations(t)[0].ID) {
			got[m.ExternalID] = m.Status
		}
		require.Equal(t, map[string]conversation.State{"wamid.1": conversation.Read, "wamid.3": conversation.Received}, got)
	})
}

func TestSendAndAdvance(t *testing.T) {
	t.Parallel()

	user := uuid.New()
	start := func(t *testing.T) (*bundle, *conversation.Message) {
		t.Helper()
		b := setup(t)
		b.receive(t, b.message("5491160001234", "wamid.in", "Hola"))
		v := b.conversations(t)[0]
		var m *conversation.Message
		b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
			m, err = conversation.Send(ctx, s, conversation.Draft{Conversation: v.ID, Text: "Buen día", Author: conversation.ByUser, AuthorID: user})
			return err
		})
		return b, m
	}
	claim := func(t *testing.T, b *bundle, v conversation.ID) *conversation.Dispatch {
		t.Helper()
		var d *conversation.Dispatch
		b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
			d, err = conversation.Claim(ctx, s, v)
			return err
		})
		return d
	}
	tick := func(t *testing.T, b *bundle, external string, m conversation.MessageID, states ...conversation.State) {
		t.Helper()
		var in []conversation.Update
		for n, st := range states {
			in = append(in, conversation.Update{Account: b.account, ExternalID: external, MessageID: m, Status: st, OccurredAt: b.now.Add(time.Duration(n) * time.Second)})
		}
		b.do(t, func(ctx context.Context, s tenant.Scope) error { return conversation.Advance(ctx, s, in) })
	}
	status := func(t *testing.T, b *bundle, m *conversation.Message) conversation.State {
		t.Helper()
		for _, got := range b.messages(t, m.ConversationID) {
			if got.ID == m.ID {
				return got.Status
			}
		}
		t.Fatal("message not found")
		return ""
	}

	t.Run("a user's message takes over, is claimed once and ticks forward", func(t *testing.T) {
		t.Parallel()

		b, m := start(t)
		v := b.conversations(t)[0]
		require.Equal(t, conversation.HeldByHuman, v.Holder)
		require.Equal(t, 2, v.Epoch)
		require.Equal(t, user, v.AssigneeID)

		d := claim(t, b, v.ID)
		require.Equal(t, m.ID, d.Message.ID)
		require.Equal(t, "5491160001234", d.To[0].Value)
		require.Equal(t, "100", d.Account.Value)
		require.Nil(t, claim(t, b, v.ID), "claimed twice")

		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			return conversation.Accepted(ctx, s, m.ID, "wamid.out", nil)
		})
		require.Equal(t, conversation.Sent, status(t, b, m))
		tick(t, b, "wamid.out", conversation.MessageID{}, conversation.Read, conversation.Sent, conversation.Delivered)
		require.Equal(t, conversation.Read, status(t, b, m))
		tick(t, b, "wamid.out", conversation.MessageID{}, conversation.Delivered, conversation.Failed)
		require.Equal(t, conversation.Read, status(t, b, m))
	})

	t.Run("a tick before the send is recorded waits for it", func(t *testing.T) {
		t.Parallel()

		b, m := start(t)
		claim(t, b, m.ConversationID)
		tick(t, b, "wamid.out", conversation.MessageID{}, conversation.Delivered)
		require.Equal(t, conversation.Dispatching, status(t, b, m))
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			return conversation.Accepted(ctx, s, m.ID, "wamid.out", nil)
		})
		require.Equal(t, conversation.Delivered, status(t, b, m))
	})

	t.Run("a lost send is explained by a tick that carries our id", func(t *testing.T) {
		t.Parallel()

		b, m := start(t)
		claim(t, b, m.ConversationID)
		b.do(t, func(ctx context.Context, s tenant.Scope) error { return conversation.Lost(ctx, s, m.ID, "") })
		require.Equal(t, conversation.Unknown, status(t, b, m))
		tick(t, b, "wamid.out", m.ID, conversation.Sent)
		require.Equal(t, conversation.Sent, status(t, b, m))
		tick(t, b, "wamid.out", conversation.MessageID{}, conversation.Read)
		require.Equal(t, conversation.Read, status(t, b, m))
	})

	t.Run("our id from another account is not believed", func(t *testing.T) {
		t.Parallel()

		b, m := start(t)
		claim(t, b, m.ConversationID)
		b.account.Value = "200"
		tick(t, b, "wamid.out", m.ID, conversation.Read)
		require.Equal(t, conversation.Dispatching, status(t, b, m))
	})

	t.Run("order is kept while a message waits for its next attempt", func(t *testing.T) {
		t.Parallel()

		b, m := start(t)
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			_, err := conversation.Send(ctx, s, conversation.Draft{Conversation: m.ConversationID, Text: "segundo", Author: conversation.ByUser, AuthorID: user})
			return err
		})
		claim(t, b, m.ConversationID)
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			return conversation.Postponed(ctx, s, m.ID, s.Now().Add(time.Hour), true)
		})
		require.Nil(t, claim(t, b, m.ConversationID))
	})

	t.Run("the assistant's message is refused once a person has taken over", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.receive(t, b.message("5491160001234", "wamid.in", "Hola"))
		v := b.conversations(t)[0]
		var m *conversation.Message
		b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
			m, err = conversation.Send(ctx, s, conversation.Draft{Conversation: v.ID, Text: "soy el bot", Author: conversation.ByAssistant, Epoch: v.Epoch})
			return err
		})
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			_, err := conversation.TakeOver(ctx, s, v.ID, user)
			return err
		})
		require.Nil(t, claim(t, b, v.ID))
		require.Equal(t, conversation.Failed, status(t, b, m))
	})

	t.Run("outside the window and without text nothing is queued", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		in := b.message("5491160001234", "wamid.in", "Hola")
		in.WindowExpiresAt = b.now.Add(-time.Minute)
		b.receive(t, in)
		v := b.conversations(t)[0]
		for text, want := range map[string]error{"hola": conversation.ErrWindowClosed, "  ": conversation.ErrText} {
			err := b.pool.Do(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
				_, err := conversation.Send(ctx, s, conversation.Draft{Conversation: v.ID, Text: text, Author: conversation.ByUser, AuthorID: user})
				return err
			})
			require.ErrorIs(t, err, want)
		}
	})

	t.Run("another tenant's conversation is not there", func(t *testing.T) {
		t.Parallel()

		b, m := start(t)
		other := tenanttest.Create(t, b.pool, dbtest.Database(t).Name)
		err := b.pool.Do(t.Context(), other.ID, func(ctx context.Context, s tenant.Scope) error {
			_, err := conversation.Send(ctx, s, conversation.Draft{Conversation: m.ConversationID, Text: "hola", Author: conversation.ByUser, AuthorID: user})
			return err
		})
		require.ErrorIs(t, err, conversation.ErrNotFound)
	})
}
