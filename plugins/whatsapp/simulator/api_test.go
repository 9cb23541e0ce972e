package simulator_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

func TestAuthorisation(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	norte := b.account(t, "norte")
	a := b.call(t, http.MethodGet, norte["phone_number_id"], "")
	require.Equal(t, 100, a.code(), "another agency's number does not exist for this token")
	require.EqualValues(t, 33, a.body["error"].(map[string]any)["error_subcode"])
	require.Equal(t, "GraphMethodException", a.body["error"].(map[string]any)["type"])
	require.Equal(t, 100, b.call(t, http.MethodPost, "999/messages", "{}").code())
	require.Equal(t, 100, b.call(t, http.MethodPatch, b.settings["phone_number_id"], "{}").code())
	require.Equal(t, 100, b.call(t, http.MethodPatch, b.settings["business_account_id"], "{}").code())
	require.Equal(t, 100, b.call(t, http.MethodGet, b.base+"/x/1", "").code())
	for _, version := range []string{"v19.0", "v24.0", "v31.2"} {
		require.Equal(t, http.StatusOK, b.call(t, http.MethodGet, b.base+"/"+version+"/"+b.settings["phone_number_id"], "").status)
	}
	for _, token := range []string{"", "EAAwrong"} {
		b.settings["access_token"] = token
		a := b.call(t, http.MethodGet, norte["phone_number_id"], "")
		require.Equal(t, http.StatusUnauthorized, a.status)
		require.Equal(t, 190, a.code())
		require.Equal(t, "OAuthException", a.body["error"].(map[string]any)["type"])
	}
}

func TestValidation(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	b.write(t, simulator.Say{Text: "hola"})
	long := func(n int) string { return strings.Repeat("ñ", n) }
	button := func(id, title string) string {
		return fmt.Sprintf(`{"type":"reply","reply":{"id":%q,"title":%q}}`, id, title)
	}
	buttons := func(list ...string) string {
		return `"type":"interactive","interactive":{"type":"button","body":{"text":"b"},"action":{"buttons":[` + strings.Join(list, ",") + `]}}`
	}
	rows := func(n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf(`{"id":"%d","title":"t"}`, i))
		}
		return strings.Join(out, ",")
	}
	list := func(sections string) string {
		return `"type":"interactive","interactive":{"type":"list","body":{"text":"b"},"action":{"button":"Ver","sections":[` + sections + `]}}`
	}
	template := func(name, components string) string {
		return `"type":"template","template":{"name":"` + name + `","language":{"code":"es_AR"},"components":[` + components + `]}`
	}
	body := func(params ...string) string {
		return `{"type":"body","parameters":[` + strings.Join(params, ",") + `]}`
	}
	word := func(s string) string { return fmt.Sprintf(`{"type":"text","text":%q}`, s) }
	for name, tt := range map[string]struct {
		body string
		want int
	}{
		"text":                {`"type":"text","text":{"body":"hola"}`, 0},
		"text without type":   {`"text":{"body":"hola"}`, 0},
		"longest text":        {`"text":{"body":"` + long(4096) + `"}`, 0},
		"too long a text":     {`"text":{"body":"` + long(4097) + `"}`, 100},
		"empty text":          {`"text":{"body":""}`, 100},
		"no object":           {`"type":"text"`, 100},
		"unknown type":        {`"type":"hologram","hologram":{}`, 131051},
		"not an individual":   {`"recipient_type":"group","text":{"body":"x"}`, 100},
		"callback too long":   {`"text":{"body":"x"},"biz_opaque_callback_data":"` + long(513) + `"`, 100},
		"media by link":       {`"type":"image","image":{"link":"https://x.example/a.jpg","caption":"c"}`, 0},
		"media by plain link": {`"type":"image","image":{"link":"http://x.example/a.jpg"}`, 131053},
		"media by wrong id":   {`"type":"image","image":{"id":"1"}`, 131009},
		"media by both":       {`"type":"image","image":{"id":"1","link":"https://x.example"}`, 131008},
		"media by none":       {`"type":"image","image":{}`, 131008},
		"long caption":        {`"type":"image","image":{"link":"https://x.example","caption":"` + long(1025) + `"}`, 100},
		"caption of audio":    {`"type":"audio","audio":{"link":"https://x.example","caption":"c"}`, 100},
		"location":            {`"type":"location","location":{"latitude":-34.6,"longitude":-58.4}`, 0},
		"location as text":    {`"type":"location","location":{"latitude":"-34.6","longitude":"-58.4"}`, 131009},
		"location off earth":  {`"type":"location","location":{"latitude":91,"longitude":0}`, 131009},
		"contacts":            {`"type":"contacts","contacts":[{"name":{"formatted_name":"A","first_name":"A"}}]`, 0},
		"contacts half named": {`"type":"contacts","contacts":[{"name":{"formatted_name":"A"}}]`, 131009},
		"no contacts":         {`"type":"contacts","contacts":[]`, 100},
		"reaction":            {`"type":"reaction","reaction":{"message_id":"wamid.X","emoji":""}`, 0},
		"reaction to nothing": {`"type":"reaction","reaction":{"emoji":"x"}`, 131009},
		"buttons":             {buttons(button("a", "A"), button("b", "B"), button("c", "C")), 0},
		"four buttons":        {buttons(button("a", "A"), button("b", "B"), button("c", "C"), button("d", "D")), 131009},
		"no buttons":          {buttons(), 131009},
		"same id twice":       {buttons(button("a", "A"), button("a", "B")), 131009},
		"long title":          {buttons(button("a", long(21))), 100},
		"longest title":       {buttons(button("a", long(20))), 0},
		"long id":             {buttons(button(long(257), "A")), 100},
		"list":                {list(`{"rows":[` + rows(10) + `]}`), 0},
		"eleven rows":         {list(`{"title":"a","rows":[` + rows(5) + `]},{"title":"b","rows":[` + rows(6) + `]}`), 131009},
		"untitled sections":   {list(`{"rows":[` + rows(1) + `]},{"rows":[` + rows(1) + `]}`), 100},
		"empty list":          {list(``), 131009},
		"link button":         {`"type":"interactive","interactive":{"type":"cta_url","body":{"text":"b"},"action":{"name":"cta_url","parameters":{"display_text":"Ver","url":"https://x.example"}}}`, 0},
		"link without url":    {`"type":"interactive","interactive":{"type":"cta_url","body":{"text":"b"},"action":{"parameters":{"display_text":"Ver"}}}`, 100},
		"ask for location":    {`"type":"interactive","interactive":{"type":"location_request_message","body":{"text":"b"},"action":{"name":"send_location"}}`, 0},
		"interactive no body": {`"type":"interactive","interactive":{"type":"button"}`, 100},
		"interactive footer":  {`"type":"interactive","interactive":{"type":"flow","body":{"text":"b"},"footer":{"text":"` + long(61) + `"}}`, 100},
		"interactive header":  {`"type":"interactive","interactive":{"type":"flow","body":{"text":"b"},"header":{"text":"` + long(61) + `"}}`, 100},
		"interactive unknown": {`"type":"interactive","interactive":{"type":"carousel","body":{"text":"b"}}`, 131009},
		"template":            {template("retomar_contacto", body(word("Lucía"), word("Palermo"))), 0},
		"template short":      {template("retomar_contacto", body(word("Lucía"))), 132000},
		"template empty":      {template("retomar_contacto", ""), 132000},
		"template named":      {template("retomar_contacto", body(`{"type":"text","text":"a","parameter_name":"b"}`, word("x"))), 132012},
		"template line break": {template("retomar_contacto", body(word("a\nb"), word("x"))), 132018},
		"template no header":  {template("recordatorio_visita", ""), 132000},
		"template unknown":    {template("no_existe", ""), 132001},
		"template rejected":   {template("bienvenida_propietario", ""), 132001},
		"template paused":     {template("encuesta_satisfaccion", ""), 132015},
		"template nameless":   {template("", ""), 131008},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			a := b.call(t, http.MethodPost, b.settings["phone_number_id"]+"/messages", `{"messaging_product":"whatsapp","to":"`+lucia+`",`+tt.body+`}`)
			require.Equal(t, tt.want, a.code(), a.body)
			if tt.want == 132000 {
				require.Contains(t, fmt.Sprint(a.body), "does not match the expected number of params")
			}
		})
	}
	for name, raw := range map[string]string{
		"not JSON":     `hola`,
		"no product":   `{"to":"` + lucia + `","text":{"body":"x"}}`,
		"no recipient": `{"messaging_product":"whatsapp","text":{"body":"x"}}`,
		"no phone":     `{"messaging_product":"whatsapp","to":"hola","text":{"body":"x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			require.Equal(t, 100, b.call(t, http.MethodPost, b.settings["phone_number_id"]+"/messages", raw).code())
		})
	}
	// Both are given: the phone wins.
	both := `{"messaging_product":"whatsapp","to":"` + lucia + `","recipient":"AR.1","text":{"body":"x"}}`
	require.Equal(t, 0, b.call(t, http.MethodPost, b.settings["phone_number_id"]+"/messages", both).code())
}

func TestTemplateMessage(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	b.write(t, simulator.Say{Text: "hola"})
	b.call(t, http.MethodPost, b.settings["phone_number_id"]+"/messages", `{"messaging_product":"whatsapp","to":"`+lucia+`","type":"template",
	 "template":{"name":"recordatorio_visita","language":{"code":"es_AR"},"components":[
	  {"type":"header","parameters":[{"type":"image","image":{"link":"https://x.example/a.jpg"}}]},
	  {"type":"body","parameters":[{"type":"text","parameter_name":"nombre","text":"Lucía"},{"type":"text","parameter_name":"direccion","text":"Acoyte 410"},{"type":"text","parameter_name":"fecha","text":"hoy"}]},
	  {"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"visita:1:si"}]},
	  {"type":"button","sub_type":"url","index":"2","parameters":[{"type":"text","text":"8812"}]}]}}`).id(t)
	list, err := b.Messages("acme", "")
	require.NoError(t, err)
	require.Contains(t, list[1].Text, "Hola Lucía, te esperamos en Acoyte 410 el hoy.")

	b.write(t, simulator.Say{Choice: "confirmo"})
	m := b.hub.last(t).body.Entry[0].Changes[0].Value.Messages[0]
	require.Equal(t, "button", m["type"])
	require.Equal(t, map[string]any{"payload": "visita:1:si", "text": "Confirmo"}, m["button"])
}

func TestFiles(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	upload := func(product, mime string, content []byte) answer {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		require.NoError(t, w.WriteField("messaging_product", product))
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="a.ogg"`}, "Content-Type": {mime}})
		require.NoError(t, err)
		_, err = part.Write(content)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.base+"/v24.0/"+b.settings["phone_number_id"]+"/media", &form)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+b.settings["access_token"])
		req.Header.Set("Content-Type", w.FormDataContentType())
		resp, err := (&http.Client{}).Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		a := answer{status: resp.StatusCode, body: map[string]any{}}
		require.NoError(t, decodeInto(resp.Body, &a.body))
		return a
	}
	require.Equal(t, 100, upload("telegram", "audio/ogg", []byte("OggS")).code())
	require.Equal(t, 131053, upload("whatsapp", "image/jpeg", make([]byte, 5<<20+1)).code())
	id := upload("whatsapp", "audio/ogg", []byte("OggS and so on")).body["id"].(string)

	found := b.call(t, http.MethodGet, id+"?phone_number_id="+b.settings["phone_number_id"], "").body
	require.EqualValues(t, 14, found["file_size"])
	require.Len(t, found["sha256"], 64)
	require.Equal(t, 100, b.call(t, http.MethodGet, id+"?phone_number_id=1", "").code())
	at := found["url"].(string)
	require.Equal(t, "OggS and so on", b.call(t, http.MethodGet, at, "").body["raw"])
	require.Equal(t, http.StatusNotFound, b.call(t, http.MethodGet, strings.Replace(at, "hash=", "hash=0", 1), "").status)

	b.write(t, simulator.Say{Text: "hola"})
	voice := func(id string) answer {
		return b.call(t, http.MethodPost, b.settings["phone_number_id"]+"/messages",
			`{"messaging_product":"whatsapp","to":"`+lucia+`","type":"audio","audio":{"id":"`+id+`","voice":true}}`)
	}
	voice(id).id(t)
	require.Equal(t, 131053, voice(upload("whatsapp", "audio/mpeg", []byte("ID3")).body["id"].(string)).code())

	token := b.settings["access_token"]
	b.settings["access_token"] = "EAAwrong"
	require.Equal(t, http.StatusUnauthorized, b.call(t, http.MethodGet, at, "").status)
	b.settings["access_token"] = token
	b.clock.move(5*time.Minute + time.Second)
	require.Equal(t, http.StatusNotFound, b.call(t, http.MethodGet, at, "").status, "the address is good for five minutes")

	b.SetFaults(simulator.Faults{SizeAsString: true})
	require.Equal(t, "14", b.call(t, http.MethodGet, id, "").body["file_size"])
	require.Equal(t, http.StatusOK, b.call(t, http.MethodDelete, id, "").status)
	require.Equal(t, 100, b.call(t, http.MethodGet, id, "").code())
}

func TestBusiness(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	account := b.settings["business_account_id"]
	numbers := b.call(t, http.MethodGet, account+"/phone_numbers?fields=id,status", "").body["data"].([]any)
	require.Equal(t, []any{map[string]any{"id": b.settings["phone_number_id"], "status": "CONNECTED"}}, numbers)

	seen, after := map[string]bool{}, ""
	for range 10 {
		p := b.call(t, http.MethodGet, account+"/message_templates?limit=1&after="+after, "").body
		for _, raw := range p["data"].([]any) {
			seen[raw.(map[string]any)["name"].(string)] = true
		}
		paging := p["paging"].(map[string]any)
		after = paging["cursors"].(map[string]any)["after"].(string)
		require.NotEmpty(t, after)
		if paging["next"] == nil {
			break
		}
	}
	require.Len(t, seen, 4)
	require.Len(t, b.call(t, http.MethodGet, account+"/message_templates?status=PAUSED", "").body["data"], 1)
	require.Equal(t, account, b.call(t, http.MethodGet, account+"?fields=name", "").body["id"])

	number := b.settings["phone_number_id"]
	require.Equal(t, http.StatusOK, b.call(t, http.MethodPost, number+"/whatsapp_business_profile", `{"about":"Nuevo"}`).status)
	require.Equal(t, "Nuevo", b.call(t, http.MethodGet, number+"/whatsapp_business_profile", "").body["data"].([]any)[0].(map[string]any)["about"])
	require.Equal(t, http.StatusOK, b.call(t, http.MethodPost, number+"/register", `{}`).status)
}

func TestSubscription(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	apps := b.settings["business_account_id"] + "/subscribed_apps"
	require.Len(t, b.call(t, http.MethodGet, apps, "").body["data"], 1)
	require.Equal(t, http.StatusOK, b.call(t, http.MethodDelete, apps, "").status)
	require.Empty(t, b.call(t, http.MethodGet, apps, "").body["data"])
	require.Contains(t, b.write(t, simulator.Say{Text: "hola"}).Detail, "no app is subscribed")
	require.Empty(t, b.hub.all())

	b.hub.token = b.settings["verify_token"]
	override := func(token string) answer {
		return b.call(t, http.MethodPost, apps, `{"override_callback_uri":"`+b.hub.url+`/other","verify_token":"`+token+`"}`)
	}
	require.Equal(t, 100, override("wrong").code())
	require.Equal(t, http.StatusOK, override(b.hub.token).status)
	require.Equal(t, http.StatusOK, b.write(t, simulator.Say{Text: "hola"}).Status)
	ok, err := b.Verify(t.Context(), "acme")
	require.NoError(t, err)
	require.True(t, ok)
}

func TestReplay(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	body := `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2","display_phone_number":"3"},"messages":[{"id":"wamid.R","from":"5491160005678","ad":120215544332210987,"type":"text","text":{"body":"¿Sigue?"}}]}}]}]}`
	said, err := b.Replay(t.Context(), "acme", false, []byte(body))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, said.Status)
	p := b.hub.last(t)
	require.Equal(t, b.settings["business_account_id"], p.body.Entry[0].ID)
	require.Contains(t, p.raw, `"phone_number_id":"`+b.settings["phone_number_id"]+`"`)
	require.Contains(t, p.raw, "120215544332210987", "long numbers keep their digits")
	require.Equal(t, simulator.Sign(b.settings["app_secret"], []byte(p.raw)), p.header.Get("X-Hub-Signature-256"))
	b.text(t, "5491160005678", "¡Sigue!").id(t)

	_, err = b.Replay(t.Context(), "acme", true, []byte(body))
	require.NoError(t, err)
	require.Equal(t, body, b.hub.last(t).raw)
	_, err = b.Replay(t.Context(), "acme", false, []byte("{"))
	require.ErrorContains(t, err, "--as-is")
	_, err = b.Replay(t.Context(), "acme", true, []byte("{"))
	require.NoError(t, err)
	require.Equal(t, "{", b.hub.last(t).raw)
	_, err = b.Replay(t.Context(), "sur", true, nil)
	require.ErrorContains(t, err, `no agency "sur"`)
}

// TestRestart finds people, messages and accounts again.
func TestRestart(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "state.json")
	b := setup(t, simulator.Options{State: path})
	b.write(t, simulator.Say{Text: "hola"})
	b.hub.ticks(t, b.text(t, lucia, "buenas").id(t), 3)
	require.NoError(t, b.Close())

	s, err := simulator.New(simulator.Options{State: path, Now: b.clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	list, err := s.Messages("acme", "+"+lucia)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "read", list[1].Status)
	again, err := s.Account(simulation.AccountRequest{Label: "acme"})
	require.NoError(t, err)
	require.Equal(t, b.settings, again.Settings)
	said, err := s.Write(t.Context(), simulator.Say{To: "acme", Text: "sigo acá"})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, said.Status, "the webhook's address is kept")
}

func TestSayRefusals(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	for name, tt := range map[string]struct {
		request, want string
	}{
		"no agency":      {`{"text":"x"}`, "which agency"},
		"unknown agency": {`{"to":"sur","text":"x"}`, `no agency "sur"`},
		"no phone":       {`{"to":"acme","from":"hola","text":"x"}`, "not a phone number"},
		"unknown user":   {`{"to":"acme","from":"AR.1","text":"x"}`, "Nobody has the user id"},
		"nothing":        {`{"to":"acme"}`, "what to write"},
		"no such type":   {`{"to":"acme","type":"hologram"}`, "hologram"},
		"no such key":    {`{"to":"acme","txt":"x"}`, "txt"},
		"no offer":       {`{"to":"acme","choice":"Sí"}`, "no button or row"},
		"no message":     {`{"to":"acme","emoji":"👍"}`, "nothing to react to"},
		"no answer":      {`{"to":"acme","text":"x","reply_to":"last"}`, "nothing to answer"},
		"no number":      {`{"to":"acme","type":"number_changed"}`, "new number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := b.Say(t.Context(), []byte(tt.request))
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err := b.Messages("sur", "")
	require.ErrorContains(t, err, `no agency "sur"`)
}
