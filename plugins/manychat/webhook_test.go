package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/manychat/simulator"
	"github.com/stratohub/strato/sdk"
)

// step is a request of a step with one header.
func step(method, header, value, body string) sdk.Webhook {
	return sdk.Webhook{
		MatchedKeys: claims("104455667788990"),
		Request: sdk.Request{
			Method: method, Body: []byte(body), ReceivedAt: arrivedAt, RawQuery: "secret=0123456789abcdef-one",
			Headers: []sdk.Header{{Name: header, Value: value}},
		},
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()

	const first, second = "0123456789abcdef-one", "0123456789abcdef-two"
	both := map[string]string{"api_key": "3300112:0123456789abcdef", "webhook_secret": first, "second_webhook_secret": second}
	for name, tt := range map[string]struct {
		settings      map[string]string
		header, value string
		want          bool
	}{
		"bearer":                    {both, "Authorization", "Bearer " + first, true},
		"bearer in small letters":   {both, "authorization", "bearer  " + first, true},
		"own header":                {both, "X-Strato-Secret", first, true},
		"the second while rotating": {both, "Authorization", "Bearer " + second, true},
		"wrong":                     {both, "Authorization", "Bearer 0123456789abcdef-thr", false},
		"a beginning":               {both, "Authorization", "Bearer " + first[:10], false},
		"another scheme":            {both, "Authorization", "Basic " + first, false},
		"in the query only":         {both, "X-Other", first, false},
		"empty bearer":              {both, "Authorization", "Bearer ", false},
		"after rotating": {
			map[string]string{"api_key": both["api_key"], "second_webhook_secret": second}, "Authorization", "Bearer " + first, false,
		},
		"the empty setting": {
			map[string]string{"api_key": both["api_key"], "webhook_secret": first}, "X-Strato-Secret", "", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			c := newInstance(t, "http://127.0.0.1:9", tt.settings)
			// The body would be refused: the secret is looked at first.
			got, err := c.HandleWebhook(t.Context(), step(http.MethodPost, tt.header, tt.value, "no JSON"))
			require.NoError(t, err)
			require.Equal(t, tt.want, got.Verified)
			if !tt.want {
				require.Empty(t, got.Events)
				require.Zero(t, got.Response)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()

	c := newInstance(t, "http://127.0.0.1:9", map[string]string{"api_key": "3300112:0123456789abcdef", "webhook_secret": "0123456789abcdef"})
	handle := func(method, body string) (sdk.WebhookResult, string) {
		got, err := c.HandleWebhook(context.Background(), step(method, "X-Strato-Secret", "0123456789abcdef", body))
		require.NoError(t, err)
		require.True(t, got.Verified)
		require.True(t, json.Valid(got.Response.Body))
		return got, string(got.Response.Body)
	}
	for channel, want := range map[string]string{
		"whatsapp":  `{"version":"v2","content":{"type":"whatsapp","messages":[]}}`,
		"instagram": `{"version":"v2","content":{"type":"instagram","messages":[]}}`,
		"telegram":  `{"version":"v2","content":{"type":"telegram","messages":[]}}`,
		"messenger": `{"version":"v2","content":{"messages":[]}}`,
		"sms":       `{"version":"v2","content":{"messages":[]}}`,
	} {
		got, body := handle(http.MethodPost, `{"strato":{"channel":"`+channel+`"},"contact":{"id":"1","last_input_text":"hola"}}`)
		require.Equal(t, http.StatusOK, got.Response.Status)
		require.JSONEq(t, want, body)
		require.Len(t, got.Events, 1)
	}

	got, body := handle(http.MethodPost, `"hola"`)
	require.Equal(t, http.StatusBadRequest, got.Response.Status)
	require.Contains(t, body, "single value")
	require.IsType(t, sdk.Unrecognized{}, got.Events[0].Payload, "what cannot be read is kept: nobody can ask for it again")

	got, body = handle(http.MethodGet, "")
	require.Equal(t, http.StatusMethodNotAllowed, got.Response.Status)
	require.Contains(t, body, "POST")
	require.Empty(t, got.Events)
}

// TestForm is the help of the settings form: the body to copy and paste works.
func TestForm(t *testing.T) {
	t.Parallel()

	var m struct {
		Schema struct {
			Properties map[string]struct {
				Hints struct {
					Help map[string]string `json:"help"`
				} `json:"x-strato"`
			} `json:"properties"`
		} `json:"settings_schema"`
		Webhook struct {
			SpoolResponse struct {
				Body string `json:"body"`
			} `json:"spool_response"`
		} `json:"webhook"`
	}
	require.NoError(t, json.Unmarshal(manifest, &m))
	for _, language := range []string{"es", "en"} {
		help := m.Schema.Properties["webhook_secret"].Hints.Help[language]
		from, to := strings.Index(help, "{\n"), strings.Index(help, "\n}")
		require.Positive(t, from)
		body := strings.Replace(help[from:to+2], "FULL_CONTACT_DATA", `{"id":"7","last_input_text":"hola","whatsapp_phone":"+5491155550142"}`, 1)
		event, words := arrival{body: []byte(body), at: arrivedAt}.receive()
		require.Empty(t, words)
		require.Equal(t, sdk.Text{Body: "hola"}, event.Payload.(sdk.InboundMessage).Content)
	}
	require.JSONEq(t, `{"version":"v2","content":{"messages":[]}}`, m.Webhook.SpoolResponse.Body, "a Dynamic Block must understand it")
}

func TestDedupe(t *testing.T) {
	t.Parallel()

	key := func(at time.Time, body string) string {
		e, words := arrival{body: []byte(body), at: at, page: "1"}.receive()
		require.Empty(t, words)
		return e.DedupeKey
	}
	said := func(id, text string) string {
		return `{"strato":{"channel":"whatsapp"},"contact":{"id":"` + id + `","last_input_text":"` + text + `","last_interaction":null}}`
	}
	first := key(arrivedAt, said("1", "Hola  mundo"))
	require.Equal(t, first, key(arrivedAt.Add(bucket-time.Second), said("1", "hola mundo ")))
	require.NotEqual(t, first, key(arrivedAt.Add(bucket), said("1", "Hola mundo")), "the next bucket")
	require.NotEqual(t, first, key(arrivedAt, said("2", "Hola mundo")))
	require.NotEqual(t, first, key(arrivedAt, said("1", "Chau mundo")))
	other, _ := arrival{body: []byte(said("1", "Hola mundo")), at: arrivedAt, page: "2"}.receive()
	require.NotEqual(t, first, other.DedupeKey)
}

// TestSteps takes what the simulator's steps send, each switch both ways.
func TestSteps(t *testing.T) {
	t.Parallel()

	for name, f := range map[string]simulator.Faults{
		"as recommended":        {},
		"at the root":           {BodyKey: "root"},
		"under data":            {BodyKey: "data"},
		"under subscriber":      {BodyKey: "subscriber"},
		"no channel":            {NoChannel: true},
		"numeric id":            {NumericID: true},
		"null last interaction": {NullLastInteraction: true},
		"same page id":          {SamePageID: true},
		"between quotes":        {StringContact: true},
		"by hand":               {Unescaped: true},
		"own header":            {SecretHeader: true},
		"twice":                 {Duplicate: true},
		"retried":               {Retry: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t)
			b.faults(f)
			m := b.hear(t, simulator.Say{From: customer, Name: "Lucía Ferreyra", Text: "Hola,\nvi el depto"})
			require.Equal(t, sdk.Text{Body: "Hola,\nvi el depto"}, m.Content)
			require.Equal(t, "Lucía Ferreyra", m.From.DisplayName)
			require.Contains(t, m.From.Addresses, sdk.Address{Kind: kindPhone, Value: customer})
			require.Equal(t, channelKeys[onWhatsApp], m.To.Kind)
			require.Equal(t, b.clock.Now().Add(window), m.WindowExpiresAt)
			require.Equal(t, 1, b.hooks.facts())

			require.NoError(t, func() error { _, err := b.Send(t.Context(), answerTo(m, sdk.Text{Body: "buenas"})); return err }())
			require.Equal(t, []string{"text: buenas"}, b.shown(t))
		})
	}
}

func TestOddSteps(t *testing.T) {
	t.Parallel()

	t.Run("a wrong secret", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(simulator.Faults{Secret: "somebody-elses-secret"})
		require.Equal(t, http.StatusUnauthorized, b.write(t, simulator.Say{Text: "hola"}).Status)
		b.reinstall(t, "second_webhook_secret", "somebody-elses-secret")
		require.Equal(t, http.StatusOK, b.write(t, simulator.Say{Text: "hola"}).Status)
	})

	t.Run("quotes in a body by hand", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(simulator.Faults{Unescaped: true, Retry: true})
		require.Equal(t, http.StatusBadRequest, b.write(t, simulator.Say{Text: `el "mono" sigue?`}).Status)
		require.IsType(t, sdk.Unrecognized{}, b.hooks.last().Payload)
		require.Equal(t, 1, b.hooks.facts(), "the retry is the same")
		b.faults(simulator.Faults{})
		require.Equal(t, sdk.Text{Body: `el "mono" sigue?`}, b.hear(t, simulator.Say{Text: `el "mono" sigue?`}).Content)
	})

	t.Run("files", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		require.IsType(t, sdk.Unsupported{}, b.hear(t, simulator.Say{Media: "frente.jpg"}).Content)
		b.faults(simulator.Faults{MediaAs: "placeholder"})
		require.Equal(t, sdk.Text{Body: "[frente.jpg]"}, b.hear(t, simulator.Say{Media: "frente.jpg"}).Content)
		b.faults(simulator.Faults{MediaAs: "url"})
		m, ok := b.hear(t, simulator.Say{Media: "frente.jpg"}).Content.(sdk.Media)
		require.True(t, ok)
		require.Equal(t, sdk.MediaImage, m.Kind)
		require.Equal(t, "https://files.manychat.example/frente.jpg", m.Ref.URL)
	})

	t.Run("overlapping runs", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(simulator.Faults{Overlap: true})
		require.Zero(t, b.write(t, simulator.Say{Text: "Hola"}).Status)
		require.Equal(t, http.StatusOK, b.write(t, simulator.Say{Text: "¿Sigue?"}).Status)
		require.Equal(t, 1, b.hooks.facts(), "both runs have the second text, which counts once")
	})

	t.Run("a person without a number", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(simulator.Faults{HidePhone: true})
		m := b.hear(t, simulator.Say{Text: "hola"})
		require.Len(t, m.From.Addresses, 2)
		require.Equal(t, kindUser, m.From.Addresses[1].Kind)
		_, err := b.Send(t.Context(), answerTo(m, sdk.Text{Body: "buenas"}))
		require.NoError(t, err)
		require.Equal(t, []string{"text: buenas"}, b.shown(t))
	})

	t.Run("one person on two channels", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		here := b.hear(t, simulator.Say{Text: "hola"})
		there := b.hear(t, simulator.Say{Text: "hola de nuevo", Channel: "instagram"})
		require.Equal(t, here.From.Addresses[0], there.From.Addresses[0])
		require.NotEqual(t, here.To, there.To, "two conversations")
		require.Equal(t, onInstagram, b.channelOf(answerTo(there, nil)))
	})

	t.Run("a dynamic block", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(simulator.Faults{DynamicBlock: true})
		b.hear(t, simulator.Say{Text: "hola"})
		require.Empty(t, b.shown(t))
		b.faults(simulator.Faults{DynamicBlock: true, RefuseEmptyBlock: true})
		require.Contains(t, b.write(t, simulator.Say{Text: "hola otra vez"}).Detail, "no messages")
		b.reinstall(t, "block_text", "Gracias, ya te respondemos.")
		b.hear(t, simulator.Say{Text: "¿y?"})
		require.Equal(t, []string{"text: Gracias, ya te respondemos."}, b.shown(t))
	})

	t.Run("a contact and no message", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		require.Equal(t, http.StatusOK, b.write(t, simulator.Say{Event: "contact"}).Status)
		require.IsType(t, sdk.ContactUpdate{}, b.hooks.last().Payload)
	})
}
