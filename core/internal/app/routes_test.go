package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/httpapi"
	"github.com/stratohub/strato/core/internal/rbac"
)

// probe asks a route with ids: own are those of who asks, other those that are
// tried.
type probe struct {
	path func(own, other ids) string
	body func(own, other ids) any // nil sends none
	// status and code are the answer to ids of nothing and of another agency's.
	status int
	code   string
}

// probes is the table of every route that takes an id, by method and path, and
// of those that do not, with the reason. A route that is in neither fails.
var probes = map[string][]probe{
	"GET /api/leads/{id}": {{
		path:   func(_, other ids) string { return "/api/leads/" + other.lead.String() },
		status: 404, code: "lead.not_found",
	}},
	"GET /api/leads/{id}/events": {{
		path:   func(_, other ids) string { return "/api/leads/" + other.lead.String() + "/events" },
		status: 404, code: "lead.not_found",
	}},
	"GET /api/contacts/{id}": {{
		path:   func(_, other ids) string { return "/api/contacts/" + other.contact.String() },
		status: 404, code: "contact.not_found",
	}},
	"GET /api/conversations/{id}": {{
		path:   func(_, other ids) string { return "/api/conversations/" + other.conversation.String() },
		status: 404, code: "conversation.not_found",
	}},
	"PUT /api/conversations/{id}/holder": {{
		path:   func(_, other ids) string { return "/api/conversations/" + other.conversation.String() + "/holder" },
		body:   func(_, _ ids) any { return map[string]string{"holder": "human"} },
		status: 404, code: "conversation.not_found",
	}},
	"PUT /api/conversations/{id}/read": {{
		path:   func(_, other ids) string { return "/api/conversations/" + other.conversation.String() + "/read" },
		status: 404, code: "conversation.not_found",
	}},
	"PUT /api/conversations/{id}/typing": {{
		path:   func(_, other ids) string { return "/api/conversations/" + other.conversation.String() + "/typing" },
		status: 404, code: "conversation.not_found",
	}},
	"GET /api/conversations/{id}/messages": {{
		path:   func(_, other ids) string { return "/api/conversations/" + other.conversation.String() + "/messages" },
		status: 404, code: "conversation.not_found",
	}},
	"POST /api/conversations/{id}/messages": {
		{
			path:   func(_, other ids) string { return "/api/conversations/" + other.conversation.String() + "/messages" },
			body:   func(_, _ ids) any { return map[string]string{"text": "hola"} },
			status: 404, code: "conversation.not_found",
		},
		{
			path:   func(own, _ ids) string { return "/api/conversations/" + own.conversation.String() + "/messages" },
			body:   func(_, other ids) any { return map[string]string{"text": "hola", "reply_to": other.received.String()} },
			status: 422, code: "message.reply_to",
		},
		{
			path: func(own, _ ids) string { return "/api/conversations/" + own.conversation.String() + "/messages" },
			body: func(_, other ids) any {
				return map[string]any{"content": map[string]any{"reaction": map[string]string{"message": other.received.String(), "emoji": "👍"}}}
			},
			status: 422, code: "message.reply_to",
		},
	},
	"POST /api/conversations/{id}/messages/{message}/resend": {
		{
			path: func(_, other ids) string {
				return "/api/conversations/" + other.conversation.String() + "/messages/" + other.failed.String() + "/resend"
			},
			status: 404, code: "conversation.not_found",
		},
		{
			path: func(own, other ids) string {
				return "/api/conversations/" + own.conversation.String() + "/messages/" + other.failed.String() + "/resend"
			},
			status: 404, code: "message.not_found",
		},
	},
	"GET /api/installations/{id}": {{
		path:   func(_, other ids) string { return "/api/installations/" + other.installation.String() },
		status: 404, code: "installation.not_found",
	}},
	"PUT /api/installations/{id}/settings": {{
		path:   func(_, other ids) string { return "/api/installations/" + other.installation.String() + "/settings" },
		body:   func(_, _ ids) any { return map[string]any{"version": 1, "settings": map[string]any{}} },
		status: 404, code: "installation.not_found",
	}},
	"PUT /api/installations/{id}/state": {{
		path:   func(_, other ids) string { return "/api/installations/" + other.installation.String() + "/state" },
		body:   func(_, _ ids) any { return map[string]string{"state": "disabled"} },
		status: 404, code: "installation.not_found",
	}},
	"POST /api/installations/{id}/test": {{
		path:   func(_, other ids) string { return "/api/installations/" + other.installation.String() + "/test" },
		status: 404, code: "installation.not_found",
	}},
}

// without are the routes that take no id of a tenant's, and why.
var without = map[string]string{
	"GET /api/openapi.json":               "the same for everybody",
	"POST /api/session":                   "signs in",
	"POST /api/session/refresh":           "takes a refresh token, which is its own proof",
	"GET /api/session":                    "shows who asks",
	"DELETE /api/session":                 "ends the session that asks",
	"GET /api/leads":                      "a list",
	"GET /api/contacts":                   "a list",
	"GET /api/conversations":              "a list",
	"GET /api/installations":              "a list",
	"POST /api/installations":             "names a plugin",
	"GET /api/plugins":                    "the same for everybody",
	"GET /api/plugins/{plugin}":           "names a plugin, the same for everybody",
	"GET /api/events":                     "a stream; see TestStreams",
	"GET /api/webhooks/{plugin}":          "open; the plugin verifies who calls",
	"POST /api/webhooks/{plugin}":         "open; the plugin verifies who calls",
	"GET /api/webhooks/{plugin}/{token}":  "open; the token is its own proof",
	"POST /api/webhooks/{plugin}/{token}": "open; the token is its own proof",
}

// open are the routes that need no session.
var open = []string{
	"GET /api/openapi.json", "POST /api/session", "POST /api/session/refresh", "DELETE /api/session",
	"GET /api/webhooks/{plugin}", "POST /api/webhooks/{plugin}",
	"GET /api/webhooks/{plugin}/{token}", "POST /api/webhooks/{plugin}/{token}",
}

func nameOf(r httpapi.Route) string { return r.Method + " " + r.Path }

// unknownPath is a route's address with ids of nothing.
func unknownPath(r httpapi.Route) string {
	if list := probes[nameOf(r)]; len(list) > 0 {
		return list[0].path(ids{}, unknown())
	}
	return strings.NewReplacer("{plugin}", "nosuch", "{token}", "AAAAAAAAAAAAAAAAAAAAAA").Replace(r.Path)
}

func TestRoutes(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	routes := w.Router().Routes()

	t.Run("the table is what is served", func(t *testing.T) {
		t.Parallel()

		var table []string
		for _, r := range routes {
			table = append(table, nameOf(r))
		}
		served := w.Router().Served()
		slices.Sort(table)
		slices.Sort(served)
		require.Equal(t, table, served)
	})

	t.Run("every route is in the table of ids", func(t *testing.T) {
		t.Parallel()

		wrong := missing(t, routes)
		require.Empty(t, wrong)
		invented := append(slices.Clone(routes), httpapi.Route{Method: "GET", Path: "/api/visits/{id}"})
		require.Equal(t, []string{"GET /api/visits/{id} is in neither table"}, missing(t, invented))
	})

	t.Run("without a session", func(t *testing.T) {
		t.Parallel()

		for _, r := range routes {
			got := w.do(t, ask{method: r.Method, path: unknownPath(r), body: "{}"})
			require.Equal(t, slices.Contains(open, nameOf(r)), r.Kind == httpapi.KindOpen, nameOf(r))
			if r.Kind == httpapi.KindOpen {
				require.NotEqual(t, "session.required", got.code(), nameOf(r))
				continue
			}
			got.refused(t, 401, "session.required")
			require.Contains(t, got.header.Get("WWW-Authenticate"), "Bearer")
		}
	})

	t.Run("ids of another agency", func(t *testing.T) {
		t.Parallel()

		for _, pair := range []struct {
			name         string
			asks, victim *agency
		}{
			{"beta asks for acme's, same database", w.beta, w.acme},
			{"norte asks for acme's, another database", w.norte, w.acme},
			{"acme asks for norte's, another database", w.acme, w.norte},
		} {
			t.Run(pair.name, func(t *testing.T) {
				t.Parallel()

				for name, list := range probes {
					method, _, _ := strings.Cut(name, " ")
					for n, p := range list {
						foreign := w.do(t, p.ask(method, pair.asks, pair.victim.ids))
						foreign.refused(t, p.status, p.code)
						require.NotContains(t, foreign.text, pair.victim.mark, name)
						require.NotEqual(t, 403, foreign.status)

						// Whether an id is somebody else's or nobody's, nobody can tell.
						nothing := w.do(t, p.ask(method, pair.asks, unknown()))
						require.Equal(t, nothing.anonymous(t), foreign.anonymous(t), "%s %d", name, n)
					}
				}
			})
		}
	})

	t.Run("lists and filters", func(t *testing.T) {
		t.Parallel()

		for _, r := range routes {
			if r.Method != "GET" || strings.Contains(r.Path, "{") || r.Raw {
				continue
			}
			for _, query := range []string{"", "?lead=%s", "?contact=%s", "?assignee=%s"} {
				for _, id := range w.acme.all() {
					path := r.Path
					if query != "" {
						path += fmt.Sprintf(query, id)
					}
					own := w.do(t, ask{method: "GET", path: path, token: w.acme.owner})
					require.Contains(t, []int{200, 422}, own.status, path) // 422: the route has no such filter
					for _, other := range []*agency{w.beta, w.norte} {
						got := w.do(t, ask{method: "GET", path: path, token: other.owner})
						require.Equal(t, own.status, got.status, path)
						require.NotContains(t, got.text, w.acme.mark, path)
						if query == "" {
							require.NotContains(t, got.text, id, path)
						} else if got.status == 200 {
							require.Empty(t, got.json(t)["items"], path)
						}
					}
					if query == "" {
						break
					}
				}
			}
		}
		// The lists hold something, or all of this would prove little.
		for path, id := range map[string]string{
			"/api/leads": w.acme.lead.String(), "/api/contacts": w.acme.contact.String(), "/api/conversations": w.acme.conversation.String(),
			"/api/installations":                                               w.acme.installation.String(),
			"/api/conversations?lead=" + w.acme.lead.String():                  w.acme.conversation.String(),
			"/api/leads?contact=" + w.acme.contact.String():                    w.acme.lead.String(),
			"/api/leads/" + w.acme.lead.String() + "/events":                   w.acme.event.String(),
			"/api/conversations/" + w.acme.conversation.String() + "/messages": w.acme.failed.String(),
		} {
			got := w.do(t, ask{method: "GET", path: path, token: w.acme.owner})
			require.Equal(t, 200, got.status, got.text)
			require.Contains(t, got.text, id, path)
		}
	})

	t.Run("roles", func(t *testing.T) {
		t.Parallel()

		policy, err := rbac.New()
		require.NoError(t, err)
		for _, role := range rbac.Roles() {
			token := w.user(t, string(role)+"@roles.example", w.acme, role)
			for _, r := range routes {
				if r.Kind == httpapi.KindOpen {
					continue
				}
				want := r.Permission == (rbac.Permission{}) || policy.Can(rbac.Actor{Tenant: w.acme.ID, Role: role}, r.Permission)
				got := w.try(t, r, token)
				if want {
					require.NotContains(t, []int{401, 403}, got.status, "%s by %s: %s", nameOf(r), role, got.text)
				} else {
					got.refused(t, 403, "permission.denied")
					require.Equal(t, r.Permission.String(), got.string(t, "permission"))
				}
			}
		}
	})

	t.Run("an operator has no agency's data", func(t *testing.T) {
		t.Parallel()

		for _, r := range routes {
			if r.Kind == httpapi.KindOpen {
				continue
			}
			got := w.try(t, r, w.operator)
			if r.Permission == (rbac.Permission{}) {
				require.NotContains(t, []int{401, 403}, got.status, "%s: %s", nameOf(r), got.text)
				continue
			}
			got.refused(t, 403, "tenant.required")
			r.Path = "/t/acme" + unknownPath(r)
			w.do(t, ask{method: r.Method, path: r.Path, token: w.operator, body: "{}"}).refused(t, 403, "tenant.mismatch")
		}
	})

	// Every probe works with ids of one's own, or a 404 would prove nothing.
	t.Run("ids of one's own", func(t *testing.T) {
		t.Parallel()

		mine := w.agency(t, "propia", "shared")
		for name, list := range probes {
			method, _, _ := strings.Cut(name, " ")
			for _, p := range list {
				got := w.do(t, p.ask(method, mine, mine.ids))
				require.NotContains(t, []int{401, 403, 404, 500}, got.status, "%s: %s", name, got.text)
				require.NotEqual(t, p.code, got.code(), "%s: %s", name, got.text)
			}
		}
	})
}

// missing lists the routes that the tables of ids do not know, or know wrongly.
func missing(t *testing.T, routes []httpapi.Route) []string {
	t.Helper()
	inBody := idsInBodies(t)
	var wrong []string
	for _, r := range routes {
		name := nameOf(r)
		list, reason := probes[name], without[name]
		switch {
		case len(list) == 0 && reason == "":
			wrong = append(wrong, name+" is in neither table")
		case len(list) > 0 && reason != "":
			wrong = append(wrong, name+" is in both tables")
		case inBody[name] > 0 && len(list) <= strings.Count(r.Path, "{"):
			wrong = append(wrong, name+" has an id in its body that no probe tries")
		}
	}
	return wrong
}

// idsInBodies counts the ids that bodies of requests have, by method and path.
func idsInBodies(t *testing.T) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, op := range operations(t) {
		for _, field := range op.body.Properties {
			if field.Format == "uuid" {
				count[op.name()]++
			}
		}
	}
	return count
}

func (p probe) ask(method string, who *agency, other ids) ask {
	a := ask{method: method, path: p.path(who.ids, other), token: who.owner}
	if p.body != nil {
		a.body = p.body(who.ids, other)
	}
	return a
}

// try calls a route, with ids of nothing, and hangs up on a stream that begins.
func (w *world) try(t *testing.T, r httpapi.Route, token string) answer {
	t.Helper()
	a := ask{method: r.Method, path: unknownPath(r), token: token}
	if r.Method != http.MethodGet {
		a.body = "{}"
	}
	req := w.request(t, a)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	resp, err := w.client.Do(req.WithContext(ctx))
	require.NoError(t, err)
	defer resp.Body.Close()
	got := answer{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode >= 400 {
		var text json.RawMessage
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&text))
		got.text = string(text)
	}
	return got
}

// code is the problem's code, empty for none.
func (a answer) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(a.text), &p) // anything but a problem has no code
	return p.Code
}

// anonymous is a problem without what names the request.
func (a answer) anonymous(t *testing.T) map[string]any {
	t.Helper()
	v := a.json(t)
	delete(v, "request_id")
	return v
}

// operation is one of the API's document.
type operation struct {
	method, path string
	params       []parameter
	body         schema // zero for none
	hasBody      bool
}

func (o operation) name() string { return o.method + " " + o.path }

type parameter struct {
	Name, In string
	Schema   schema
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any    // a word, or several
	Format     string
	Enum       []string
	Required   []string
	Properties map[string]schema
	MinLength  *int
	MaxLength  *int
	Minimum    *int
	Maximum    *int
}

// operations reads the API's document.
func operations(t *testing.T) []operation {
	t.Helper()
	text, err := app.Document("test")
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters  []parameter
			RequestBody *struct {
				Content map[string]struct{ Schema schema }
			}
		}
		Components struct{ Schemas map[string]schema }
	}
	require.NoError(t, json.Unmarshal(text, &doc))
	var list []operation
	for path, methods := range doc.Paths {
		for method, o := range methods {
			op := operation{method: strings.ToUpper(method), path: path, params: o.Parameters}
			if o.RequestBody != nil {
				op.hasBody = true
				op.body = o.RequestBody.Content["application/json"].Schema
				if name, ok := strings.CutPrefix(op.body.Ref, "#/components/schemas/"); ok {
					op.body = doc.Components.Schemas[name]
				}
				require.NotEmpty(t, op.body.Properties, op.name())
			}
			list = append(list, op)
		}
	}
	slices.SortFunc(list, func(a, b operation) int { return strings.Compare(a.name(), b.name()) })
	require.Greater(t, len(list), 20)
	return list
}
