package outbox_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/simulator"
)

// whatsapp is what the tests' channel carries, as its manifest says.
func (b *bundle) channel(t *testing.T) conversation.Channel {
	t.Helper()
	kinds := b.Registry.ContentKinds("whatsapp")
	require.NotEmpty(t, kinds)
	return conversation.Channel{Kinds: kinds}
}

// tell queues a message of any content.
func (b *bundle) tell(t *testing.T, what conversation.Saying) conversation.MessageID {
	t.Helper()
	var m *conversation.Message
	b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
		m, err = conversation.Send(ctx, s, conversation.Draft{
			Conversation: b.id, Saying: &what, Channel: b.channel(t), Author: conversation.ByUser, AuthorID: b.user,
		})
		return err
	})
	return m.ID
}

// last is the last message of the agency on the customer's phone.
func (b *bundle) last(t *testing.T) simulator.Message {
	t.Helper()
	list, err := b.Simulator(t).Messages(t.Context(), b.Label("acme"), phone)
	require.NoError(t, err)
	for _, m := range slices.Backward(list) {
		if m.Direction == simulator.Outbound {
			return m
		}
	}
	t.Fatal("the phone shows nothing")
	return simulator.Message{}
}

func TestContent(t *testing.T) {
	t.Parallel()

	b := setup(t)
	buttons := []conversation.Button{{ID: "si", Title: "Sí"}, {ID: "no", Title: "No"}}
	for _, tt := range []struct {
		name       string
		what       conversation.Saying
		kind, text string
	}{
		{"text", conversation.Saying{Text: &conversation.Words{Body: "hola", PreviewLinks: true}}, "text", "hola"},
		{"location", conversation.Saying{Location: &conversation.Location{Latitude: -34.58, Longitude: -58.42, Name: "Oficina", Address: "Honduras 1"}}, "location", "Oficina Honduras 1"},
		{"contacts", conversation.Saying{Contacts: &conversation.People{Cards: []conversation.Card{{Name: "Ana Paz", Phones: []string{"+5491160009999"}}}}}, "contacts", "Ana Paz"},
		{"buttons", conversation.Saying{Interactive: &conversation.Interactive{Body: "¿Lo ves?", Buttons: buttons}}, "interactive", "¿Lo ves? [Sí] [No]"},
		{"list", conversation.Saying{Interactive: &conversation.Interactive{
			Body: "Elegí", ListLabel: "Ver", Sections: []conversation.Section{{Rows: []conversation.Row{{ID: "a", Title: "Palermo", Description: "3 ambientes"}}}},
		}}, "interactive", "Elegí [Palermo]"},
		{"link", conversation.Saying{Interactive: &conversation.Interactive{
			Body: "La ficha", Buttons: []conversation.Button{{Title: "Abrir", URL: "https://strato.example/p/1"}},
		}}, "interactive", "La ficha"},
		{"template", conversation.Saying{Template: &conversation.Template{
			Name: "retomar_contacto", Language: "es_AR",
			Params: []conversation.TemplateParam{{Component: "body", Text: "Lucía"}, {Component: "body", Index: 1, Text: "Palermo"}},
		}}, "template", "Hola Lucía, ¿seguís buscando propiedad en Palermo? Tenemos novedades."},
		{"cards, which the channel does not have", conversation.Saying{Cards: &conversation.Cards{
			Items: []conversation.Tile{{Title: "Palermo"}}, Fallback: "Palermo: https://strato.example/p/1",
		}}, "text", "Palermo: https://strato.example/p/1"},
	} {
		i := b.tell(t, tt.what)
		require.NoError(t, b.work(t.Context()), tt.name)
		m := b.get(t, i)
		require.Equal(t, conversation.Sent, m.Status, "%s: %s", tt.name, m.FailureDetail)
		got := b.last(t)
		require.Equal(t, m.ExternalID, got.ID, tt.name)
		require.Equal(t, tt.kind, got.Type, tt.name)
		require.Equal(t, tt.text, got.Text, tt.name)
	}

	t.Run("a reaction goes to the message it is for", func(t *testing.T) {
		var target conversation.MessageID
		require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
			return s.Query(ctx, &target, `select id from crm.messages where tenant_id = $1 and external_id = 'wamid.in'`, s.Tenant())
		}))
		b.tell(t, conversation.Saying{Reaction: &conversation.Reacting{Message: target, Emoji: "👍"}})
		require.NoError(t, b.work(t.Context()))
		got := b.last(t)
		require.Equal(t, []string{"reaction", "👍", "wamid.in"}, []string{got.Type, got.Text, got.ReplyTo})
	})

	t.Run("after the window only templates go", func(t *testing.T) {
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			_, err := s.Exec(ctx, `update crm.conversations set window_expires_at = now() - interval '1 minute' where tenant_id = $1`, s.Tenant())
			return err
		})
		err := b.Pool.Do(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
			_, err := conversation.Send(ctx, s, conversation.Draft{
				Conversation: b.id, Saying: &conversation.Saying{Location: &conversation.Location{}}, Channel: b.channel(t), Author: conversation.ByUser,
			})
			return err
		})
		require.ErrorIs(t, err, conversation.ErrWindowClosed)
		i := b.tell(t, conversation.Saying{Template: &conversation.Template{
			Name: "retomar_contacto", Language: "es_AR",
			Params: []conversation.TemplateParam{{Component: "body", Text: "Lucía"}, {Component: "body", Index: 1, Text: "Boedo"}},
		}})
		require.NoError(t, b.work(t.Context()))
		require.Equal(t, conversation.Sent, b.get(t, i).Status)
	})
}

func TestSignal(t *testing.T) {
	t.Parallel()

	b := setup(t)
	// The message that the phone really sent, for the provider refuses others.
	said, err := b.Simulator(t).Say(t.Context(), map[string]string{"to": b.Label("acme"), "from": phone, "text": "¿Hay alguien?"})
	require.NoError(t, err)
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `update crm.messages set external_id = $2 where tenant_id = $1 and external_id = 'wamid.in'`, s.Tenant(), said.MessageID)
		return err
	})
	shown := func() (read bool, typing bool) {
		list, err := b.Simulator(t).Messages(t.Context(), b.Label("acme"), phone)
		require.NoError(t, err)
		for _, m := range list {
			if m.ID == said.MessageID {
				return m.Status == "read", m.Typing
			}
		}
		return false, false
	}
	work := func(of conversation.SignalKind) error {
		return b.outbox.Signal(t.Context(), &queue.Job[conversation.Signal]{
			JobRow: &rivertype.JobRow{CreatedAt: time.Now()}, Args: conversation.Signal{Tenant: b.Agency.ID, Conversation: b.id, Of: of},
		})
	}
	waiting := func() (n int) {
		b.do(t, func(ctx context.Context, s tenant.Scope) error {
			tx, err := s.Tx(ctx)
			require.NoError(t, err)
			return tx.QueryRow(ctx, `select count(*) from river.river_job where kind = 'conversation_signal' and args->>'conversation' = $1`, b.id.String()).Scan(&n)
		})
		return n
	}

	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		_, err := conversation.MarkRead(ctx, s, b.id)
		return err
	})
	require.Equal(t, 1, waiting())
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		_, err := conversation.MarkRead(ctx, s, b.id)
		return err
	})
	require.Equal(t, 1, waiting(), "there was nothing to read any more")
	require.NoError(t, work(conversation.SignalRead))
	read, typing := shown()
	require.True(t, read)
	require.False(t, typing)

	for range 3 {
		b.do(t, func(ctx context.Context, s tenant.Scope) error { return conversation.Typing(ctx, s, b.id) })
	}
	require.Equal(t, 2, waiting(), "one that waits stands for the others")
	require.NoError(t, work(conversation.SignalTyping))
	_, typing = shown()
	require.True(t, typing)
}
