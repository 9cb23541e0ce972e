package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestBadInput(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	post := func(body string) ask {
		return ask{method: "POST", path: "/api/things", token: "agent@acme", body: body}
	}
	get := func(query string) ask { return ask{method: "GET", path: "/api/things?" + query, token: "agent@acme"} }
	typed := func(contentType, body string) ask {
		a := post(body)
		a.header = http.Header{"Content-Type": {contentType}}
		return a
	}
	for name, tt := range map[string]struct {
		ask    ask
		status int
		code   string
		fields []string
	}{
		"malformed JSON":             {post(`{"name":`), 400, "request.malformed", []string{"body "}},
		"two values":                 {post(`{"name":"x"} {}`), 400, "request.malformed", []string{"body "}},
		"not UTF-8":                  {post("{\"name\":\"\xff\"}"), 400, "request.malformed", []string{"body "}},
		"no body":                    {post(""), 400, "request.malformed", nil},
		"a list":                     {post(`[]`), 422, "request.invalid", []string{"body "}},
		"null":                       {post(`null`), 422, "request.invalid", []string{"body "}},
		"a missing field":            {post(`{}`), 422, "request.invalid", []string{"body /name"}},
		"an empty field":             {post(`{"name":""}`), 422, "request.invalid", []string{"body /name"}},
		"an unknown field":           {post(`{"name":"x","nmae":"y"}`), 422, "request.invalid", []string{"body /nmae"}},
		"a wrong type":               {post(`{"name":7}`), 422, "request.invalid", []string{"body /name"}},
		"several at once":            {post(`{"name":"","count":-1,"tags":["a",7]}`), 422, "request.invalid", []string{"body /count", "body /name", "body /tags/1"}},
		"an id that is none":         {post(`{"name":"x","ref":"7"}`), 422, "request.invalid", []string{"body /ref"}},
		"ids that are none":          {post(`{"name":"x","refs":["` + uuid.NewString() + `","7"]}`), 422, "request.invalid", []string{"body /refs/1"}},
		"a NUL":                      {post(`{"name":"a\u0000b","tags":["\u0000"],"extra":{"a/b":"\u0000"}}`), 422, "request.invalid", []string{"body /extra/a~1b", "body /name", "body /tags/0"}},
		"too large":                  {post(`{"name":"` + strings.Repeat("x", 2<<20) + `"}`), 413, "request.too_large", nil},
		"a form":                     {typed("application/x-www-form-urlencoded", "name=x"), 415, "request.media_type", nil},
		"text":                       {typed("text/plain", `{"name":"x"}`), 415, "request.media_type", nil},
		"an unknown filter":          {get("stgae=new"), 422, "request.invalid", []string{"query /stgae"}},
		"a value outside its set":    {get("stage=old"), 422, "request.invalid", []string{"query /stage"}},
		"too many rows":              {get("limit=101"), 422, "request.invalid", []string{"query /limit"}},
		"no number":                  {get("limit=x"), 422, "request.invalid", []string{"query /limit"}},
		"a cursor made up":           {get("after=abc"), 422, "page.cursor", []string{"query /after"}},
		"a NUL in the query":         {get("stage=%00"), 422, "request.invalid", []string{"query /stage"}},
		"a half escape in the query": {get("stage=won&after=%zz"), 422, "request.invalid", []string{"query "}},
		"a semicolon in the query":   {get("limit=1;stage=won"), 422, "request.invalid", []string{"query "}},
		"not UTF-8 in the query":     {get("stage=%ff"), 422, "request.invalid", []string{"query /stage"}},
		"a NUL in the path":          {ask{method: "GET", path: "/api/broken/%00", token: "agent@acme"}, 404, "request.not_found", nil},
		"a key with spaces": {ask{method: "POST", path: "/api/things", token: "agent@acme", body: `{"name":"x"}`,
			header: http.Header{"Idempotency-Key": {"a b"}}}, 422, "request.invalid", []string{"header /Idempotency-Key"}},
		"a version that is gone": {ask{method: "PUT", path: "/api/things/" + uuid.NewString(), token: "agent@acme",
			header: http.Header{"If-Match": {`"1"`}}}, 412, "request.stale", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got := w.do(t, tt.ask)
			got.refused(t, tt.status, tt.code)
			require.Equal(t, tt.fields, got.fields(), got.body)
		})
	}
	t.Run("what is escaped is no NUL", func(t *testing.T) {
		t.Parallel()

		require.Equal(t, 201, w.do(t, post(`{"name":"a\\u0000b"}`)).status)
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	for how, tt := range map[string]struct {
		status int
		code   string
		retry  string
	}{
		"error":     {500, "internal", ""},
		"panic":     {500, "internal", ""},
		"deadline":  {503, "request.deadline", "5"},
		"throttled": {429, "thing.throttled", "2"},
		"choice":    {409, "thing.choice", ""},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()

			got := w.do(t, ask{method: "GET", path: "/api/broken/" + how, token: "owner@acme"})
			got.refused(t, tt.status, tt.code)
			require.NotContains(t, got.body, "hunter2")
			require.NotContains(t, got.body, "10.0.0.7")
			require.Equal(t, tt.retry, got.header.Get("Retry-After"))
			if how == "choice" {
				require.Equal(t, []any{"a", "b"}, got.json["choices"])
			}
			if tt.status == 500 {
				require.Eventually(t, func() bool {
					return strings.Contains(w.log.String(), "hunter2") && strings.Contains(w.log.String(), got.json["request_id"].(string))
				}, testWait, testTick, "the log must know")
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	id := uuid.NewString()

	got := w.do(t, ask{method: "GET", path: "/api/things?stage=won", token: "viewer@acme"})
	require.JSONEq(t, `{"items":[{"id":"00000000-0000-0000-0000-000000000000","name":"won","of":"`+w.acme.ID.String()+`","runs":0,"owner":null}],"next":null}`, got.body)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.Equal(t, "private, no-cache", got.header.Get("Cache-Control"))

	got = w.do(t, ask{method: "GET", path: "/api/things/" + id, token: "viewer@norte"})
	require.Equal(t, w.norte.ID.String(), got.json["of"])
	tag := got.header.Get("ETag")
	require.NotEmpty(t, tag)
	got = w.do(t, ask{method: "GET", path: "/api/things/" + id, token: "viewer@norte", header: http.Header{"If-None-Match": {tag}}})
	require.Equal(t, 304, got.status)
	require.Empty(t, got.body)

	require.Equal(t, 200, w.do(t, ask{method: "PUT", path: "/api/things/" + id, token: "agent@acme", header: http.Header{"If-Match": {tag}}}).status)
	got = w.do(t, ask{method: "DELETE", path: "/api/things/" + id, token: "agent@acme"})
	require.Equal(t, 204, got.status)
	require.Empty(t, got.body)

	got = w.do(t, ask{method: "POST", path: "/api/hooks/whatsapp", body: "raw"})
	require.Equal(t, "whatsapp raw", got.body)
	got = w.do(t, ask{method: "POST", path: "/api/hooks/whatsapp", body: strings.Repeat("x", 2<<20)})
	require.Equal(t, 200, got.status, "the handler's own bound holds, not the router's")
	got = w.do(t, ask{method: "POST", path: "/api/hooks/whatsapp", body: strings.Repeat("x", 4<<20)})
	got.refused(t, 413, "request.too_large")
	require.Equal(t, "page /leads", w.do(t, ask{method: "GET", path: "/leads"}).body)
}

func TestAccessLogHoldsNoPaths(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	w.do(t, ask{method: "POST", path: "/api/hooks/s3cr3t-t0k3n?verify=s3cr3t", body: "x"})
	require.Eventually(t, func() bool { return strings.Contains(w.log.String(), `"route":"/api/hooks/:plugin"`) }, testWait, testTick)
	require.NotContains(t, w.log.String(), "s3cr3t")
}
