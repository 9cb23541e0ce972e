package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// bad is a request that must be refused, or, if it is only odd, answered in
// whatever way but with a failure of ours.
type bad struct {
	name string
	ask  ask
	odd  bool
	// pointer is what a 422 must name; empty for whatever.
	pointer string
}

// The requests come from the API's own document: whatever an operation says it
// takes is sent wrong in every way that there is.
func TestBadInput(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	list := map[string][]bad{}
	total := 0
	for _, op := range operations(t) {
		if strings.HasPrefix(op.path, "/api/webhooks/") || op.name() == "GET /api/events" {
			continue // they answer for themselves
		}
		list[op.name()] = w.spoil(t, op)
		total += len(list[op.name()])
	}
	require.Greater(t, total, 500, "most of the sweep is missing")

	before := w.contents(t)
	t.Run("bad", func(t *testing.T) { w.sweep(t, list, false) })
	require.Equal(t, before, w.contents(t), "something was stored")
	t.Run("odd", func(t *testing.T) { w.sweep(t, list, true) })
}

func (w *world) sweep(t *testing.T, list map[string][]bad, odd bool) {
	t.Helper()
	for name, cases := range list {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			for _, c := range cases {
				if c.odd == odd {
					w.refuses(t, c)
				}
			}
		})
	}
}

func (w *world) refuses(t *testing.T, c bad) {
	t.Helper()
	got := w.do(t, c.ask)
	say := fmt.Sprintf("%s: %s %s: %s", c.name, c.ask.method, c.ask.path, got.text)
	require.Less(t, got.status, 500, say)
	if got.status < 400 {
		require.True(t, c.odd, say)
		return
	}
	require.Equal(t, "application/problem+json", got.header.Get("Content-Type"), say)
	var p struct {
		Type, Title, Detail, Code string
		Status                    int
		RequestID                 string `json:"request_id"`
		Errors                    []struct{ In, Pointer, Detail string }
	}
	require.NoError(t, json.Unmarshal([]byte(got.text), &p), say)
	require.NotEmpty(t, p.Code, say)
	require.Equal(t, "/errors/"+p.Code, p.Type, say)
	require.Equal(t, got.status, p.Status, say)
	require.NotEmpty(t, p.Detail, say)
	require.Equal(t, got.header.Get("X-Request-Id"), p.RequestID, say)
	if got.status != 422 || c.odd {
		return
	}
	require.NotEmpty(t, p.Errors, say)
	found := c.pointer == ""
	for _, e := range p.Errors {
		require.Contains(t, []string{"body", "query", "path", "header"}, e.In, say)
		require.NotEmpty(t, e.Detail, say)
		require.True(t, e.Pointer == "" || e.Pointer[0] == '/', say)
		found = found || e.Pointer == c.pointer
	}
	require.True(t, found, "want pointer %s: %s", c.pointer, say)
}

// spoil lists bad requests for an operation.
func (w *world) spoil(t *testing.T, op operation) []bad {
	t.Helper()
	good := ask{method: op.method, path: w.fill(op), token: w.beta.owner}
	var list []bad
	list = append(list, w.spoilPath(op, good)...)
	list = append(list, spoilQuery(op, good)...)
	for _, p := range op.params {
		if p.In != "header" {
			continue
		}
		for name, value := range map[string]string{
			"long": strings.Repeat("a", 5000), "with spaces": "a b", "of other letters": "clé", "with a tab": "a\tb",
		} {
			c := good
			c.header = http.Header{p.Name: {value}}
			c.body = sample(op.body)
			list = append(list, bad{name: "header " + p.Name + " " + name, ask: c})
		}
	}
	if op.hasBody {
		list = append(list, spoilBody(op, good)...)
		list = append(list, spoilFields(op, good)...)
	}
	return list
}

// fill puts ids of the agency into an operation's path.
func (w *world) fill(op operation) string {
	if p := probes[op.name()]; len(p) > 0 {
		return p[0].path(w.beta.ids, w.beta.ids)
	}
	return strings.NewReplacer("{plugin}", "whatsapp").Replace(op.path)
}

func (w *world) spoilPath(op operation, good ask) []bad {
	var list []bad
	for _, p := range op.params {
		if p.In != "path" {
			continue
		}
		place := "{" + p.Name + "}"
		for name, value := range map[string]string{
			"short": "7", "words": "none", "NUL": "%00", "not UTF-8": "%ff", "long": strings.Repeat("a", 3000), "quote": "'%20or%201=1--",
			"no id": "00000000-0000-0000-0000-00000000000g", "without dashes": "0190f3a07b6c7d2e9f0a3c1d5e7f9a2b",
			"in braces": "%7B0190f3a0-7b6c-7d2e-9f0a-3c1d5e7f9a2b%7D", "as a URN": "urn:uuid:0190f3a0-7b6c-7d2e-9f0a-3c1d5e7f9a2b",
			"dots": "..", "slash": "a%2fb", "nil": "00000000-0000-0000-0000-000000000000",
		} {
			c := good
			c.path = strings.Replace(op.path, place, value, 1)
			c.path = strings.NewReplacer("{id}", w.beta.conversation.String(), "{message}", w.beta.failed.String()).Replace(c.path)
			if op.hasBody {
				c.body = sample(op.body)
			}
			list = append(list, bad{name: "path " + p.Name + " " + name, ask: c})
		}
	}
	return list
}

func spoilQuery(op operation, good ask) []bad {
	var list []bad
	add := func(name, param, value, pointer string, odd bool) {
		c := good
		c.path += "?" + url.QueryEscape(param) + "=" + value
		if op.hasBody {
			c.body = sample(op.body)
		}
		list = append(list, bad{name: "query " + name, ask: c, pointer: pointer, odd: odd})
	}
	add("unknown", "no_such", "1", "/no_such", false)
	add("unknown NUL", "no\x00such", "1", "", false)
	for _, p := range op.params {
		if p.In != "query" {
			continue
		}
		at := "/" + p.Name
		var wrong []string
		switch {
		case p.Schema.Type == "integer":
			wrong = []string{
				strconv.Itoa(*p.Schema.Minimum - 1), strconv.Itoa(*p.Schema.Maximum + 1), "-1", "abc", "1.5", "1e1", "0x10", "%2b+5", "99999999999999999999999", "%00", "%ff", "true",
			}
		case p.Schema.Format == "uuid":
			wrong = []string{"abc", "1", "0190f3a07b6c7d2e9f0a3c1d5e7f9a2", "%00", "%ff", strings.Repeat("0", 4000), "'%20or%20true"}
		case len(p.Schema.Enum) > 0:
			wrong = []string{"nope", strings.ToUpper(p.Schema.Enum[0]), "%00", "%ff"}
		case p.Name == "after":
			for _, cursor := range madeUpCursors() {
				add("after "+cursor, p.Name, base64.RawURLEncoding.EncodeToString([]byte(cursor)), "", true)
			}
			wrong = []string{
				"x", "!!!!", "%00", "%ff", "====", base64.RawURLEncoding.EncodeToString([]byte("{}")),
				base64.RawURLEncoding.EncodeToString([]byte(`{"x":1}`)), base64.RawURLEncoding.EncodeToString([]byte(`[1]`)),
				base64.RawURLEncoding.EncodeToString([]byte("null")), base64.RawURLEncoding.EncodeToString([]byte(`{"i":"x"}`)),
				base64.RawURLEncoding.EncodeToString([]byte(`{"t":"x","i":"x"}`)), base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("[", 300))),
				strings.Repeat("A", 513), strings.Repeat("A", 7000),
			}
		}
		for _, value := range wrong {
			add(p.Name+" "+value[:min(20, len(value))], p.Name, value, at, false)
		}
		add(p.Name+" twice", p.Name, "1&"+p.Name+"=2", "", true)
	}
	return list
}

// madeUpCursors have the right form and hold what no list gave out.
func madeUpCursors() []string {
	const some = "0190f3a0-7b6c-7d2e-9f0a-3c1d5e7f9a2b"
	return []string{
		`{"i":"` + some + `"}`, `{"i":"00000000-0000-0000-0000-000000000000"}`, `{"i":"ffffffff-ffff-ffff-ffff-ffffffffffff"}`,
		`{"n":""}`, `{"n":"\u0000"}`, `{"n":"zz"}`,
		`{"t":"0000-01-01T00:00:00Z","i":"` + some + `"}`, `{"t":"0001-01-01T00:00:00Z","i":"` + some + `"}`,
		`{"t":"9999-12-31T23:59:59.999999999Z","i":"` + some + `"}`, `{"t":"9999-12-31T23:59:59-23:59","i":"` + some + `"}`,
		`{"t":"0000-01-01T00:00:00+23:59","i":"` + some + `"}`, `{"t":"2026-02-29T00:00:00Z","i":"` + some + `"}`,
	}
}

func spoilBody(op operation, good ask) []bad {
	var list []bad
	add := func(name string, body any, header http.Header) {
		c := good
		c.body, c.header = body, header
		list = append(list, bad{name: "body " + name, ask: c})
	}
	for _, text := range []string{
		"", " ", "{", "}", "]", "nul", `"`, "{}{}", `{"a":1,}`, `{"a" 1}`, "{'a':1}", "\xff\xfe{}", "{\"a\":\"\xff\"}", "<x/>", "a=b", "\x00", "[]", "null", `"x"`, "7", "true", "[{}]", "{}",
	} {
		add(strconv.Quote(text), text, nil)
	}
	add("deep list", strings.Repeat("[", 100_000), nil)
	add("deep list, closed", strings.Repeat("[", 9_000)+strings.Repeat("]", 9_000), nil)
	add("deep object", strings.Repeat(`{"a":`, 50_000), nil)
	huge := `{"a":"` + strings.Repeat("x", 2<<20) + `"}`
	add("2 MiB", huge, nil)
	add("2 MiB, in pieces", struct{ io.Reader }{strings.NewReader(huge)}, nil)
	text, _ := json.Marshal(sample(op.body)) // of strings, numbers and objects
	for _, kind := range []string{"text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"} {
		add("as "+kind, string(text), http.Header{"Content-Type": {kind}})
	}
	c := good
	c.body, c.header = string(text), http.Header{"Content-Type": nil}
	list = append(list, bad{name: "body of no type", ask: c, odd: true})
	return list
}

func spoilFields(op operation, good ask) []bad {
	var list []bad
	add := func(name, at string, odd bool, change func(map[string]any)) {
		body := sample(op.body)
		change(body)
		c := good
		c.body = body
		list = append(list, bad{name: "field " + name, ask: c, pointer: at, odd: odd})
	}
	add("unknown", "/no_such", false, func(b map[string]any) { b["no_such"] = 1 })
	add("unknown, with a slash", "", false, func(b map[string]any) { b["a/b~c"] = 1 })
	add("of another's", "/tenant_id", false, func(b map[string]any) { b["tenant_id"] = "0190f3a0-7b6c-7d2e-9f0a-3c1d5e7f9a2b" })
	for name, s := range op.body.Properties {
		at := "/" + name
		if slices.Contains(op.body.Required, name) {
			add(name+" missing", at, false, func(b map[string]any) { delete(b, name) })
			add(name+" in capitals", "", false, func(b map[string]any) { b[strings.ToUpper(name)] = b[name]; delete(b, name) })
		}
		// Decoders may take either; what is checked must be what is taken.
		add(name+" twice, in capitals", "", false, func(b map[string]any) { b[strings.ToUpper(name)] = "nope" })
		add(name+" twice, with a capital", "", false, func(b map[string]any) { b[strings.ToUpper(name[:1])+name[1:]] = "nope" })
		for _, value := range wrongValues(s) {
			text, _ := json.Marshal(value)
			absent := value == nil && !slices.Contains(op.body.Required, name)
			add(name+" "+string(text[:min(len(text), 30)]), at, absent, func(b map[string]any) { b[name] = value })
		}
		for _, raw := range []string{`"\u0007\u001b[31m"`, `"\ud800"`, `"\u202e"`, `"` + strings.Repeat("á", 100) + `"`} {
			add(name+" odd "+raw[:min(len(raw), 10)], "", true, func(b map[string]any) { b[name] = json.RawMessage(raw) })
		}
		add(name+" NUL", "", s.Type == nil, func(b map[string]any) { b[name] = "a\x00b" })
		add(name+" 900 kB", "", s.Type == nil, func(b map[string]any) { b[name] = strings.Repeat("x", 900_000) })
	}
	return list
}

// wrongValues are values that do not fit a field.
func wrongValues(s schema) []any {
	var list []any
	if s.Type == nil { // anything
		return nil
	}
	if s.Type != "string" {
		list = append(list, "x", "")
	}
	if s.Type != "integer" {
		list = append(list, 7, -1.5)
	}
	list = append(list, true, nil, []any{}, []any{"x"})
	if s.Type != "object" {
		list = append(list, map[string]any{}, map[string]any{"a": 1})
	}
	switch {
	case s.Type == "integer":
		list = append(list, 1.5, json.RawMessage("1e999"), json.RawMessage("9223372036854775808"), json.RawMessage("-9223372036854775809"))
		if s.Minimum != nil {
			list = append(list, *s.Minimum-1)
		}
	case s.Format == "uuid":
		list = append(list, "", "x", "0190f3a0-7b6c-7d2e-9f0a-3c1d5e7f9a2", "0190f3a0-7b6c-7d2e-9f0a-3c1d5e7f9a2g")
	case len(s.Enum) > 0:
		list = append(list, "", "nope", strings.ToUpper(s.Enum[0]), s.Enum[0]+" ")
	}
	if s.MinLength != nil && *s.MinLength > 0 {
		list = append(list, strings.Repeat("x", *s.MinLength-1))
	}
	if s.MaxLength != nil {
		list = append(list, strings.Repeat("x", *s.MaxLength+1))
	}
	return list
}

// sample is a body that has the right form but changes nothing: its values are
// refused for what they say, if need be.
func sample(s schema) map[string]any {
	body := map[string]any{}
	for name, f := range s.Properties {
		switch {
		case len(f.Enum) > 0:
			body[name] = f.Enum[0]
		case f.Format == "uuid":
			body[name] = "0190f3a0-7b6c-7d2e-9f0a-3c1d5e7f9a2b"
		case f.Type == "integer":
			body[name] = 1
		case f.Type == nil, f.Type == "object":
			body[name] = map[string]any{}
		default:
			body[name] = "nosuch"
		}
	}
	return body
}

// contents are numbers that change when anything stored does.
func (w *world) contents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, u := range []string{w.db.AdminURL, w.dedicated.AdminURL} {
		maps.Copy(all, contents(t, u))
	}
	return all
}

func contents(t *testing.T, adminURL string) map[string]string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), adminURL)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `
		select c.oid::regclass::text from pg_class c
		where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace::regnamespace::text in ('crm', 'control', 'river')
			and c.relname not in ('sessions', 'river_leader', 'river_client', 'river_client_queue', 'river_queue')`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(tables), 15)
	all := map[string]string{}
	for _, name := range tables {
		var n, sum int64
		err := conn.QueryRow(t.Context(), "select count(*), coalesce(sum(hashtext(r::text)::bigint), 0)::bigint from "+name+" r").Scan(&n, &sum)
		require.NoError(t, err)
		all[conn.Config().Database+" "+name] = fmt.Sprintf("%d rows, %d", n, sum)
	}
	return all
}
