package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/uchat/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/httpx"
)

func TestSend(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.write(t, simulator.Say{Text: "hola"})
	for _, m := range []sdk.Message{
		b.to(t, sdk.Text{Body: "uno"}),
		{Content: sdk.Text{Body: "dos"}, To: []sdk.Address{{Kind: "phone", Value: "+54 9 11 6000-1234"}}},
		b.to(t, sdk.Text{Body: "tres"}, "as_agent", "1"),
		b.to(t, sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{URL: "https://m.example/a.jpg"}, Caption: "cuatro"}),
		b.to(t, sdk.Cards{Cards: []sdk.Card{{Title: "cinco", Buttons: []sdk.Button{{Title: "Ver", URL: "https://m.example"}, {Title: "Llamar", Phone: "+54"}}}}}),
	} {
		got, err := b.Send(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, sdk.Receipt{State: sdk.DeliveryAccepted}, got, "UChat names no message")
	}
	require.Equal(t, []string{"hola", "uno", "dos", "tres", "https://m.example/a.jpg", "cuatro", "cinco"}, b.shown(t))

	for name, tt := range map[string]struct {
		message sdk.Message
		want    failure.Code
	}{
		"another bot's contact": {sdk.Message{Content: sdk.Text{Body: "x"}, To: []sdk.Address{{Kind: kindUser, Value: "f1u1"}}}, failure.Recipient},
		"nobody":                {sdk.Message{Content: sdk.Text{Body: "x"}}, failure.Recipient},
		"never wrote":           {sdk.Message{Content: sdk.Text{Body: "x"}, To: []sdk.Address{{Kind: "wa_id", Value: "5491100000000"}}}, failure.Recipient},
		"empty":                 {b.to(t, sdk.Text{}), failure.InvalidRequest},
		"a file of Strato's":    {b.to(t, sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{BlobID: "b"}}), failure.Media},
		"a place":               {b.to(t, sdk.Location{}), failure.Unsupported},
		"a button that answers": {b.to(t, sdk.Cards{Cards: []sdk.Card{{Title: "x", Buttons: []sdk.Button{{ID: "si"}}}}}), failure.Unsupported},
		"no cards":              {b.to(t, sdk.Cards{}), failure.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			m := tt.message
			if m.Content == (sdk.Text{}) {
				m.Hints = nil
			}
			_, err := b.Send(t.Context(), m)
			require.ErrorIs(t, err, &failure.Failure{Code: tt.want})
			require.Equal(t, failure.NotSent, failureOf(err).Outcome)
		})
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.write(t, simulator.Say{Text: "hola"})
	b.clock.move(25 * time.Hour)
	_, err := b.Send(t.Context(), b.to(t, sdk.Text{Body: "tarde"}))
	require.ErrorIs(t, err, &failure.Failure{Code: failure.WindowClosed})

	b.simulator.SetFaults(simulator.Faults{WindowWords: "Meta refused it."})
	_, err = b.Send(t.Context(), b.to(t, sdk.Text{Body: "tarde"}))
	require.ErrorIs(t, err, &failure.Failure{Code: failure.InvalidRequest}, "words that nobody knows")

	b.simulator.SetFaults(simulator.Faults{WindowSilent: true})
	_, err = b.Send(t.Context(), b.to(t, sdk.Text{Body: "en silencio"}))
	require.NoError(t, err, "it cannot be told")
	b.simulator.SetFaults(simulator.Faults{IgnoreWindow: true})
	_, err = b.Send(t.Context(), b.to(t, sdk.Text{Body: "tarde"}))
	require.NoError(t, err)
	require.Equal(t, []string{"hola", "tarde"}, b.shown(t))
	b.simulator.SetFaults(simulator.Faults{})
	_, err = b.Send(t.Context(), b.to(t, sdk.Template{Name: "saludo", Language: "es_AR", Params: []sdk.TemplateParam{{Component: "body", Text: "Lucía"}}}))
	require.NoError(t, err, "a template needs no window")
}

func TestTemplates(t *testing.T) {
	t.Parallel()

	visit := sdk.Template{Name: "recordatorio_visita", Language: "es_AR", Params: []sdk.TemplateParam{
		{Component: "header", Media: &sdk.MediaRef{URL: "https://m.example/frente.jpg", MIMEType: "image/jpeg"}},
		{Component: "body", Text: "Lucía"}, {Component: "body", Index: 1, Text: "jueves a las 18"},
		{Component: "button", SubType: "url", Text: "https://m.example/v"}, {Component: "button", SubType: "quick_reply", Payload: "f1s1"},
	}}
	one := func(name, language string, p ...sdk.TemplateParam) sdk.Template {
		return sdk.Template{Name: name, Language: language, Params: p}
	}
	for name, tt := range map[string]struct {
		faults simulator.Faults
		resume string
		paused bool
		noID   bool
	}{
		"as documented":          {},
		"the bot stays paused":   {resume: "never", paused: true},
		"nothing pauses it":      {faults: simulator.Faults{NoTemplatePause: true}, resume: "never"},
		"no id":                  {faults: simulator.Faults{OmitMID: true}, noID: true},
		"the id in data":         {faults: simulator.Faults{MIDInData: true}},
		"variables as an object": {faults: simulator.Faults{ParamsAsMap: true}},
		"lists without data":     {faults: simulator.Faults{BareLists: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, "resume_bot", map[bool]string{true: tt.resume, false: "templates"}[tt.resume != ""])
			b.write(t, simulator.Say{Text: "hola"})
			b.simulator.SetFaults(tt.faults)
			got, err := b.Send(t.Context(), b.to(t, visit))
			require.NoError(t, err)
			require.Equal(t, tt.noID, got.ProviderMessageID == "")
			require.Equal(t, tt.paused, b.person(t).Paused)
			require.Equal(t, []string{"hola", "Hola Lucía, te esperamos el jueves a las 18."}, b.shown(t))
		})
	}

	b := setup(t)
	b.write(t, simulator.Say{Text: "hola"})
	for said, tpl := range map[string]sdk.Template{
		"Hola Ana.":   one("nombrada", "es", sdk.TemplateParam{Component: "body", Name: "nombre", Text: "Ana"}),
		"Hola Lucía.": one("plano", "es-AR", sdk.TemplateParam{Component: "body", Text: "Lucía"}), // without braces
		"Novedades.":  one("nueva", "es_AR"),                                                      // only after a synchronisation
	} {
		_, err := b.Send(t.Context(), b.to(t, tpl))
		require.NoError(t, err)
		require.Contains(t, b.shown(t), said)
	}

	t.Run("to a number that never wrote", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		got, err := b.Send(t.Context(), sdk.Message{
			Content: one("saludo", "es_AR", sdk.TemplateParam{Component: "body", Text: "Ana"}),
			To:      []sdk.Address{{Kind: "phone", Value: "+54 9 11 6000-1234"}},
		})
		require.NoError(t, err)
		require.Equal(t, []sdk.Address{{Kind: kindUser, Value: b.person(t).NS}}, got.Recipient)
		require.False(t, b.person(t).Paused, "the bot was resumed")
	})

	for name, tpl := range map[string]sdk.Template{
		"unknown":         one("nada", "es_AR"),
		"other language":  one("saludo", "pt_BR"),
		"a value missing": one("saludo", "es_AR"),
		"an empty value":  one("saludo", "es_AR", sdk.TemplateParam{Component: "body"}),
		"a line break":    one("saludo", "es_AR", sdk.TemplateParam{Component: "body", Text: "a\nb"}),
		"four spaces":     one("saludo", "es_AR", sdk.TemplateParam{Component: "body", Text: "a    b"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := b.Send(t.Context(), b.to(t, tpl))
			require.ErrorIs(t, err, &failure.Failure{Code: failure.Template})
			require.Equal(t, failure.NotSent, failureOf(err).Outcome)
		})
	}

	t.Run("a picture that is refused", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.write(t, simulator.Say{Text: "hola"})
		b.simulator.SetFaults(simulator.Faults{NoImageTempl: true})
		_, err := b.Send(t.Context(), b.to(t, visit))
		require.ErrorIs(t, err, &failure.Failure{Code: failure.Template})
	})

	t.Run("they are listed, made and deleted", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		list, next, err := b.ListTemplates(t.Context(), "")
		require.NoError(t, err)
		require.Empty(t, next)
		require.Len(t, list, 4)
		require.Equal(t, "approved", list[0].Status)
		made, err := b.SubmitTemplate(t.Context(), "k", sdk.TemplateInfo{
			Name: "nuevo", Language: "es_AR", Category: "utility", Body: []byte(`{"components":[{"type":"BODY","text":"Hola"}]}`),
		})
		require.NoError(t, err)
		require.Equal(t, "pending", made.Status)
		list, _, err = b.ListTemplates(t.Context(), "1")
		require.NoError(t, err)
		require.Len(t, list, 5)
		require.NoError(t, b.DeleteTemplate(t.Context(), "nuevo", "es_AR"))
		require.ErrorIs(t, b.DeleteTemplate(t.Context(), "saludo", "pt_BR"), &failure.Failure{Code: failure.Unsupported})
		list, _, err = b.ListTemplates(t.Context(), "")
		require.NoError(t, err)
		require.Len(t, list, 4)
		_, err = b.SubmitTemplate(t.Context(), "k", sdk.TemplateInfo{Name: "x", Body: []byte(`{}`)})
		require.ErrorIs(t, err, &failure.Failure{Code: failure.Template})
		_, _, err = b.ListTemplates(t.Context(), "última")
		require.Error(t, err)
	})
}

// TestOrders does to a contact what the hints of a message say, with each way of
// removing.
func TestOrders(t *testing.T) {
	t.Parallel()

	for name, f := range map[string]simulator.Faults{
		"as documented":             {},
		"bodies of DELETE are lost": {DropDeleteBodies: true},
		"no override":               {NoOverride: true},
		"a send pauses the bot":     {PauseOnSend: true, PauseMinutes: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, "resume_bot", "always")
			b.write(t, simulator.Say{Text: "hola"})
			b.simulator.SetFaults(f)
			send := func(c sdk.Content, hints ...string) {
				t.Helper()
				_, err := b.Send(t.Context(), b.to(t, c, hints...))
				require.NoError(t, err)
			}
			send(sdk.Text{Body: "uno"}, "add_tags", "venta, alquiler", "set_fields", `{"presupuesto_ars":650000,"mascotas":true}`,
				"assign_agent", "902", "assign_group", "7", "chat_status", "pending", "sub_flow", "Agendar visita",
				"inbound_webhook", `{"event":"lead_portal"}`, "pause_minutes", "600", "someone", "else's")
			got := b.person(t)
			require.Equal(t, []string{"venta", "alquiler"}, got.Tags)
			require.Equal(t, map[string]string{"presupuesto_ars": "650000", "mascotas": "true"}, got.Fields)
			require.Equal(t, []string{"Agendar visita"}, got.SubFlows)
			require.Equal(t, "pending", got.Status)
			require.Equal(t, []int{902, 7}, []int{got.Agent, got.Group})
			require.Equal(t, b.clock.Now().Add(10*time.Hour), got.PausedTo)
			require.JSONEq(t, `{"user_ns":"`+got.NS+`","event":"lead_portal"}`, b.simulator.HookCalls("acme")[0])

			send(sdk.Text{}, "remove_tags", "alquiler", "clear_fields", "mascotas", "unassign_agent", "1", "resume_bot", "1",
				"sub_flow", b.account.FlowNS+"s61001")
			got = b.person(t)
			require.Equal(t, []string{"venta"}, got.Tags)
			require.Equal(t, map[string]string{"presupuesto_ars": "650000"}, got.Fields)
			require.Equal(t, []string{"Agendar visita", "Bienvenida"}, got.SubFlows)
			require.Equal(t, []int{0, 0}, []int{got.Agent, got.Group})
			require.False(t, got.Paused)
			require.Equal(t, []string{"hola", "uno"}, b.shown(t), "orders alone write nothing")
		})
	}

	t.Run("a tag that is not there stops the message", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.write(t, simulator.Say{Text: "hola"})
		_, err := b.Send(t.Context(), b.to(t, sdk.Text{Body: "uno"}, "add_tags", "ninguna"))
		require.ErrorIs(t, err, &failure.Failure{Code: failure.InvalidRequest})
		require.Equal(t, []string{"hola"}, b.shown(t))
	})

	t.Run("what cannot follow does not undo the message", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.write(t, simulator.Say{Text: "hola"})
		b.simulator.SetFaults(simulator.Faults{HookPerDay: 1})
		for range 2 {
			_, err := b.Send(t.Context(), b.to(t, sdk.Text{Body: "uno"}, "assign_agent", "1", "inbound_webhook", "{}"))
			require.NoError(t, err)
		}
		require.Len(t, b.simulator.HookCalls("acme"), 1, "the rest of the day is refused")
	})

	for _, bad := range [][2]string{{"pause_minutes", "soon"}, {"assign_agent", "0"}, {"set_fields", "[]x"}, {"chat_status", "gone"}} {
		_, err := ordersOf(map[string]string{bad[0]: bad[1]})
		require.ErrorIs(t, err, &failure.Failure{Code: failure.InvalidRequest})
	}
}

// TestRefusals maps what UChat answers.
func TestRefusals(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults  simulator.Faults
		want    failure.Code
		outcome failure.Outcome
		after   time.Duration
	}{
		"a bad key":           {simulator.Faults{HTTPStatus: 401, ErrorWords: "Unauthenticated."}, failure.Auth, failure.NotSent, 0},
		"forbidden":           {simulator.Faults{HTTPStatus: 403}, failure.Permission, failure.NotSent, 0},
		"no permission":       {simulator.Faults{HTTPStatus: 400, ErrorWords: "Missing permission"}, failure.Permission, failure.NotSent, 0},
		"unknown person":      {simulator.Faults{HTTPStatus: 400, ErrorWords: "User not found."}, failure.Recipient, failure.NotSent, 0},
		"gone person":         {simulator.Faults{HTTPStatus: 404, ErrorWords: "No query results for model"}, failure.Recipient, failure.NotSent, 0},
		"invalid":             {simulator.Faults{HTTPStatus: 422, ErrorWords: "The content field is required."}, failure.InvalidRequest, failure.NotSent, 0},
		"closed window":       {simulator.Faults{HTTPStatus: 400, ErrorWords: "More than 24 hours have passed"}, failure.WindowClosed, failure.NotSent, 0},
		"plan":                {simulator.Faults{HTTPStatus: 400, ErrorWords: "Upgrade your plan"}, failure.QuotaExhausted, failure.NotSent, 0},
		"unsubscribed":        {simulator.Faults{HTTPStatus: 400, ErrorWords: "The user has unsubscribed"}, failure.Recipient, failure.NotSent, 0},
		"slow down":           {simulator.Faults{HTTPStatus: 429}, failure.RateLimited, failure.NotSent, slowDown},
		"slow down, seconds":  {simulator.Faults{HTTPStatus: 429, RetryAfter: "7"}, failure.RateLimited, failure.NotSent, 7 * time.Second},
		"slow down, a date":   {simulator.Faults{HTTPStatus: 429, RetryAfter: "date"}, failure.RateLimited, failure.NotSent, 90 * time.Second},
		"trouble":             {simulator.Faults{HTTPStatus: 503}, failure.Temporary, failure.Unknown, 0},
		"trouble as a page":   {simulator.Faults{HTTPStatus: 502, ErrorsAsHTML: true}, failure.Temporary, failure.Unknown, 0},
		"refused as a page":   {simulator.Faults{HTTPStatus: 400, ErrorsAsHTML: true}, failure.InvalidRequest, failure.NotSent, 0},
		"200 with an error":   {simulator.Faults{HTTPStatus: 400, ErrorWords: "User not found.", ErrorsAs200: true}, failure.Recipient, failure.NotSent, 0},
		"200 with a page":     {simulator.Faults{HTTPStatus: 200, ErrorsAsHTML: true}, failure.Temporary, failure.Unknown, 0},
		"a broken connection": {simulator.Faults{CloseConnection: true}, failure.Temporary, failure.Unknown, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t)
			b.write(t, simulator.Say{Text: "hola"})
			m := b.to(t, sdk.Text{Body: "x"})
			tt.faults.Only = "send-text"
			b.simulator.SetFaults(tt.faults)
			_, err := b.Send(t.Context(), m)
			require.ErrorIs(t, err, &failure.Failure{Code: tt.want})
			f := failureOf(err)
			require.Equal(t, tt.outcome, f.Outcome)
			require.InDelta(t, tt.after, f.RetryAfter, float64(5*time.Second))
			require.NotContains(t, err.Error(), b.settings["api_key"])
		})
	}

	t.Run("no answer", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.write(t, simulator.Say{Text: "hola"})
		m := b.to(t, sdk.Text{Body: "x"})
		b.simulator.SetFaults(simulator.Faults{HangReply: true, Only: "send-text"})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := b.Send(ctx, m)
		require.ErrorIs(t, err, &failure.Failure{Code: failure.Temporary})
		require.Equal(t, failure.Unknown, failureOf(err).Outcome)
	})

	t.Run("too fast for us", func(t *testing.T) {
		t.Parallel()

		l := newLimits()
		for range 10 {
			require.NoError(t, l.take(general))
		}
		err := l.take(general)
		require.ErrorIs(t, err, &failure.Failure{Code: failure.RateLimited})
		require.Positive(t, failureOf(err).RetryAfter)
		for range 500 {
			require.NoError(t, l.take(hooks))
		}
		require.ErrorIs(t, l.take(hooks), &failure.Failure{Code: failure.RateLimited})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, l.wait(ctx, general), &failure.Failure{Code: failure.RateLimited})
	})

	t.Run("an answer without words", func(t *testing.T) {
		t.Parallel()

		f := refuse(&httpx.Response{Status: http.StatusNotFound, Header: http.Header{}}, envelope{})
		require.Equal(t, failure.InvalidRequest, f.Code)
	})
}
