package httpapi_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestWhoMayCall(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	bearer := func(v string) http.Header { return http.Header{"Authorization": {v}} }
	for name, tt := range map[string]struct {
		ask    ask
		status int
		code   string // empty for success
	}{
		"nobody":                           {ask{method: "GET", path: "/api/things"}, 401, "session.required"},
		"nobody, with a bad body":          {ask{method: "POST", path: "/api/things", body: "{"}, 401, "session.required"},
		"a header that is no bearer":       {ask{method: "GET", path: "/api/things", header: bearer("Basic eDp5"), cookie: "owner@acme"}, 401, "session.required"},
		"an empty bearer":                  {ask{method: "GET", path: "/api/things", header: bearer("Bearer "), cookie: "owner@acme"}, 401, "session.required"},
		"a forged token":                   {ask{method: "GET", path: "/api/things", token: "forged"}, 401, "session.required"},
		"a bad token wins over a cookie":   {ask{method: "GET", path: "/api/things", token: "forged", cookie: "owner@acme"}, 401, "session.required"},
		"a member":                         {ask{method: "GET", path: "/api/things", token: "viewer@acme"}, 200, ""},
		"a cookie":                         {ask{method: "GET", path: "/api/things", cookie: "viewer@acme"}, 200, ""},
		"a role that may not":              {ask{method: "POST", path: "/api/things", token: "viewer@acme", body: `{"name":"x"}`}, 403, "permission.denied"},
		"a role that may not, bad body":    {ask{method: "POST", path: "/api/things", token: "viewer@acme", body: `{`}, 403, "permission.denied"},
		"an unknown role":                  {ask{method: "GET", path: "/api/things", token: "king@acme"}, 403, "permission.denied"},
		"an operator in a tenant":          {ask{method: "GET", path: "/api/things", token: "operator@platform"}, 403, "tenant.required"},
		"an operator on the platform":      {ask{method: "GET", path: "/api/platform", token: "operator@platform"}, 200, ""},
		"an owner on the platform":         {ask{method: "GET", path: "/api/platform", token: "owner@acme"}, 403, "permission.denied"},
		"whoever is signed in":             {ask{method: "GET", path: "/api/me", token: "viewer@acme"}, 200, ""},
		"nobody, where anybody may":        {ask{method: "GET", path: "/api/me"}, 401, "session.required"},
		"nobody, on a stream":              {ask{method: "GET", path: "/api/raw/x"}, 401, "session.required"},
		"a stream":                         {ask{method: "GET", path: "/api/raw/x", token: "viewer@acme"}, 200, ""},
		"a stream that fails":              {ask{method: "GET", path: "/api/raw/fail", token: "viewer@acme"}, 404, "thing.not_found"},
		"an unknown address":               {ask{method: "GET", path: "/api/none", token: "owner@acme"}, 404, "request.not_found"},
		"an unknown method":                {ask{method: "PATCH", path: "/api/things", token: "owner@acme"}, 405, "request.method"},
		"an id that is none":               {ask{method: "GET", path: "/api/things/7", token: "owner@acme"}, 404, "request.not_found"},
		"a page outside the API":           {ask{method: "GET", path: "/leads/7"}, 200, ""},
		"the document":                     {ask{method: "GET", path: "/api/openapi.json"}, 200, ""},
		"another website, with the cookie": {ask{method: "POST", path: "/api/things", cookie: "owner@acme", body: `{"name":"x"}`, header: http.Header{"Origin": {"https://evil.example"}}}, 403, "request.cross_origin"},
		"another website, says the browser": {ask{method: "POST", path: "/api/things", cookie: "owner@acme", body: `{"name":"x"}`,
			header: http.Header{"Sec-Fetch-Site": {"cross-site"}}}, 403, "request.cross_origin"},
		"a sister domain": {ask{method: "DELETE", path: "/api/things/" + uuid.NewString(), cookie: "owner@acme",
			header: http.Header{"Sec-Fetch-Site": {"same-site"}}}, 403, "request.cross_origin"},
		"our own page": {ask{method: "POST", path: "/api/things", cookie: "owner@acme", body: `{"name":"x"}`,
			header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}, 201, ""},
		"the public address, behind a proxy": {ask{method: "POST", path: "/api/things", cookie: "owner@acme", body: `{"name":"x"}`,
			header: http.Header{"Origin": {"https://app.example"}}}, 201, ""},
		"another website with a token of its own": {ask{method: "POST", path: "/api/things", token: "owner@acme", body: `{"name":"x"}`,
			header: http.Header{"Origin": {"https://evil.example"}}}, 201, ""},
		"another website signs somebody in": {ask{method: "POST", path: "/api/open", header: http.Header{"Sec-Fetch-Site": {"cross-site"}}}, 403, "request.cross_origin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got := w.do(t, tt.ask)
			if tt.code == "" {
				require.Equal(t, tt.status, got.status, got.body)
				return
			}
			got.refused(t, tt.status, tt.code)
			if tt.status == 401 {
				require.Contains(t, got.header.Get("WWW-Authenticate"), "Bearer")
			}
		})
	}
}

func TestTenantOfTheAddress(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	_, err := w.pool.Control().ExecContext(t.Context(),
		"INSERT INTO control.tenant_domains (domain, tenant_id) VALUES (?, ?)", w.acme.Slug+".example.org", w.acme.ID)
	require.NoError(t, err)
	acme, norte := w.acme.Slug, w.norte.Slug

	for name, tt := range map[string]struct {
		host, prefix, token string
		status              int
		code                string
	}{
		"none":                        {"", "", "owner@acme", 200, ""},
		"subdomain":                   {acme + ".strato.test:8080", "", "owner@acme", 200, ""},
		"subdomain, shouted":          {acme + ".STRATO.test", "", "owner@acme", 200, ""},
		"path":                        {"", "/t/" + acme, "owner@acme", 200, ""},
		"both":                        {acme + ".strato.test", "/t/" + acme, "owner@acme", 200, ""},
		"own domain":                  {acme + ".example.org", "", "owner@acme", 200, ""},
		"the base domain":             {"strato.test", "", "owner@acme", 200, ""},
		"www":                         {"www.strato.test", "", "owner@acme", 200, ""},
		"a name of the server":        {"strato.internal", "", "owner@acme", 200, ""},
		"an address":                  {"[::1]:8080", "", "owner@acme", 200, ""},
		"another's subdomain":         {norte + ".strato.test", "", "owner@acme", 403, "tenant.mismatch"},
		"another's path":              {"", "/t/" + norte, "owner@acme", 403, "tenant.mismatch"},
		"another's domain":            {acme + ".example.org", "", "owner@norte", 403, "tenant.mismatch"},
		"host and path disagree":      {acme + ".strato.test", "/t/" + norte, "owner@acme", 403, "tenant.mismatch"},
		"an operator at a tenant's":   {"", "/t/" + acme, "operator@platform", 403, "tenant.mismatch"},
		"unknown subdomain":           {"nobody.strato.test", "", "owner@acme", 404, "tenant.not_found"},
		"unknown path":                {"", "/t/nobody", "owner@acme", 404, "tenant.not_found"},
		"a path that is no shortname": {"", "/t/No_Body", "owner@acme", 200, ""}, // not the API's
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got := w.do(t, ask{method: "GET", path: tt.prefix + "/api/things", host: tt.host, token: tt.token})
			if tt.code == "" {
				require.Equal(t, tt.status, got.status, got.body)
				return
			}
			got.refused(t, tt.status, tt.code)
		})
	}
}

func TestRoutesAreAllInTheTable(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	var table []string
	for _, route := range w.router.Routes() {
		table = append(table, route.Method+" "+route.Path)
	}
	served := w.router.Served()
	slices.Sort(table)
	slices.Sort(served)
	require.Equal(t, table, served)
}

func TestClient(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	for name, tt := range map[string]struct {
		header http.Header
		want   string
		secure bool
	}{
		"direct":         {nil, "127.0.0.1", false},
		"one proxy":      {http.Header{"X-Forwarded-For": {"203.0.113.7"}, "X-Forwarded-Proto": {"https"}}, "203.0.113.7", true},
		"two proxies":    {http.Header{"X-Forwarded-For": {"203.0.113.7, 10.1.2.3"}}, "203.0.113.7", false},
		"a made-up head": {http.Header{"X-Forwarded-For": {"1.1.1.1, 203.0.113.7"}}, "203.0.113.7", false},
		"garbage":        {http.Header{"X-Forwarded-For": {"1.1.1.1, who"}}, "127.0.0.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got := w.do(t, ask{method: "POST", path: "/t/" + w.acme.Slug + "/api/open", header: tt.header, cookie: "x"})
			require.Equal(t, 201, got.status, got.body)
			require.Equal(t, tt.want, got.json["address"])
			require.Equal(t, tt.secure, got.json["secure"])
			require.Equal(t, w.acme.ID.String(), got.json["tenant"])
			require.Equal(t, "x", got.json["token"])
			require.Equal(t, tt.secure, got.header.Get("Strict-Transport-Security") != "")
		})
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	for _, path := range []string{"/api/things", "/api/none", "/api/openapi.json"} {
		got := w.do(t, ask{method: "GET", path: path, token: "owner@acme"})
		require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
		require.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'")
		require.NotEmpty(t, got.header.Get("X-Request-Id"))
	}
	got := w.do(t, ask{method: "GET", path: "/api/me", token: "owner@acme", header: http.Header{"X-Request-Id": {"my-request-1"}}})
	require.Equal(t, "my-request-1", got.header.Get("X-Request-Id"))
	got = w.do(t, ask{method: "GET", path: "/api/me", token: "owner@acme", header: http.Header{"X-Request-Id": {"x y"}}})
	require.NotEqual(t, "x y", got.header.Get("X-Request-Id"))
}
