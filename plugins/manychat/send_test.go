package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/manychat/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// failureOf is the failure in an error.
func failureOf(t *testing.T, err error) *failure.Failure {
	t.Helper()

	f, ok := errors.AsType[*failure.Failure](err)
	require.True(t, ok, "%v", err)
	return f
}

func TestSendContent(t *testing.T) {
	t.Parallel()

	link := sdk.Button{Title: "Ver ficha", URL: "https://inmobiliaria.example/pal-1042"}
	photo := sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{URL: "https://files.example/frente.jpg"}, Caption: "El frente"}
	cards := sdk.Cards{Cards: []sdk.Card{{Title: "PH en Boedo", Subtitle: "USD 98.000", Buttons: []sdk.Button{link}}}}
	for name, tt := range map[string]struct {
		channel string
		content sdk.Content
		shown   []string
		code    failure.Code
	}{
		"text":                      {onWhatsApp, sdk.Text{Body: "Sí, ¡sigue!"}, []string{"text: Sí, ¡sigue!"}, 0},
		"text on messenger":         {onMessenger, sdk.Text{Body: "Sí"}, []string{"text: Sí"}, 0},
		"text on telegram":          {onTelegram, sdk.Text{Body: "Sí"}, []string{"text: Sí"}, 0},
		"blank text":                {onWhatsApp, sdk.Text{Body: " \n"}, nil, failure.InvalidRequest},
		"link button":               {onWhatsApp, sdk.Interactive{Body: "La ficha:", Buttons: []sdk.Button{link}}, []string{"text: La ficha: [Ver ficha]"}, 0},
		"flow button":               {onInstagram, sdk.Interactive{Body: "¿?", Buttons: []sdk.Button{{Title: "Visita", Flow: simulator.FlowReply}}}, []string{"text: ¿? [Visita]"}, 0},
		"call button on messenger":  {onMessenger, sdk.Interactive{Body: "b", Buttons: []sdk.Button{{Title: "Llamar", Phone: "+541147770100"}}}, []string{"text: b [Llamar]"}, 0},
		"call button on whatsapp":   {onWhatsApp, sdk.Interactive{Body: "b", Buttons: []sdk.Button{{Title: "Llamar", Phone: "+541147770100"}}}, nil, failure.Unsupported},
		"answering button":          {onWhatsApp, sdk.Interactive{Body: "b", Buttons: []sdk.Button{{Title: "Sí", Payload: "si"}}}, nil, failure.Unsupported},
		"list":                      {onMessenger, sdk.Interactive{Body: "b", Sections: []sdk.ListSection{{}}}, nil, failure.Unsupported},
		"photo on instagram":        {onInstagram, photo, []string{"image: https://files.example/frente.jpg", "text: El frente"}, 0},
		"photo on whatsapp":         {onWhatsApp, photo, nil, failure.Unsupported},
		"video on instagram":        {onInstagram, sdk.Media{Kind: sdk.MediaVideo, Ref: photo.Ref}, nil, failure.Unsupported},
		"document on telegram":      {onTelegram, sdk.Media{Kind: sdk.MediaDocument, Ref: photo.Ref}, []string{"file: https://files.example/frente.jpg"}, 0},
		"a file that is not public": {onMessenger, sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{BlobID: "b"}}, nil, failure.Media},
		"sticker":                   {onMessenger, sdk.Media{Kind: sdk.MediaSticker, Ref: photo.Ref}, nil, failure.Unsupported},
		"cards on messenger":        {onMessenger, cards, []string{"cards: PH en Boedo"}, 0},
		"cards on whatsapp":         {onWhatsApp, cards, nil, failure.Unsupported},
		"cards with other words":    {onWhatsApp, sdk.Cards{Fallback: "PH en Boedo"}, []string{"text: PH en Boedo"}, 0},
		"location":                  {onMessenger, sdk.Location{}, nil, failure.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t)
			m := b.hear(t, simulator.Say{Text: "hola", Channel: tt.channel})
			receipt, err := b.Send(t.Context(), answerTo(m, tt.content))
			if tt.code != 0 {
				f := failureOf(t, err)
				require.Equal(t, tt.code, f.Code)
				require.Equal(t, failure.NotSent, f.Outcome)
				require.Empty(t, b.shown(t))
				return
			}
			require.NoError(t, err)
			require.Equal(t, sdk.Receipt{State: sdk.DeliveryAccepted}, receipt)
			require.Equal(t, tt.shown, b.shown(t))
		})
	}

	t.Run("a long text goes in parts", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		m := b.hear(t, simulator.Say{Text: "hola"})
		_, err := b.Send(t.Context(), answerTo(m, sdk.Text{Body: strings.Repeat("palabra ñandú ", 290)}))
		require.NoError(t, err)
		require.Len(t, b.shown(t), 3)
		for _, line := range b.shown(t) {
			require.LessOrEqual(t, len([]rune(line)), maxText+len("text: "))
			require.True(t, strings.HasSuffix(line, "palabra") || strings.HasSuffix(line, "ñandú"), "cut within a word")
		}
		require.Len(t, strings.Fields(strings.ReplaceAll(strings.Join(b.shown(t), " "), "text: ", "")), 580)
	})

	t.Run("files on WhatsApp where they turn out to be refused by the provider", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		m := b.hear(t, simulator.Say{Text: "hola"})
		image := object{"subscriber_id": m.From.Addresses[0].Value, "data": document(onWhatsApp, []object{{"type": "image", "url": "https://files.example/a.jpg"}})}
		require.Equal(t, failure.Unsupported, failureOf(t, b.api.post(t.Context(), "sending/sendContent", image, nil)).Code)
		b.faults(simulator.Faults{MediaCode: 3047})
		f := failureOf(t, b.api.post(t.Context(), "sending/sendContent", image, nil))
		require.Equal(t, failure.Unsupported, f.Code)
		require.Equal(t, "3047", f.ProviderCode)
		b.faults(simulator.Faults{WhatsAppMedia: true})
		require.NoError(t, b.api.post(t.Context(), "sending/sendContent", image, nil))
	})
}

func TestWindow(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		channel, tag string
		faults       simulator.Faults
		known        bool // whether the core knows when the window ends
		want         failure.Code
		lost         bool
	}{
		"whatsapp":                      {channel: onWhatsApp, known: true, want: failure.WindowClosed},
		"whatsapp, said by ManyChat":    {channel: onWhatsApp, want: failure.WindowClosed},
		"whatsapp, silent":              {channel: onWhatsApp, known: true, faults: simulator.Faults{SilentWindow: true}, want: failure.WindowClosed},
		"whatsapp, silent and unknown":  {channel: onWhatsApp, faults: simulator.Faults{SilentWindow: true}, lost: true},
		"whatsapp has no tags":          {channel: onWhatsApp, known: true, tag: "ACCOUNT_UPDATE", want: failure.WindowClosed},
		"whatsapp without a window":     {channel: onWhatsApp, faults: simulator.Faults{IgnoreWindow: true}},
		"instagram":                     {channel: onInstagram, known: true, want: failure.WindowClosed},
		"instagram, said by ManyChat":   {channel: onInstagram, want: failure.WindowClosed},
		"messenger":                     {channel: onMessenger, known: true, want: failure.WindowClosed},
		"messenger with a tag":          {channel: onMessenger, known: true, tag: "ACCOUNT_UPDATE"},
		"messenger with a refused tag":  {channel: onMessenger, known: true, tag: "HUMAN_AGENT", want: failure.InvalidRequest},
		"messenger with no tags at all": {channel: onMessenger, known: true, tag: "ACCOUNT_UPDATE", faults: simulator.Faults{RefuseTags: true}, want: failure.InvalidRequest},
		"telegram":                      {channel: onTelegram, known: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, "message_tag", tt.tag)
			m := answerTo(b.hear(t, simulator.Say{Text: "hola", Channel: tt.channel}), sdk.Text{Body: "¿seguís ahí?"})
			if !tt.known {
				m.WindowExpiresAt = time.Time{}
			}
			b.clock.pass(window)
			b.faults(tt.faults)
			_, err := b.Send(t.Context(), m)
			if tt.want != 0 {
				f := failureOf(t, err)
				require.Equal(t, tt.want, f.Code)
				require.Equal(t, failure.NotSent, f.Outcome)
				require.Empty(t, b.shown(t))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.lost, len(b.shown(t)) == 0)
		})
	}

	t.Run("a tag does not travel within the window", func(t *testing.T) {
		t.Parallel()

		b := setup(t, "message_tag", "ACCOUNT_UPDATE")
		b.faults(simulator.Faults{RefuseTags: true})
		_, err := b.Send(t.Context(), answerTo(b.hear(t, simulator.Say{Text: "hola", Channel: onMessenger}), sdk.Text{Body: "hola"}))
		require.NoError(t, err)
	})
}

func TestFlows(t *testing.T) {
	t.Parallel()

	t.Run("a reply is a field that a flow prints", func(t *testing.T) {
		t.Parallel()

		b := setup(t, "reply_by", "flow")
		m := b.hear(t, simulator.Say{Text: "hola"})
		for _, text := range []string{"primera", "segunda"} {
			_, err := b.Send(t.Context(), answerTo(m, sdk.Text{Body: text}))
			require.NoError(t, err)
		}
		require.Equal(t, []string{"text: primera", "text: segunda"}, b.shown(t))
		b.clock.pass(window)
		_, err := b.Send(t.Context(), answerTo(m, sdk.Text{Body: "tercera"}))
		require.Equal(t, failure.WindowClosed, failureOf(t, err).Code, "the flow would run and reach nobody")
	})

	t.Run("without a flow for the channel it is content", func(t *testing.T) {
		t.Parallel()

		b := setup(t, "reply_by", "flow")
		m := b.hear(t, simulator.Say{Text: "hola", Channel: onMessenger})
		_, err := b.Send(t.Context(), answerTo(m, sdk.Text{Body: "buenas"}))
		require.NoError(t, err)
		require.Equal(t, []string{"text: buenas"}, b.shown(t))
	})

	t.Run("a field that cannot be set leaves the message unsent", func(t *testing.T) {
		t.Parallel()

		b := setup(t, "reply_by", "flow")
		m := b.hear(t, simulator.Say{Text: "hola"})
		b.faults(simulator.Faults{CloseConnection: true, Times: 1})
		_, err := b.Send(t.Context(), answerTo(m, sdk.Text{Body: "buenas"}))
		require.Equal(t, failure.NotSent, failureOf(t, err).Outcome)
		require.Empty(t, b.shown(t))
	})

	t.Run("a template is a flow, after the window too", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		m := b.hear(t, simulator.Say{Text: "hola"})
		b.clock.pass(10 * window)
		template := sdk.Template{Name: simulator.FlowTemplate, Params: []sdk.TemplateParam{{Component: "body", Name: "Fecha visita", Text: "2026-11-28"}}}
		_, err := b.Send(t.Context(), answerTo(m, template))
		require.NoError(t, err)
		require.Equal(t, []string{"template: Te recordamos tu visita del 2026-11-28."}, b.shown(t))

		for name, tt := range map[string]struct {
			template sdk.Template
			code     failure.Code
		}{
			"no flow":            {sdk.Template{Name: "recordatorio"}, failure.Template},
			"unknown flow":       {sdk.Template{Name: "content20260101000000_1"}, failure.Template},
			"parameter by place": {sdk.Template{Name: simulator.FlowTemplate, Params: []sdk.TemplateParam{{Text: "x"}}}, failure.Template},
			"unknown field":      {sdk.Template{Name: simulator.FlowTemplate, Params: []sdk.TemplateParam{{Name: "Nada", Text: "x"}}}, failure.InvalidRequest},
			"wrong type":         {sdk.Template{Name: simulator.FlowTemplate, Params: []sdk.TemplateParam{{Name: "Fecha visita", Text: "mañana"}}}, failure.InvalidRequest},
		} {
			_, err := b.Send(t.Context(), answerTo(m, tt.template))
			require.Equal(t, tt.code, failureOf(t, err).Code, name)
		}
		require.Len(t, b.shown(t), 1)
	})

	t.Run("a hundred an hour to one person", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		m := b.hear(t, simulator.Say{Text: "hola"})
		for range flowsPerHour {
			_, err := b.Send(t.Context(), answerTo(m, sdk.Template{Name: simulator.FlowTemplate}))
			require.NoError(t, err)
			b.clock.pass(100 * time.Millisecond)
		}
		_, err := b.Send(t.Context(), answerTo(m, sdk.Template{Name: simulator.FlowTemplate}))
		f := failureOf(t, err)
		require.Equal(t, failure.RateLimited, f.Code)
		require.Positive(t, f.RetryAfter)
		b.clock.pass(f.RetryAfter + time.Second)
		_, err = b.Send(t.Context(), answerTo(m, sdk.Template{Name: simulator.FlowTemplate}))
		require.NoError(t, err)

		b.channel.api.limits = newLimits(b.clock.Now) // another node has not counted
		b.faults(simulator.Faults{FlowsPerHour: 1})
		_, err = b.Send(t.Context(), answerTo(m, sdk.Template{Name: simulator.FlowTemplate}))
		require.Equal(t, failure.RateLimited, failureOf(t, err).Code)
	})

	t.Run("to somebody who never wrote", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.write(t, simulator.Say{Event: "contact"})
		update, ok := b.hooks.last().Payload.(sdk.ContactUpdate)
		require.True(t, ok)
		m := sdk.Message{To: update.Contact.Addresses, From: us(b.hooks.last().RouteKeys), Content: sdk.Template{Name: simulator.FlowTemplate}}
		for lose, shown := range map[bool]int{true: 0, false: 1} {
			b.faults(simulator.Faults{LoseColdFlows: lose})
			before := len(b.shown(t))
			_, err := b.Send(t.Context(), m)
			require.NoError(t, err, "ManyChat does not tell")
			require.Len(t, b.shown(t), before+shown)
		}
	})
}

func TestHints(t *testing.T) {
	t.Parallel()

	b := setup(t)
	m := answerTo(b.hear(t, simulator.Say{Text: "hola"}), sdk.Text{Body: "listo"})
	send := func(hints map[string]string) error {
		m.Hints = hints
		_, err := b.Send(t.Context(), m)
		return err
	}
	require.NoError(t, send(map[string]string{
		"remove_tags": "lead-nuevo", "add_tags": "lead-calificado, zona-palermo", "last_name": "Ferreyra Paz", "email": "lucia@correo.example",
		"field:operacion": "Compra", "field:Presupuesto USD": "185000.50", "field:Apto credito": "true", "field:Fecha visita": "2026-11-28T10:30:00-03:00",
		"field:Proxima visita": "2026-11-28T10:30:00-03:00",
	}))
	var who struct {
		LastName str `json:"last_name"`
		Email    str `json:"email"`
		Tags     []struct{ Name str }
		Fields   []struct {
			Name  str `json:"name"`
			Value any `json:"value"`
		} `json:"custom_fields"`
	}
	require.NoError(t, b.api.get(t.Context(), "subscriber/getInfo", map[string][]string{"subscriber_id": {m.To[0].Value}}, &who))
	require.EqualValues(t, "Ferreyra Paz", who.LastName)
	require.EqualValues(t, "lucia@correo.example", who.Email)
	require.Len(t, who.Tags, 2)
	values := map[string]any{}
	for _, f := range who.Fields {
		values[string(f.Name)] = f.Value
	}
	require.Subset(t, values, map[string]any{
		"Operacion": "Compra", "Presupuesto USD": 185000.5, "Apto credito": true, "Fecha visita": "2026-11-28", "Proxima visita": "2026-11-28T10:30:00-03:00",
	})
	lines := len(b.shown(t))
	require.Equal(t, failure.InvalidRequest, failureOf(t, send(map[string]string{"add_tags": "no-hay"})).Code)
	require.Equal(t, failure.InvalidRequest, failureOf(t, send(map[string]string{"field:No hay": "x"})).Code)
	require.Len(t, b.shown(t), lines, "what was asked for first did not come to be")
}

// TestTroubles are the ways in which a request fails, and what is known then.
func TestTroubles(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults  simulator.Faults
		code    failure.Code
		outcome failure.Outcome
		shown   int
	}{
		"the connection breaks": {simulator.Faults{CloseConnection: true}, failure.Temporary, failure.Unknown, 1},
		"a gateway's 502":       {simulator.Faults{HTTPStatus: 502}, failure.Temporary, failure.Unknown, 0},
		"a page of HTML":        {simulator.Faults{HTTPStatus: 200}, failure.Temporary, failure.Unknown, 0},
		"404 in HTML":           {simulator.Faults{HTTPStatus: 404}, failure.InvalidRequest, failure.NotSent, 0},
		"403 in HTML":           {simulator.Faults{HTTPStatus: 403}, failure.Permission, failure.NotSent, 0},
		"429 in HTML":           {simulator.Faults{HTTPStatus: 429}, failure.RateLimited, failure.NotSent, 0},
		"3011":                  {simulator.Faults{ErrorCode: 3011}, failure.WindowClosed, failure.NotSent, 0},
		"3031":                  {simulator.Faults{ErrorCode: 3031}, failure.WindowClosed, failure.NotSent, 0},
		"3021":                  {simulator.Faults{ErrorCode: 3021}, failure.Recipient, failure.NotSent, 0},
		"2011":                  {simulator.Faults{ErrorCode: 2011}, failure.Recipient, failure.NotSent, 0},
		"2012":                  {simulator.Faults{ErrorCode: 2012}, failure.Recipient, failure.NotSent, 0},
		"3049":                  {simulator.Faults{ErrorCode: 3049}, failure.Unsupported, failure.NotSent, 0},
		"an unknown code":       {simulator.Faults{ErrorCode: 9999}, failure.InvalidRequest, failure.NotSent, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t)
			m := answerTo(b.hear(t, simulator.Say{Text: "hola"}), sdk.Text{Body: "buenas"})
			tt.faults.Times = 1
			b.faults(tt.faults)
			_, err := b.Send(t.Context(), m)
			f := failureOf(t, err)
			require.Equal(t, tt.code, f.Code)
			require.Equal(t, tt.outcome, f.Outcome)
			require.NotContains(t, err.Error(), b.settings["api_key"])
			require.Len(t, b.shown(t), tt.shown, "one attempt and no more")
			_, err = b.Send(t.Context(), m)
			require.NoError(t, err)
		})
	}

	t.Run("an answer that never comes", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		m := answerTo(b.hear(t, simulator.Say{Text: "hola"}), sdk.Text{Body: "buenas"})
		b.faults(simulator.Faults{HangReply: true, Times: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := b.Send(ctx, m)
		require.Equal(t, failure.Unknown, failureOf(t, err).Outcome)
	})

	t.Run("too fast", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		m := answerTo(b.hear(t, simulator.Say{Text: "hola"}), sdk.Text{Body: "buenas"})
		for range perSecond["sending/sendContent"] {
			_, err := b.Send(t.Context(), m)
			require.NoError(t, err)
		}
		_, err := b.Send(t.Context(), m)
		require.Equal(t, failure.RateLimited, failureOf(t, err).Code, "refused before it is asked")
		require.Zero(t, failureOf(t, err).HTTPStatus)

		for body, after := range map[string]int{"": 0, `{"status":"error","message":"Too many requests"}`: 7} {
			b.clock.pass(time.Minute)
			b.faults(simulator.Faults{PerSecond: 1, RateBody: body, RetryAfter: after})
			_, err := b.Send(t.Context(), m)
			require.NoError(t, err)
			_, err = b.Send(t.Context(), m)
			f := failureOf(t, err)
			require.Equal(t, failure.RateLimited, f.Code)
			require.Equal(t, http.StatusTooManyRequests, f.HTTPStatus)
			require.Equal(t, max(ratePause, time.Duration(after)*time.Second), f.RetryAfter)
		}
	})

	t.Run("a contact that is not there", func(t *testing.T) {
		t.Parallel()

		for _, list := range []bool{false, true} {
			b := setup(t)
			b.faults(simulator.Faults{DetailsAsList: list})
			_, err := b.Send(t.Context(), sdk.Message{To: []sdk.Address{{Kind: kindSubscriber, Value: "404"}}, Content: sdk.Text{Body: "hola"}})
			require.Equal(t, failure.Recipient, failureOf(t, err).Code)
		}
	})

	t.Run("ids as numbers", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		m := answerTo(b.hear(t, simulator.Say{Text: "hola"}), sdk.Text{Body: "buenas"})
		b.faults(simulator.Faults{RefuseStringIDs: true})
		_, err := b.Send(t.Context(), m)
		require.NoError(t, err)
	})

	t.Run("a status that is none", func(t *testing.T) {
		t.Parallel()

		for body, want := range map[string]failure.Outcome{
			`{"status":"error","message":"Subscriber not found"}`: failure.NotSent,
			`{"status":"queued"}`: failure.Unknown,
			`[]`:                  failure.Unknown,
			``:                    failure.Unknown,
		} {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
			c := newInstance(t, s.URL, map[string]string{"api_key": "1:0123456789abcdef"})
			_, err := c.Send(t.Context(), sdk.Message{To: []sdk.Address{{Kind: kindSubscriber, Value: "1"}}, Content: sdk.Text{Body: "hola"}})
			require.Equal(t, want, failureOf(t, err).Outcome, body)
			s.Close()
		}
	})
}
