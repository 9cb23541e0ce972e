package conversation_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
)

// age makes what a column of a message tells older by seconds, or newer.
func (b *bundle) age(t *testing.T, m conversation.MessageID, column string, seconds int) {
	t.Helper()
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		n, err := s.Exec(ctx, `update crm.messages set `+column+` = now() - make_interval(secs => $3) where tenant_id = $1 and id = $2`,
			s.Tenant(), m, float64(seconds))
		require.EqualValues(t, 1, n)
		return err
	})
}

// sweep runs a round over the agency's rows, as the queue does, and returns what
// was found.
func (b *bundle) sweep(t *testing.T, w queue.Sweep) []uuid.UUID {
	t.Helper()
	database, err := b.pool.DatabaseOf(t.Context(), b.agency.ID)
	require.NoError(t, err)
	var found []uuid.UUID
	require.NoError(t, b.pool.System(t.Context(), database, "test", func(ctx context.Context, s tenant.Sys) error {
		return s.Query(ctx, func(scan func(...any) error) error {
			var of, i uuid.UUID
			if err := scan(&of, &i); err == nil && of == b.agency.ID.UUID {
				found = append(found, i)
			}
			return err
		}, w.Find, 10_000)
	}))
	for _, i := range found {
		b.do(t, func(ctx context.Context, s tenant.Scope) error { return w.Act(ctx, s, i) })
	}
	return found
}

// jobs counts the jobs that will look at a conversation.
func (b *bundle) jobs(t *testing.T, v conversation.ID) (n int) {
	t.Helper()
	require.NoError(t, dbtest.Database(t).Admin(t).QueryRow(t.Context(), `select count(*) from river.river_job
		where kind = 'conversation_deliver' and args->>'conversation' = $1`, v.String()).Scan(&n))
	return n
}

// loseJobs forgets what was to be done for a conversation.
func (b *bundle) loseJobs(t *testing.T, v conversation.ID) {
	t.Helper()
	_, err := dbtest.Database(t).Admin(t).Exec(t.Context(), `delete from river.river_job where args->>'conversation' = $1`, v.String())
	require.NoError(t, err)
}

func (b *bundle) send(t *testing.T, v conversation.ID, text string) *conversation.Message {
	t.Helper()
	var m *conversation.Message
	b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
		m, err = conversation.Send(ctx, s, conversation.Draft{Conversation: v, Text: text, Author: conversation.ByUser, AuthorID: uuid.New()})
		return err
	})
	return m
}

func (b *bundle) claim(t *testing.T, v conversation.ID) *conversation.Dispatch {
	t.Helper()
	var d *conversation.Dispatch
	b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
		d, err = conversation.Claim(ctx, s, v)
		return err
	})
	return d
}

func (b *bundle) status(t *testing.T, m *conversation.Message) conversation.State {
	t.Helper()
	for _, got := range b.messages(t, m.ConversationID) {
		if got.ID == m.ID {
			return got.Status
		}
	}
	t.Fatal("no such message")
	return ""
}

// talk begins a conversation.
func talk(t *testing.T) (*bundle, conversation.ID) {
	t.Helper()
	b := setup(t)
	b.receive(t, b.message("5491160001234", "wamid.in", "Hola"))
	return b, b.conversations(t)[0].ID
}

func TestOverdue(t *testing.T) {
	t.Parallel()

	t.Run("a claimed message without an outcome is unknown after a minute, and the next may go", func(t *testing.T) {
		t.Parallel()

		b, v := talk(t)
		m, next := b.send(t, v, "¿llegó?"), b.send(t, v, "otro")
		b.claim(t, v)
		require.Empty(t, b.sweep(t, conversation.Overdue))
		b.age(t, m.ID, "dispatched_at", 59)
		require.Empty(t, b.sweep(t, conversation.Overdue), "somebody may still be writing the outcome down")
		b.age(t, m.ID, "dispatched_at", 61)
		b.loseJobs(t, v)
		require.Equal(t, []uuid.UUID{m.ID.UUID}, b.sweep(t, conversation.Overdue))
		require.Equal(t, conversation.Unknown, b.status(t, m))
		require.Equal(t, 1, b.jobs(t, v))
		require.Empty(t, b.sweep(t, conversation.Overdue))
		require.Equal(t, next.ID, b.claim(t, v).Message.ID)
	})

	t.Run("an outcome that comes after all is taken", func(t *testing.T) {
		t.Parallel()

		b, v := talk(t)
		m := b.send(t, v, "¿llegó?")
		b.claim(t, v)
		b.age(t, m.ID, "dispatched_at", 61)
		b.sweep(t, conversation.Overdue)
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			return conversation.Accepted(ctx, s, m.ID, "wamid.out", nil)
		})
		require.Equal(t, conversation.Sent, b.status(t, m))
	})

	t.Run("what was found but has an outcome by now is left alone", func(t *testing.T) {
		t.Parallel()

		b, v := talk(t)
		m := b.send(t, v, "sí")
		b.claim(t, v)
		b.age(t, m.ID, "dispatched_at", 61)
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			return conversation.Accepted(ctx, s, m.ID, "wamid.out", nil)
		})
		b.do(t, func(ctx context.Context, s tenant.Scope) error { return conversation.Overdue.Act(ctx, s, m.ID.UUID) })
		require.Equal(t, conversation.Sent, b.status(t, m))
	})
}

func TestStuck(t *testing.T) {
	t.Parallel()

	t.Run("a message whose job was lost gets one", func(t *testing.T) {
		t.Parallel()

		b, v := talk(t)
		m := b.send(t, v, "hola")
		b.loseJobs(t, v)
		require.Empty(t, b.sweep(t, conversation.Stuck), "its job may be on its way")
		b.age(t, m.ID, "created_at", 21)
		require.Equal(t, []uuid.UUID{v.UUID}, b.sweep(t, conversation.Stuck))
		require.Equal(t, []uuid.UUID{v.UUID}, b.sweep(t, conversation.Stuck))
		require.Equal(t, 1, b.jobs(t, v), "one is enough")
	})

	t.Run("one that waits for its time is not stuck, nor are those behind it", func(t *testing.T) {
		t.Parallel()

		b, v := talk(t)
		first, second := b.send(t, v, "primero"), b.send(t, v, "segundo")
		b.loseJobs(t, v)
		b.age(t, first.ID, "created_at", 100)
		b.age(t, second.ID, "created_at", 100)
		b.age(t, first.ID, "not_before", -10)
		require.Empty(t, b.sweep(t, conversation.Stuck))
		b.age(t, first.ID, "not_before", 21)
		require.Equal(t, []uuid.UUID{v.UUID}, b.sweep(t, conversation.Stuck))
	})

	t.Run("nor those behind one that is being sent", func(t *testing.T) {
		t.Parallel()

		b, v := talk(t)
		b.send(t, v, "primero")
		second := b.send(t, v, "segundo")
		b.claim(t, v)
		b.age(t, second.ID, "created_at", 100)
		require.Empty(t, b.sweep(t, conversation.Stuck))
	})
}

func TestClosedLead(t *testing.T) {
	t.Parallel()

	b, v := talk(t)
	first := b.conversations(t)[0].LeadID
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `update crm.leads set status = 'lost' where tenant_id = $1`, s.Tenant())
		return err
	})
	b.receive(t, b.message("5491160001234", "wamid.2", "volví"), b.message("5491160001234", "wamid.3", "¿hay algo?"))
	list := b.conversations(t)
	require.Len(t, list, 1)
	require.Equal(t, v, list[0].ID, "the conversation goes on")
	require.NotEqual(t, first, list[0].LeadID)
	b.receive(t, b.message("5491160001234", "wamid.4", "hola"))
	require.Equal(t, list[0].LeadID, b.conversations(t)[0].LeadID)
}
