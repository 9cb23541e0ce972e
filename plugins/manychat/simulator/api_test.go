package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/manychat/simulator"
)

// call makes a request with acme's key and returns status and body.
func (b *bundle) call(t *testing.T, method, path, body string) (int, string) {
	t.Helper()

	req, err := http.NewRequestWithContext(t.Context(), method, b.base+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+b.settings["api_key"])
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(raw)
}

// person lets somebody write, and returns the contact's id.
func (b *bundle) person(t *testing.T) string {
	t.Helper()

	_, err := b.Write(t.Context(), simulator.Say{To: "acme", Text: "hola"})
	require.NoError(t, err)
	var body struct{ Contact struct{ ID string } }
	require.NoError(t, json.Unmarshal([]byte(b.last()), &body))
	return body.Contact.ID
}

func TestDoor(t *testing.T) {
	t.Parallel()

	b := setup(t)
	status, body := b.call(t, http.MethodGet, "/fb/page/getInfo", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"status":"success"`)
	for _, path := range []string{"/fb/page/nothing", "/v1/contacts", "/"} {
		status, body = b.call(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusNotFound, status)
		require.Contains(t, body, "<html>")
	}
	status, _ = b.call(t, http.MethodPost, "/fb/page/getInfo", "{}")
	require.Equal(t, http.StatusNotFound, status)
	b.settings["api_key"] = "1:wrong"
	status, body = b.call(t, http.MethodGet, "/fb/page/getInfo", "")
	require.Equal(t, http.StatusUnauthorized, status)
	require.JSONEq(t, `{"status":"error","message":"Wrong token"}`, body)
}

// TestRules are what the API refuses.
func TestRules(t *testing.T) {
	t.Parallel()

	b := setup(t)
	id := b.person(t)
	many := func(n int, one string) string { return strings.Join(strings.Fields(strings.Repeat(one+" ", n)), ",") }
	content := func(inside string) string {
		return fmt.Sprintf(`{"subscriber_id":%s,"data":{"version":"v2","content":{"type":"whatsapp",%s}}}`, id, inside)
	}
	text := `{"type":"text","text":"hola"}`
	for name, tt := range map[string]struct {
		path, body string
		want       string
	}{
		"content":           {"sending/sendContent", content(`"messages":[` + many(10, text) + `]`), "success"},
		"no version":        {"sending/sendContent", `{"subscriber_id":` + id + `,"data":{"content":{"messages":[]}}}`, "version v2"},
		"empty content":     {"sending/sendContent", content(`"messages":[]`), "cannot be blank"},
		"11 messages":       {"sending/sendContent", content(`"messages":[` + many(11, text) + `]`), "10 messages"},
		"12 quick replies":  {"sending/sendContent", content(`"messages":[` + text + `],"quick_replies":[` + many(12, `{}`) + `]`), "11 quick replies"},
		"6 actions":         {"sending/sendContent", content(`"messages":[` + text + `],"actions":[` + many(6, `{}`) + `]`), "5 actions"},
		"quick replies":     {"sending/sendContent", content(`"messages":[` + text + `],"quick_replies":[{}]`), "3041"},
		"an image":          {"sending/sendContent", content(`"messages":[{"type":"image","url":"https://x.example/a.jpg"}]`), "3041"},
		"a node":            {"sending/sendContent", content(`"messages":[{"type":"text","text":"x","buttons":[{"type":"node","caption":"c","target":"t"}]}]`), "Dynamic Block only"},
		"unknown type":      {"sending/sendContent", content(`"messages":[{"type":"poll"}]`), "not known"},
		"a tag on whatsapp": {"sending/sendContent", strings.Replace(content(`"messages":[`+text+`]`), "{", `{"message_tag":"ACCOUNT_UPDATE",`, 1), "Unsupported message tag"},
		"no person":         {"sending/sendContent", `{"data":{}}`, "subscriber_id cannot be blank."},
		"nobody":            {"sending/sendFlow", `{"subscriber_id":1,"flow_ns":"x"}`, "Subscriber does not exist"},
		"no flow":           {"sending/sendFlow", `{"subscriber_id":` + id + `,"flow_ns":"x"}`, "Flow does not exist"},
		"no JSON":           {"sending/sendFlow", `x`, "Invalid JSON"},
		"empty string":      {"subscriber/createSubscriber", `{"whatsapp_phone":""}`, "cannot be blank"},
		"no number":         {"subscriber/createSubscriber", `{"first_name":"x"}`, "At least one"},
		"no consent":        {"subscriber/createSubscriber", `{"phone":"+5411"}`, "has_opt_in_sms cannot be blank"},
		"no phrase":         {"subscriber/createSubscriber", `{"phone":"+5411","has_opt_in_sms":true}`, "consent_phrase cannot be blank"},
		"there already":     {"subscriber/createSubscriber", `{"whatsapp_phone":"+5491160001234"}`, "This WhatsApp ID already exists: 5491160001234"},
		"another whatsapp":  {"subscriber/updateSubscriber", `{"subscriber_id":` + id + `,"whatsapp_phone":"+5411"}`, "not allowed"},
		"number as text":    {"subscriber/setCustomFieldByName", `{"subscriber_id":` + id + `,"field_name":"presupuesto usd","field_value":"1"}`, "not a valid number"},
		"bad date":          {"subscriber/setCustomFieldByName", `{"subscriber_id":` + id + `,"field_name":"Fecha visita","field_value":"28/11"}`, "not a valid date"},
		"datetime in UTC":   {"subscriber/setCustomFieldByName", `{"subscriber_id":` + id + `,"field_name":"Proxima visita","field_value":"2018-03-25T13:25:00.000Z"}`, "not a valid datetime"},
		"21 fields":         {"subscriber/setCustomFields", `{"subscriber_id":` + id + `,"fields":[` + many(21, `{}`) + `]}`, "1 to 20"},
		"no tag":            {"subscriber/addTagByName", `{"subscriber_id":` + id + `,"tag_name":"x"}`, "Tag does not exist"},
		"new tag":           {"page/createTag", `{"name":"vip"}`, `"name":"vip"`},
		"blank tag":         {"page/createTag", `{"name":" "}`, "cannot be blank"},
		"new field":         {"page/createCustomField", `{"caption":"Zona","type":"text"}`, `"name":"Zona"`},
		"field of no type":  {"page/createCustomField", `{"caption":"Zona","type":"color"}`, "type is invalid"},
	} {
		_, body := b.call(t, http.MethodPost, "/fb/"+tt.path, tt.body)
		require.Contains(t, body, tt.want, name)
	}
	for query, want := range map[string]string{
		"?phone=%2B5491160001234": `"data":[]`, // never by the number of WhatsApp
		"":                        "Exactly one",
		"?phone=1&email=a":        "Exactly one",
	} {
		_, body := b.call(t, http.MethodGet, "/fb/subscriber/findBySystemField"+query, "")
		require.Contains(t, body, want)
	}
	_, body := b.call(t, http.MethodGet, "/fb/page/getTags", "")
	require.Contains(t, body, "vip")
}

func TestLimits(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.SetFaults(simulator.Faults{PerSecond: 1, RateBody: "slow down", RetryAfter: 3})
	status, _ := b.call(t, http.MethodGet, "/fb/page/getTags", "")
	require.Equal(t, http.StatusOK, status)
	status, body := b.call(t, http.MethodGet, "/fb/page/getTags", "")
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "slow down", body)
	status, _ = b.call(t, http.MethodGet, "/fb/page/getCustomFields", "")
	require.Equal(t, http.StatusOK, status, "each endpoint has its own")
}

// TestMemory finds everything again after a restart.
func TestMemory(t *testing.T) {
	t.Parallel()

	file := t.TempDir() + "/state.json"
	first, err := simulator.New(simulator.Options{State: file})
	require.NoError(t, err)
	b := &bundle{Simulator: first}
	_, err = b.Replay(t.Context(), "acme", true, nil)
	require.Error(t, err)
	a, err := first.Account(accountRequest("acme", "http://127.0.0.1:9/"))
	require.NoError(t, err)
	said, err := first.Write(t.Context(), simulator.Say{To: "acme", Text: "hola"})
	require.NoError(t, err)
	require.Zero(t, said.Status)
	require.NotContains(t, said.Detail, "127.0.0.1", "the address has a token in it")
	require.NoError(t, first.Close())

	second, err := simulator.New(simulator.Options{State: file})
	require.NoError(t, err)
	list, err := second.Messages("acme", "")
	require.NoError(t, err)
	require.Len(t, list, 1)
	again, err := second.Account(accountRequest("acme", ""))
	require.NoError(t, err)
	require.Equal(t, a, again)
	require.NoError(t, second.Close())
}
