package conversation_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/conversation"
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
