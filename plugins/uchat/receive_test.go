package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/uchat/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// TestReceive lets a person write, with each switch of what UChat tells and
// answers on and off.
func TestReceive(t *testing.T) {
	t.Parallel()

	for name, f := range map[string]simulator.Faults{
		"as documented":                    {},
		"a body with text":                 {RequestBody: "text"},
		"a body without the message":       {RequestBody: "flow"},
		"objects in data":                  {WrapObjects: true},
		"lists without data":               {BareLists: true},
		"ids of the other kind":            {NumbersAsIDs: true},
		"texts in the payload alone":       {PayloadOnly: true},
		"everything twice":                 {Duplicate: true},
		"a second attempt where refused":   {RequestRetry: true},
		"a flow that waits longer":         {RequestTimeoutS: 30},
		"live chat without payload, times": {LiveChatBare: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t)
			b.simulator.SetFaults(f)
			first := b.write(t, simulator.Say{Text: "Hola, ¿sigue el PH?"})
			b.write(t, simulator.Say{Text: "¿Aceptan mascotas?"})
			require.Equal(t, []string{"Hola, ¿sigue el PH?", "¿Aceptan mascotas?"}, b.hub.texts())
			m := b.hub.inbound()[0]
			require.Equal(t, first.MessageID, m.ProviderMessageID)
			require.Equal(t, sdk.Party{
				Addresses:   []sdk.Address{{Kind: "wa_id", Value: customer}, {Kind: kindUser, Value: b.person(t).NS}},
				DisplayName: simulator.DemoName,
			}, m.From)
			require.Equal(t, b.clock.Now().Add(24*time.Hour), m.WindowExpiresAt)

			// Once the bot is paused, live chat tells; nothing comes twice.
			b.write(t, simulator.Say{Text: "Te atiendo yo", As: "agent"})
			b.write(t, simulator.Say{Text: "Gracias"})
			require.Equal(t, []string{"Hola, ¿sigue el PH?", "¿Aceptan mascotas?", "Gracias"}, b.hub.texts())
			require.Equal(t, []string{"Te atiendo yo"}, b.hub.echoes())
			require.Zero(t, b.hub.replay(t.Context()))
		})
	}

	t.Run("a body without user_ns is looked up by the telephone", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.simulator.SetFaults(simulator.Faults{RequestBody: "phone"})
		b.write(t, simulator.Say{Text: "Hola"})
		require.Equal(t, []string{"Hola"}, b.hub.texts())
	})

	t.Run("a variable that was not filled in is told", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.simulator.SetFaults(simulator.Faults{RequestBody: "unfilled"})
		require.Equal(t, http.StatusBadRequest, b.say(t, simulator.Say{Text: "Hola"}).Status)
		require.ErrorIs(t, b.hub.last, &failure.Failure{Code: failure.Malformed})
		require.ErrorContains(t, b.hub.last, "{{user_ns}}")
	})

	t.Run("several photos stay several", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		for range 2 {
			b.write(t, simulator.Say{Type: "image", Text: "el frente"})
		}
		b.write(t, simulator.Say{Type: "audio"})
		b.write(t, simulator.Say{Type: "file"})
		got := b.hub.inbound()
		require.Len(t, got, 4)
		kinds := []sdk.MediaKind{}
		for _, m := range got {
			kinds = append(kinds, m.Content.(sdk.Media).Kind)
		}
		require.Equal(t, []sdk.MediaKind{sdk.MediaImage, sdk.MediaImage, sdk.MediaVoice, sdk.MediaDocument}, kinds)
		require.Equal(t, "el frente", got[0].Content.(sdk.Media).Caption)
	})

	t.Run("what was missed comes with the next message", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.simulator.SetFaults(simulator.Faults{NoHeader: true})
		require.Equal(t, http.StatusUnauthorized, b.say(t, simulator.Say{Text: "perdido"}).Status)
		require.Empty(t, b.hub.texts())
		b.simulator.SetFaults(simulator.Faults{})
		b.write(t, simulator.Say{Text: "¿hola?"})
		require.Equal(t, []string{"perdido", "¿hola?"}, b.hub.texts())
	})

	t.Run("what agents write is told by live chat or not", func(t *testing.T) {
		t.Parallel()

		for _, tells := range []bool{false, true} {
			b := setup(t)
			b.write(t, simulator.Say{Text: "hola"})
			b.simulator.SetFaults(simulator.Faults{LiveChatAgents: tells})
			b.write(t, simulator.Say{Text: "Soy Marina", As: "agent"})
			require.Equal(t, tells, len(b.hub.echoes()) == 1)
			b.write(t, simulator.Say{Text: "hola Marina"})
			require.Equal(t, []string{"Soy Marina"}, b.hub.echoes())
		}
	})

	t.Run("a history that lags is asked again, and then done without", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.simulator.SetFaults(simulator.Faults{HistoryLag: 1})
		b.write(t, simulator.Say{Text: "hola"})
		require.Empty(t, b.hub.texts())
		require.ErrorIs(t, b.hub.last, &failure.Failure{Code: failure.Temporary})
		require.Equal(t, 1, b.hub.replay(t.Context()))
		require.Equal(t, []string{"hola"}, b.hub.texts())

		b.simulator.SetFaults(simulator.Faults{HistoryLag: 100})
		b.clock.move(2 * time.Minute)
		b.write(t, simulator.Say{Text: "nunca llega"})
		b.clock.move(settled)
		require.Equal(t, 1, b.hub.replay(t.Context()))
		require.Equal(t, []string{"hola", "nunca llega"}, b.hub.texts())
	})

	t.Run("trouble at UChat keeps the webhook for later", func(t *testing.T) {
		t.Parallel()

		for _, status := range []int{500, 503, 429, 401} {
			b := setup(t)
			b.simulator.SetFaults(simulator.Faults{HTTPStatus: status})
			b.write(t, simulator.Say{Text: "hola"})
			require.Empty(t, b.hub.texts())
			require.Equal(t, 1, b.hub.replay(t.Context()))
			b.simulator.SetFaults(simulator.Faults{})
			require.Equal(t, 1, b.hub.replay(t.Context()))
			require.Equal(t, []string{"hola"}, b.hub.texts())
		}
	})

	t.Run("without the history, messages are read from the requests", func(t *testing.T) {
		t.Parallel()

		b := setup(t, "messages_from", "request")
		b.simulator.SetFaults(simulator.Faults{NoHistory: true, Duplicate: true})
		b.write(t, simulator.Say{Text: "hola"})
		b.write(t, simulator.Say{Text: "Soy Marina", As: "agent"})
		b.write(t, simulator.Say{Text: "chau"})
		require.Equal(t, []string{"hola", "chau"}, b.hub.texts())
		b.clock.move(2 * time.Minute)
		b.write(t, simulator.Say{Text: "chau"})
		require.Equal(t, []string{"hola", "chau", "chau"}, b.hub.texts(), "the same words later are another message")
	})
}

// TestEchoes shows what the bot says, and never what Strato itself sent.
func TestEchoes(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.write(t, simulator.Say{Text: "hola"})
	for _, c := range []sdk.Content{
		sdk.Text{Body: "¡Hola!  ¿Cómo estás?"},
		sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{URL: "https://media.example/frente.jpg"}, Caption: "el frente"},
		sdk.Cards{Cards: []sdk.Card{{Title: "PH en Boedo"}}},
		sdk.Template{Name: "saludo", Language: "es_AR", Params: []sdk.TemplateParam{{Component: "body", Text: "Lucía"}}},
	} {
		_, err := b.Send(t.Context(), b.to(t, c))
		require.NoError(t, err)
	}
	b.clock.move(time.Minute)
	b.write(t, simulator.Say{Text: "Nuestro horario es de 9 a 18", As: "bot"})
	b.clock.move(time.Minute)
	b.write(t, simulator.Say{Text: "gracias"})
	require.Equal(t, []string{"Nuestro horario es de 9 a 18"}, b.hub.echoes())
	require.Equal(t, []string{"hola", "gracias"}, b.hub.texts())
}

func TestSecret(t *testing.T) {
	t.Parallel()

	b := setup(t, "previous_webhook_secret", "the one of last month")
	b.write(t, simulator.Say{Text: "hola"})
	body := []byte(`{"user_ns":"` + b.person(t).NS + `"}`)
	for given, want := range map[string]bool{
		b.settings["webhook_secret"]:       true,
		"the one of last month":            true,
		"":                                 false,
		"wrong":                            false,
		b.settings["webhook_secret"][:10]:  false,
		b.settings["api_key"]:              false,
		b.settings["webhook_secret"] + " ": false,
		"the one of last month" + "the one of last month": false,
	} {
		got, err := b.HandleWebhook(t.Context(), sdk.Webhook{Request: sdk.Request{
			Method: http.MethodPost, Body: body, ReceivedAt: b.clock.Now(), Headers: []sdk.Header{{Name: "x-strato-secret", Value: given}},
		}})
		require.NoError(t, err)
		require.Equal(t, want, got.Verified, given)
	}

	t.Run("other methods", func(t *testing.T) {
		t.Parallel()

		got, err := b.HandleWebhook(t.Context(), sdk.Webhook{Request: sdk.Request{Method: http.MethodGet}})
		require.NoError(t, err)
		require.Equal(t, http.StatusMethodNotAllowed, got.Response.Status)
	})

	t.Run("bodies that are none", func(t *testing.T) {
		t.Parallel()

		for _, body := range []string{"", "hola", "[]", "null", `"x"`, `{}`, `{"user_ns":"f1u1"}`, `{"user_ns":"nadie"}`, `{"user_ns":`, `{"phone":"ayer"}`} {
			got, err := b.HandleWebhook(t.Context(), sdk.Webhook{Request: sdk.Request{
				Method: http.MethodPost, Body: []byte(body), ReceivedAt: b.clock.Now(),
				Headers: []sdk.Header{{Name: secretHeader, Value: b.settings["webhook_secret"]}},
			}})
			require.True(t, got.Verified)
			require.ErrorIs(t, err, &failure.Failure{Code: failure.Malformed}, body)
		}
	})
}
