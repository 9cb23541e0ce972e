package automation_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/automation"
	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

type bundle struct {
	pool    *tenant.Pool
	agency  tenant.Tenant
	account installation.AccountKey
	agents  []uuid.UUID
	window  time.Duration
	said    int
}

// setup makes an agency with an installation and so many agents.
func setup(t *testing.T, agents int) *bundle {
	t.Helper()
	b := &bundle{window: 24 * time.Hour}
	b.pool, b.agency = tenanttest.New(t)
	for n := range agents {
		user := uuid.New()
		_, err := b.pool.Control().NewRaw(`insert into control.users (id, email) values (?, ?)`, user, user.String()+"@example.com").Exec(t.Context())
		require.NoError(t, err)
		_, err = b.pool.Control().NewRaw(`insert into control.memberships (tenant_id, user_id, role, created_at) values (?, ?, 'agent', ?)`,
			b.agency.ID, user, time.Now().Add(time.Duration(n)*time.Second)).Exec(t.Context())
		require.NoError(t, err)
		b.agents = append(b.agents, user)
	}
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

// say has a customer write, and returns the conversation.
func (b *bundle) say(t *testing.T, phone, text string) conversation.ID {
	t.Helper()
	b.said++
	at := time.Now().UTC()
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		return conversation.Receive(ctx, s, []conversation.Incoming{{
			Account: b.account, Channel: "whatsapp", ExternalID: "in." + strconv.Itoa(b.said), Type: "text", Text: text,
			Party:      contact.Party{Name: "Lucía Ferreyra", Addresses: []contact.Address{{Kind: "wa_id", Value: phone}}},
			OccurredAt: at, WindowExpiresAt: at.Add(b.window),
		}})
	})
	for _, v := range b.conversations(t) {
		if v.Contact.Identities[0].Value == phone {
			return v.ID
		}
	}
	t.Fatal("no conversation")
	return conversation.ID{}
}

// follow does what follows a customer's message.
func (b *bundle) follow(t *testing.T, list ...conversation.ID) {
	t.Helper()
	work := automation.Worker(b.pool)
	require.NoError(t, work(t.Context(), &queue.Job[conversation.Followed]{Args: conversation.Followed{Tenant: b.agency.ID, Conversations: list}}))
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

// look returns a conversation, its lead and what was said to the customer.
func (b *bundle) look(t *testing.T, i conversation.ID) (v *conversation.View, l *lead.View, replies []conversation.Message) {
	t.Helper()
	require.NoError(t, b.pool.Read(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		if v, err = conversation.Get(ctx, s, i); err != nil {
			return err
		}
		if l, err = lead.Get(ctx, s, v.LeadID); err != nil {
			return err
		}
		list, err := conversation.Messages(ctx, s, i, time.Time{}, conversation.MessageID{}, 100)
		for _, m := range list {
			if m.Direction == conversation.Out {
				replies = append(replies, m)
			}
		}
		return err
	}))
	return v, l, replies
}

func TestWorker(t *testing.T) {
	t.Parallel()

	const ana, bea = "5491160001234", "5491160009999"

	t.Run("greets once, then routes the answer to an agent", func(t *testing.T) {
		t.Parallel()

		b := setup(t, 1)
		i := b.say(t, ana, "Hola")
		b.follow(t, i)
		v, l, replies := b.look(t, i)
		require.Len(t, replies, 1)
		require.Equal(t, conversation.ByAssistant, replies[0].Author)
		require.Contains(t, replies[0].Text, "¡Hola, Lucía!")
		require.Equal(t, conversation.Queued, replies[0].Status)
		require.Equal(t, conversation.HeldByBot, v.Holder)
		require.Zero(t, l.AssigneeID)

		b.say(t, ana, "busco 2 ambientes en Palermo")
		b.follow(t, i)
		v, l, replies = b.look(t, i)
		require.Len(t, replies, 1)
		require.Equal(t, conversation.HeldByHuman, v.Holder)
		require.Equal(t, 2, v.Epoch)
		require.Equal(t, b.agents[0], v.AssigneeID)
		require.Equal(t, b.agents[0], l.AssigneeID)

		b.say(t, ana, "¿hola?")
		b.follow(t, i)
		after, _, replies := b.look(t, i)
		require.Len(t, replies, 1)
		require.Equal(t, v.Epoch, after.Epoch)
	})

	t.Run("a job that runs again changes nothing", func(t *testing.T) {
		t.Parallel()

		b := setup(t, 1)
		i := b.say(t, ana, "Hola")
		b.follow(t, i, i)
		b.follow(t, i)
		v, l, replies := b.look(t, i)
		require.Len(t, replies, 1)
		require.Equal(t, conversation.HeldByBot, v.Holder, "nobody answered the greeting")
		require.Zero(t, l.AssigneeID)
	})

	t.Run("messages before the greeting do not answer it", func(t *testing.T) {
		t.Parallel()

		b := setup(t, 1)
		i := b.say(t, ana, "Hola")
		b.say(t, ana, "vi el depto de Palermo")
		b.follow(t, i)
		b.follow(t, i) // the second message's own job
		v, _, replies := b.look(t, i)
		require.Len(t, replies, 1)
		require.Equal(t, conversation.HeldByBot, v.Holder)
	})

	t.Run("who asks for a person gets one, also not in the last words", func(t *testing.T) {
		t.Parallel()

		b := setup(t, 1)
		i := b.say(t, ana, "Quiero hablar con una PERSONA")
		b.say(t, ana, "gracias")
		b.follow(t, i)
		v, _, replies := b.look(t, i)
		require.Empty(t, replies)
		require.Equal(t, conversation.HeldByHuman, v.Holder)
		require.Equal(t, b.agents[0], v.AssigneeID)
	})

	t.Run("without agents the conversation is nobody's, until one is there", func(t *testing.T) {
		t.Parallel()

		b := setup(t, 0)
		i := b.say(t, ana, "un asesor, por favor")
		b.follow(t, i)
		v, l, replies := b.look(t, i)
		require.Empty(t, replies)
		require.Equal(t, conversation.HeldByNone, v.Holder)
		require.Equal(t, 2, v.Epoch)
		require.Zero(t, l.AssigneeID)

		user := uuid.New()
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			_, err := conversation.TakeOver(ctx, s, i, user)
			return err
		})
		v, l, _ = b.look(t, i)
		require.Equal(t, conversation.HeldByHuman, v.Holder)
		require.Equal(t, user, l.AssigneeID)
	})

	t.Run("agents get conversations in turn", func(t *testing.T) {
		t.Parallel()

		b := setup(t, 3)
		got := map[uuid.UUID]int{}
		for n := range 6 {
			i := b.say(t, "549116000000"+strconv.Itoa(n), "con un agente")
			b.follow(t, i)
			_, l, _ := b.look(t, i)
			got[l.AssigneeID]++
		}
		require.Equal(t, map[uuid.UUID]int{b.agents[0]: 2, b.agents[1]: 2, b.agents[2]: 2}, got)
	})

	t.Run("an assistant that cannot greet leaves it to a person", func(t *testing.T) {
		t.Parallel()

		for name, change := range map[string]func(*bundle){
			"the window is closed": func(b *bundle) { b.window = -time.Minute },
			"a greeting too long":  func(b *bundle) { b.greeting(t, strings.Repeat("hola ", 1000)) },
			"no greeting":          func(b *bundle) { b.greeting(t, "  ") },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()

				b := setup(t, 1)
				change(b)
				i := b.say(t, ana, "Hola")
				b.follow(t, i)
				v, l, replies := b.look(t, i)
				require.Empty(t, replies)
				require.Equal(t, conversation.HeldByHuman, v.Holder)
				require.Equal(t, b.agents[0], l.AssigneeID)
			})
		}
	})

	t.Run("what the assistant decided before a person came is not sent", func(t *testing.T) {
		t.Parallel()

		b := setup(t, 1)
		i := b.say(t, ana, "Hola")
		b.follow(t, i)
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			_, err := conversation.Send(ctx, s, conversation.Draft{Conversation: i, Text: "Buen día", Author: conversation.ByUser, AuthorID: b.agents[0]})
			return err
		})
		var d *conversation.Dispatch
		b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
			d, err = conversation.Claim(ctx, s, i)
			return err
		})
		require.Equal(t, "Buen día", d.Message.Text)
		_, _, replies := b.look(t, i)
		for _, m := range replies {
			if m.Author == conversation.ByAssistant {
				require.Equal(t, conversation.FailureStale, m.FailureCode)
			}
		}
	})

	t.Run("one that is gone does not keep the others", func(t *testing.T) {
		t.Parallel()

		b := setup(t, 1)
		one, two := b.say(t, ana, "Hola"), b.say(t, bea, "Hola")
		b.follow(t, one, conversation.ID{UUID: uuid.New()}, two)
		for _, i := range []conversation.ID{one, two} {
			_, _, replies := b.look(t, i)
			require.Len(t, replies, 1)
		}
	})

	t.Run("a new enquiry of a customer whom an agent knows is the agent's", func(t *testing.T) {
		t.Parallel()

		b := setup(t, 1)
		i := b.say(t, ana, "con una persona")
		b.follow(t, i)
		_, first, _ := b.look(t, i)
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			_, err := s.Exec(ctx, `update crm.leads set status = 'won' where tenant_id = $1`, s.Tenant())
			return err
		})
		b.say(t, ana, "busco otro")
		b.follow(t, i)
		_, second, _ := b.look(t, i)
		require.NotEqual(t, first.ID, second.ID)
		require.Equal(t, b.agents[0], second.AssigneeID)
	})
}

// greeting changes what the assistant says first.
func (b *bundle) greeting(t *testing.T, text string) {
	t.Helper()
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `update crm.assistants set greeting = $2 where tenant_id = $1`, s.Tenant(), text)
		return err
	})
}
