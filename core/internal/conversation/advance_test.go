package conversation_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/tenant"
)

func TestEchoBeforeTheAnswer(t *testing.T) {
	t.Parallel()

	b, v := talk(t)
	m := b.send(t, v, "hola")
	b.claim(t, v)
	echo := b.message("5491160001234", "wamid.out", "hola")
	echo.Echo = true
	b.receive(t, echo)
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		return conversation.Advance(ctx, s, []conversation.Update{{
			Account: b.account, ExternalID: "wamid.out", Status: conversation.Read, OccurredAt: b.now,
		}})
	})
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		return conversation.Accepted(ctx, s, m.ID, "wamid.out", nil)
	})
	b.receive(t, echo)

	list := b.messages(t, v)
	require.Len(t, list, 2, "the question and one answer")
	require.Equal(t, m.ID, list[0].ID)
	require.Equal(t, conversation.Read, list[0].Status)
	require.Equal(t, "wamid.out", list[0].ExternalID)
	require.Equal(t, conversation.ByUser, list[0].Author)
	require.False(t, list[0].ReadAt.IsZero())
}

// TestAtOnce commits a message's provider id while a tick or the echo of that id
// is under way in another transaction.
func TestAtOnce(t *testing.T) {
	t.Parallel()

	for name, other := range map[string]func(*bundle) func(context.Context, tenant.Scope) error{
		"a tick": func(b *bundle) func(context.Context, tenant.Scope) error {
			return func(ctx context.Context, s tenant.Scope) error {
				return conversation.Advance(ctx, s, []conversation.Update{{
					Account: b.account, ExternalID: "wamid.out", Status: conversation.Read, OccurredAt: b.now,
				}})
			}
		},
		"the echo": func(b *bundle) func(context.Context, tenant.Scope) error {
			echo := b.message("5491160001234", "wamid.out", "hola")
			echo.Echo = true
			return func(ctx context.Context, s tenant.Scope) error {
				return conversation.Receive(ctx, s, []conversation.Incoming{echo})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			for _, answerFirst := range []bool{true, false} {
				b, v := talk(t)
				m := b.send(t, v, "hola")
				b.claim(t, v)
				first, second := func(ctx context.Context, s tenant.Scope) error {
					return conversation.Accepted(ctx, s, m.ID, "wamid.out", nil)
				}, other(b)
				if !answerFirst {
					first, second = second, first
				}
				b.overlap(t, first, second)

				list := b.messages(t, v)
				require.Len(t, list, 2, "the question and one answer")
				if name == "a tick" {
					require.Equal(t, conversation.Read, b.status(t, m))
				} else {
					require.Equal(t, conversation.Sent, b.status(t, m))
				}
			}
		})
	}
}

// overlap begins second when first has done its work and not committed yet, and
// lets first commit once second has ended or waits.
func (b *bundle) overlap(t *testing.T, first, second func(context.Context, tenant.Scope) error) {
	t.Helper()
	began, ended := make(chan int32, 1), make(chan error, 1)
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		if err := first(ctx, s); err != nil {
			return err
		}
		go func() {
			ended <- b.pool.Do(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
				var rows []struct{ PID int32 }
				if err := s.Query(ctx, &rows, `select pg_backend_pid() as pid`); err != nil {
					return err
				}
				began <- rows[0].PID
				return second(ctx, s)
			})
		}()
		pid := <-began
		require.Eventually(t, func() bool {
			var waits bool
			err := dbtest.Database(t).Admin(t).QueryRow(t.Context(), `select cardinality(pg_blocking_pids($1)) > 0`, pid).Scan(&waits)
			require.NoError(t, err)
			return waits || len(ended) > 0
		}, 10*time.Second, 2*time.Millisecond)
		return nil
	})
	require.NoError(t, <-ended)
}

func TestAdvance(t *testing.T) {
	t.Parallel()

	const sent, delivered, read, failed = conversation.Sent, conversation.Delivered, conversation.Read, conversation.Failed
	for name, tt := range map[string]struct {
		ticks  []conversation.State
		want   conversation.State
		reason string
	}{
		"in order":                 {[]conversation.State{sent, delivered, read}, read, ""},
		"the other way round":      {[]conversation.State{read, delivered, sent}, read, ""},
		"read alone":               {[]conversation.State{read}, read, ""},
		"each twice":               {[]conversation.State{delivered, sent, delivered, sent}, delivered, ""},
		"failed after sent":        {[]conversation.State{sent, failed}, failed, "recipient"},
		"sent after failed":        {[]conversation.State{failed, sent}, failed, "recipient"},
		"failed after delivered":   {[]conversation.State{delivered, failed}, delivered, ""},
		"delivered after failed":   {[]conversation.State{failed, delivered}, failed, "recipient"},
		"failed twice":             {[]conversation.State{failed, failed}, failed, "recipient"},
		"nothing new after a read": {[]conversation.State{read, failed, sent}, read, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			for _, together := range []bool{true, false} {
				b, v := talk(t)
				m := b.send(t, v, "hola")
				b.claim(t, v)
				b.do(t, func(ctx context.Context, s tenant.Scope) error {
					return conversation.Accepted(ctx, s, m.ID, "wamid.out", nil)
				})
				var in []conversation.Update
				for n, st := range tt.ticks {
					u := conversation.Update{Account: b.account, ExternalID: "wamid.out", Status: st, OccurredAt: b.now.Add(time.Duration(n) * time.Second)}
					if st == failed {
						u.FailureCode, u.FailureDetail, u.ProviderCode = "recipient", "nobody there", "131026"
					}
					in = append(in, u)
				}
				advance := func(in ...conversation.Update) {
					b.do(t, func(ctx context.Context, s tenant.Scope) error { return conversation.Advance(ctx, s, in) })
				}
				if together {
					advance(in...)
				} else {
					for _, u := range in {
						advance(u)
					}
				}
				got := b.messages(t, v)[0]
				if got.ID != m.ID {
					got = b.messages(t, v)[1]
				}
				require.Equal(t, tt.want, got.Status)
				require.Equal(t, tt.reason, got.FailureCode)
			}
		})
	}
}
