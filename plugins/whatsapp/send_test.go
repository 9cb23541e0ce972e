package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

func TestSendText(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	said := b.write(t, simulator.Say{Text: "Hola, vi el depto de Palermo"})
	m := to(sdk.Text{Body: "¡Hola Lucía! ¿Querés coordinar una visita?", PreviewLinks: true})
	m.ReplyTo = said.MessageID
	r, err := b.Send(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, sdk.DeliveryAccepted, r.State)
	require.True(t, strings.HasPrefix(r.ProviderMessageID, "wamid."))
	require.Equal(t, sdk.Address{Kind: kindPhone, Value: customer}, r.Recipient[0])
	require.Equal(t, kindUser, r.Recipient[1].Kind)

	ticks := b.states(t, r.ProviderMessageID, sdk.DeliverySent, sdk.DeliveryDelivered, sdk.DeliveryRead)
	for _, u := range ticks {
		require.Equal(t, "outbox:1", u.IdempotencyKey)
		require.Equal(t, customer, u.Recipient.Addresses[0].Value)
	}
	list, err := b.simulator.Messages("acme", "+54 9 11 6000-1234")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, said.MessageID, list[1].ReplyTo)
	require.Equal(t, "read", list[1].Status)
}

// TestSendBody compares what goes out with the documented form.
func TestSendBody(t *testing.T) {
	t.Parallel()

	file := &sdk.MediaRef{ProviderID: "2762702990552401", MIMEType: "image/jpeg"}
	for name, tt := range map[string]struct {
		message sdk.Message
		want    string
	}{
		"to a phone": {
			sdk.Message{To: []sdk.Address{{Kind: "wa_id", Value: "5491160001234"}, {Kind: "bsuid", Value: "AR.1"}}, Content: sdk.Text{Body: "hola"}},
			`{"to":"5491160001234","type":"text","text":{"body":"hola"}}`,
		},
		"to a user id": {
			sdk.Message{To: []sdk.Address{{Kind: "email", Value: "x"}, {Kind: "bsuid", Value: "AR.1"}}, Content: sdk.Text{Body: "hola"}},
			`{"recipient":"AR.1","type":"text","text":{"body":"hola"}}`,
		},
		"reply with key": {
			sdk.Message{IdempotencyKey: "k", ReplyTo: "wamid.X", To: []sdk.Address{{Kind: "phone", Value: "+5491160001234"}}, Content: sdk.Text{Body: "hola", PreviewLinks: true}},
			`{"to":"+5491160001234","type":"text","text":{"body":"hola","preview_url":true},"context":{"message_id":"wamid.X"},"biz_opaque_callback_data":"k"}`,
		},
		"voice note":   {to1(sdk.Media{Kind: sdk.MediaVoice, Ref: sdk.MediaRef{ProviderID: "11"}}), `{"to":"5491160001234","type":"audio","audio":{"id":"11","voice":true}}`},
		"picture":      {to1(sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{URL: "https://x.example/a.jpg"}, Caption: "el frente"}), `{"to":"5491160001234","type":"image","image":{"link":"https://x.example/a.jpg","caption":"el frente"}}`},
		"document":     {to1(sdk.Media{Kind: sdk.MediaDocument, Ref: sdk.MediaRef{ProviderID: "12", FileName: "a.pdf"}}), `{"to":"5491160001234","type":"document","document":{"id":"12","filename":"a.pdf"}}`},
		"location":     {to1(sdk.Location{Latitude: -34.6, Longitude: -58.4, Name: "Parque"}), `{"to":"5491160001234","type":"location","location":{"latitude":-34.6,"longitude":-58.4,"name":"Parque"}}`},
		"reaction":     {to1(sdk.Reaction{TargetID: "wamid.X"}), `{"to":"5491160001234","type":"reaction","reaction":{"message_id":"wamid.X","emoji":""}}`},
		"contact card": {to1(sdk.ContactCards{Cards: []sdk.ContactCard{{Name: "Ana", Phones: []string{"+54"}}}}), `{"to":"5491160001234","type":"contacts","contacts":[{"name":{"formatted_name":"Ana","first_name":"Ana"},"phones":[{"phone":"+54"}]}]}`},
		"buttons": {
			to1(sdk.Interactive{Body: "¿Confirmás?", Footer: "f", Buttons: []sdk.Button{{Title: "Sí", Payload: "si"}, {Title: "No"}}}),
			`{"to":"5491160001234","type":"interactive","interactive":{"type":"button","body":{"text":"¿Confirmás?"},"footer":{"text":"f"},
			  "action":{"buttons":[{"type":"reply","reply":{"id":"si","title":"Sí"}},{"type":"reply","reply":{"id":"No","title":"No"}}]}}}`,
		},
		"link button": {
			to1(sdk.Interactive{Body: "b", Buttons: []sdk.Button{{Title: "Ver", URL: "https://x.example"}}}),
			`{"to":"5491160001234","type":"interactive","interactive":{"type":"cta_url","body":{"text":"b"},
			  "action":{"name":"cta_url","parameters":{"display_text":"Ver","url":"https://x.example"}}}}`,
		},
		"list": {
			to1(sdk.Interactive{Header: "h", Body: "b", ListLabel: "Ver", Sections: []sdk.ListSection{{Title: "s", Rows: []sdk.ListRow{{ID: "1", Title: "a", Description: "d"}}}}}),
			`{"to":"5491160001234","type":"interactive","interactive":{"type":"list","header":{"type":"text","text":"h"},"body":{"text":"b"},
			  "action":{"button":"Ver","sections":[{"title":"s","rows":[{"id":"1","title":"a","description":"d"}]}]}}}`,
		},
		"template": {
			to1(sdk.Template{Name: "recordatorio_visita", Language: "es_AR", Params: []sdk.TemplateParam{
				{Component: "button", Index: 2, SubType: "url", Text: "8812"},
				{Component: "body", Index: 1, Name: "direccion", Text: "Acoyte 410, 3° B"},
				{Component: "button", Index: 0, SubType: "quick_reply", Payload: "visita:8812:confirmar"},
				{Component: "body", Index: 0, Name: "nombre", Text: "Lucía"},
				{Component: "header", Media: file},
			}}),
			`{"to":"5491160001234","type":"template","template":{"name":"recordatorio_visita","language":{"code":"es_AR"},"components":[
			  {"type":"header","parameters":[{"type":"image","image":{"id":"2762702990552401"}}]},
			  {"type":"body","parameters":[{"type":"text","parameter_name":"nombre","text":"Lucía"},{"type":"text","parameter_name":"direccion","text":"Acoyte 410, 3° B"}]},
			  {"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"visita:8812:confirmar"}]},
			  {"type":"button","sub_type":"url","index":"2","parameters":[{"type":"text","text":"8812"}]}]}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got, err := outgoing(tt.message)
			require.NoError(t, err)
			raw, err := json.Marshal(got)
			require.NoError(t, err)
			want := strings.Replace(tt.want, "{", `{"messaging_product":"whatsapp","recipient_type":"individual",`, 1)
			require.JSONEq(t, want, string(raw))
		})
	}
}

// to1 is to without a key.
func to1(c sdk.Content) sdk.Message {
	m := to(c)
	m.IdempotencyKey = ""
	return m
}

func TestSendRefusedHere(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		message sdk.Message
		want    failure.Code
	}{
		"no address":     {sdk.Message{Content: sdk.Text{Body: "a"}, To: []sdk.Address{{Kind: "email", Value: "a@b"}}}, failure.Recipient},
		"empty text":     {to(sdk.Text{}), failure.InvalidRequest},
		"long text":      {to(sdk.Text{Body: strings.Repeat("ñ", 4097)}), failure.InvalidRequest},
		"long caption":   {to(sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{ProviderID: "1"}, Caption: strings.Repeat("ñ", 1025)}), failure.InvalidRequest},
		"blob":           {to(sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{BlobID: "1"}}), failure.Media},
		"plain http":     {to(sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{URL: "http://x.example/a"}}), failure.Media},
		"cards":          {to(sdk.Cards{}), failure.Unsupported},
		"selection":      {to(sdk.Selection{}), failure.Unsupported},
		"nothing":        {to(nil), failure.Unsupported},
		"mixed choices":  {to(sdk.Interactive{Body: "b", Buttons: []sdk.Button{{Title: "a", URL: "u"}, {Title: "b"}}}), failure.Unsupported},
		"nothing to ask": {to(sdk.Interactive{Body: "b"}), failure.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			// Nothing listens there: a request would fail otherwise.
			_, err := newInstance(t, "http://127.0.0.1:1", filled()).Send(t.Context(), tt.message)
			var f *failure.Failure
			require.ErrorAs(t, err, &f)
			require.Equal(t, tt.want, f.Code)
			require.Equal(t, failure.NotSent, f.Outcome)
			require.Zero(t, f.HTTPStatus)
		})
	}

	_, err := outgoing(to(sdk.Text{Body: strings.Repeat("ñ", 4096)}))
	require.NoError(t, err)
}

func TestSendKindsToSimulator(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	b.write(t, simulator.Say{Text: "hola"})
	for name, c := range map[string]sdk.Content{
		"location": sdk.Location{Latitude: -34.6, Longitude: -58.4},
		"contacts": sdk.ContactCards{Cards: []sdk.ContactCard{{Name: "Ana Paz", Phones: []string{"+5491160004321"}}}},
		"picture":  sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{URL: "https://x.example/a.jpg"}},
		"buttons":  sdk.Interactive{Body: "b", Buttons: []sdk.Button{{ID: "si", Title: "Sí"}}},
		"list":     sdk.Interactive{Body: "b", ListLabel: "Ver", Sections: []sdk.ListSection{{Rows: []sdk.ListRow{{ID: "1", Title: "a"}}}}},
		"template": sdk.Template{Name: "retomar_contacto", Language: "es_AR", Params: []sdk.TemplateParam{{Component: "body", Text: "Lucía"}, {Component: "body", Index: 1, Text: "Palermo"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r := b.send(t, c)
			b.states(t, r.ProviderMessageID, sdk.DeliverySent, sdk.DeliveryDelivered, sdk.DeliveryRead)
		})
	}
	t.Run("reaction", func(t *testing.T) {
		t.Parallel()

		r := b.send(t, sdk.Reaction{TargetID: b.write(t, simulator.Say{From: "+5491160002222", Text: "x"}).MessageID, Emoji: "👍"})
		b.states(t, r.ProviderMessageID, sdk.DeliverySent)
	})
}

// TestOutcome breaks the conversation at every point: what was surely not sent
// may be sent again, the rest may not.
func TestOutcome(t *testing.T) {
	t.Parallel()

	answer := func(status int, header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if name, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		code    failure.Code
		outcome failure.Outcome
		after   time.Duration
	}{
		"reset after the request": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, failure.Temporary, failure.Unknown, 0},
		"answer breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		}, failure.Temporary, failure.Unknown, 0},
		"gateway error without words": {answer(502, "", "<html>Bad gateway</html>"), failure.Temporary, failure.Unknown, 0},
		"taken, but nonsense":         {answer(200, "", "<html>"), failure.Temporary, failure.Unknown, 0},
		"taken, but no id":            {answer(200, "", `{"messages":[]}`), failure.Temporary, failure.Unknown, 0},
		"taken, odd types":            {answer(200, "", `{"messages":{"id":1}}`), failure.Temporary, failure.Unknown, 0},
		"error with words":            {answer(500, "", `{"error":{"code":131016,"message":"x"}}`), failure.Temporary, failure.NotSent, 0},
		"error in a 200":              {answer(200, "", `{"error":{"code":131047}}`), failure.WindowClosed, failure.NotSent, 0},
		"code as text":                {answer(400, "", `{"error":{"code":"131026"}}`), failure.Recipient, failure.NotSent, 0},
		"bare 401":                    {answer(401, "", ``), failure.Auth, failure.NotSent, 0},
		"bare 403":                    {answer(403, "", ``), failure.Permission, failure.NotSent, 0},
		"bare 404":                    {answer(404, "", ``), failure.InvalidRequest, failure.NotSent, 0},
		"bare 429 with seconds":       {answer(429, "Retry-After: 7", ``), failure.RateLimited, failure.NotSent, 7 * time.Second},
		"limit with seconds":          {answer(400, "Retry-After: 9", `{"error":{"code":130429}}`), failure.RateLimited, failure.NotSent, 9 * time.Second},
		"redirect":                    {answer(307, "Location: /elsewhere", ``), failure.InvalidRequest, failure.NotSent, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var requests atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				tt.handler(w, r)
			}))
			t.Cleanup(srv.Close)
			_, err := newInstance(t, srv.URL, filled()).Send(t.Context(), to(sdk.Text{Body: "hola"}))
			var f *failure.Failure
			require.ErrorAs(t, err, &f)
			require.Equal(t, tt.code, f.Code, f.Error())
			require.Equal(t, tt.outcome, f.Outcome)
			if tt.after > 0 {
				require.Equal(t, tt.after, f.RetryAfter)
			}
			require.EqualValues(t, 1, requests.Load(), "one attempt, one request")
			require.NotContains(t, err.Error(), "EAAtoken")
		})
	}

	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()

		_, err := newInstance(t, "http://127.0.0.1:1", filled()).Send(t.Context(), to(sdk.Text{Body: "hola"}))
		var f *failure.Failure
		require.ErrorAs(t, err, &f)
		require.Equal(t, failure.Temporary, f.Code)
		require.Equal(t, failure.NotSent, f.Outcome)
	})

	t.Run("cancelled while waiting", func(t *testing.T) {
		t.Parallel()

		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		got := make(chan struct{})
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			_, _ = http.ReadRequest(bufio.NewReader(c))
			close(got)
		}()
		cancelled := ctx(t, 100*time.Millisecond)
		_, err = newInstance(t, "http://"+l.Addr().String(), filled()).Send(cancelled, to(sdk.Text{Body: "hola"}))
		<-got
		var f *failure.Failure
		require.ErrorAs(t, err, &f)
		require.Equal(t, failure.Unknown, f.Outcome)
	})

	t.Run("never to a host that is not the provider's", func(t *testing.T) {
		t.Parallel()

		_, err := newInstance(t, "http://127.0.0.1:1", filled()).graph.http.Call(t.Context(), request("https://example.com/"))
		require.ErrorIs(t, err, &failure.Failure{Code: failure.InvalidRequest})
	})
}

func TestSignal(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	said := b.write(t, simulator.Say{Text: "hola"})
	require.NoError(t, b.Signal(t.Context(), sdk.Signal{Kind: "typing", ProviderMessageID: said.MessageID}))
	list, err := b.simulator.Messages("acme", "")
	require.NoError(t, err)
	require.Equal(t, "read", list[0].Status)

	require.NoError(t, b.Signal(t.Context(), sdk.Signal{Kind: "read", ProviderMessageID: said.MessageID}))
	require.ErrorIs(t, b.Signal(t.Context(), sdk.Signal{Kind: "read", ProviderMessageID: "wamid.unknown"}), &failure.Failure{Code: failure.InvalidRequest})
	require.ErrorIs(t, b.Signal(t.Context(), sdk.Signal{Kind: "read"}), &failure.Failure{Code: failure.InvalidRequest})
	require.ErrorIs(t, b.Signal(t.Context(), sdk.Signal{Kind: "wave", ProviderMessageID: "x"}), &failure.Failure{Code: failure.Unsupported})
}

func TestFetchMedia(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	b.write(t, simulator.Say{Type: "voice"})
	m, ok := b.hooks.last()
	require.True(t, ok)
	ref := m.Content.(sdk.Media).Ref

	for _, asText := range []bool{false, true} {
		b.simulator.SetFaults(simulator.Faults{SizeAsString: asText})
		file, err := b.FetchMedia(t.Context(), ref, 1<<20)
		require.NoError(t, err)
		content, err := io.ReadAll(file.Body)
		require.NoError(t, err)
		require.NoError(t, file.Body.Close())
		require.Equal(t, "OggS", string(content[:4]))
		require.EqualValues(t, len(content), file.Ref.Size)
		require.Equal(t, ref.SHA256, file.Ref.SHA256, "base64 in the webhook, hex at the provider")
		require.Equal(t, "audio/ogg; codecs=opus", file.Ref.MIMEType)
	}
	_, err := b.FetchMedia(t.Context(), ref, 10)
	require.ErrorIs(t, err, &failure.Failure{Code: failure.Media})
	_, err = b.FetchMedia(t.Context(), sdk.MediaRef{ProviderID: "404"}, 10)
	require.ErrorIs(t, err, &failure.Failure{Code: failure.Permission})

	file, err := b.FetchMedia(t.Context(), sdk.MediaRef{ProviderID: ref.ProviderID}, 1<<20)
	require.NoError(t, err)
	unsized := &bounded{body: file.Body, left: 10}
	_, err = io.ReadAll(unsized)
	require.ErrorIs(t, err, &failure.Failure{Code: failure.Media}, "a size that was not told is watched too")
	require.NoError(t, unsized.Close())
}
