package app_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/secret"
)

func TestAccess(t *testing.T) {
	t.Parallel()

	w := newWorld(t)

	t.Run("who the tenant is", func(t *testing.T) {
		t.Parallel()

		for name, tt := range map[string]struct {
			host, prefix, token string
			status              int
			code                string
		}{
			"the token alone":                 {"", "", w.acme.owner, 200, ""},
			"subdomain":                       {"acme.localhost", "", w.acme.owner, 200, ""},
			"subdomain with a port":           {"acme.localhost:8080", "", w.acme.owner, 200, ""},
			"path":                            {"", "/t/acme", w.acme.owner, 200, ""},
			"subdomain and path":              {"acme.localhost", "/t/acme", w.acme.owner, 200, ""},
			"dedicated, path":                 {"", "/t/norte", w.norte.owner, 200, ""},
			"another's subdomain":             {"beta.localhost", "", w.acme.owner, 403, "tenant.mismatch"},
			"another's path":                  {"", "/t/norte", w.acme.owner, 403, "tenant.mismatch"},
			"subdomain against path":          {"acme.localhost", "/t/beta", w.acme.owner, 403, "tenant.mismatch"},
			"path against subdomain":          {"beta.localhost", "/t/acme", w.acme.owner, 403, "tenant.mismatch"},
			"unknown subdomain":               {"nadie.localhost", "", w.acme.owner, 404, "tenant.not_found"},
			"unknown path":                    {"", "/t/nadie", w.acme.owner, 404, "tenant.not_found"},
			"unknown, without a session":      {"", "/t/nadie", "", 404, "tenant.not_found"},
			"operator at an agency's address": {"", "/t/acme", w.operator, 403, "tenant.mismatch"},
			"operator":                        {"", "", w.operator, 403, "tenant.required"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()

				got := w.do(t, ask{method: "GET", path: tt.prefix + "/api/leads", host: tt.host, token: tt.token})
				if tt.code != "" {
					got.refused(t, tt.status, tt.code)
					return
				}
				require.Equal(t, tt.status, got.status, got.text)
			})
		}
	})

	t.Run("headers name no tenant", func(t *testing.T) {
		t.Parallel()

		for _, name := range []string{"X-Tenant", "X-Tenant-Id", "X-Forwarded-Host", "X-Original-Url", "Forwarded"} {
			got := w.do(t, ask{method: "GET", path: "/api/leads", token: w.acme.owner, header: http.Header{name: {"beta.localhost"}}})
			require.Equal(t, 200, got.status)
			require.Contains(t, got.text, w.acme.lead.String())
		}
	})

	t.Run("signing in at an agency's address", func(t *testing.T) {
		t.Parallel()

		login := map[string]string{"email": "owner@acme.example", "password": password}
		got := w.do(t, ask{method: "POST", path: "/t/acme/api/session", body: login})
		require.Equal(t, 200, got.status, got.text)
		w.do(t, ask{method: "POST", path: "/t/beta/api/session", body: login}).refused(t, 403, "session.not_member")
		login["tenant"] = "beta"
		w.do(t, ask{method: "POST", path: "/api/session", body: login}).refused(t, 403, "session.not_member")
		w.do(t, ask{method: "POST", path: "/t/acme/api/session", body: login}).refused(t, 403, "session.not_member")
	})

	t.Run("an agency that is switched off", func(t *testing.T) {
		t.Parallel()

		gone := w.agency(t, "cerrada", "shared")
		paths := []string{"/api/leads", "/t/cerrada/api/leads", "/api/plugins"}
		for _, path := range paths {
			require.Equal(t, 200, w.do(t, ask{method: "GET", path: path, token: gone.owner}).status)
		}
		_, err := w.Pool.Control().ExecContext(t.Context(), "update control.tenants set active = false where id = ?", gone.ID)
		require.NoError(t, err)
		w.Pool.Forget(gone.ID)

		for _, path := range paths {
			w.do(t, ask{method: "GET", path: path, token: gone.owner}).refused(t, 403, "tenant.inactive")
		}
		w.do(t, ask{method: "GET", path: "/api/leads", host: "cerrada.localhost"}).refused(t, 403, "tenant.inactive")
		login := map[string]string{"email": "owner@cerrada.example", "password": password}
		w.do(t, ask{method: "POST", path: "/api/session", body: login}).refused(t, 403, "session.no_agency")
		w.do(t, ask{method: "POST", path: "/t/cerrada/api/session", body: login}).refused(t, 403, "tenant.inactive")
	})

	t.Run("cookies and other websites", func(t *testing.T) {
		t.Parallel()

		path := "/api/conversations/" + w.beta.conversation.String() + "/read"
		evil := http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}
		put := func(a ask) answer { a.method, a.path = "PUT", path; return w.do(t, a) }

		require.Equal(t, 200, put(ask{cookie: w.beta.owner}).status)
		require.Equal(t, 200, put(ask{cookie: w.beta.owner, header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}).status)
		put(ask{cookie: w.beta.owner, header: evil}).refused(t, 403, "request.cross_origin")
		put(ask{cookie: w.beta.owner, header: http.Header{"Origin": {"null"}}}).refused(t, 403, "request.cross_origin")
		require.Equal(t, 200, put(ask{token: w.beta.owner, header: evil}).status)
		// A page elsewhere cannot read what a GET answers: no CORS header allows it.
		got := w.do(t, ask{method: "GET", path: "/api/leads", cookie: w.beta.owner, header: http.Header{"Origin": {"https://evil.example"}}})
		require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
	})
}

// A token is worth nothing unless this installation signed it, for the time it
// says, in the one way we sign.
func TestTokens(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	ring, err := secret.ParseRing(masterKeys)
	require.NoError(t, err)
	key := ring.DeriveKeys("access-token")[0]

	parts := strings.Split(w.acme.owner, ".")
	require.Len(t, parts, 3)
	genuine := decoded(t, parts[1])
	changed := func(name string, value any) jwt.MapClaims {
		c := jwt.MapClaims{}
		maps.Copy(c, genuine)
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	sign := func(method jwt.SigningMethod, kid any, k any, c jwt.MapClaims) string {
		token := jwt.NewWithClaims(method, c)
		if kid != nil {
			token.Header["kid"] = kid
		}
		text, err := token.SignedString(k)
		require.NoError(t, err)
		return text
	}
	payload := func(c jwt.MapClaims) string {
		text, err := json.Marshal(c)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	hour := time.Hour.Seconds()
	now := float64(time.Now().Unix())

	// The test signs as the server does, or the rest would prove nothing.
	got := w.do(t, ask{method: "GET", path: "/api/leads", token: sign(jwt.SigningMethodHS256, key.ID, key.Bytes(), changed("exp", now+hour))})
	require.Equal(t, 200, got.status, got.text)

	for name, token := range map[string]string{
		"expired":                      sign(jwt.SigningMethodHS256, key.ID, key.Bytes(), changed("exp", now-60)),
		"without an end":               sign(jwt.SigningMethodHS256, key.ID, key.Bytes(), changed("exp", nil)),
		"from the future":              sign(jwt.SigningMethodHS256, key.ID, key.Bytes(), changed("iat", now+hour)),
		"of another issuer":            sign(jwt.SigningMethodHS256, key.ID, key.Bytes(), changed("iss", "somebody")),
		"of nobody":                    sign(jwt.SigningMethodHS256, key.ID, key.Bytes(), changed("sub", "")),
		"of no session":                sign(jwt.SigningMethodHS256, key.ID, key.Bytes(), changed("sid", "x")),
		"with a tenant that is no id":  sign(jwt.SigningMethodHS256, key.ID, key.Bytes(), changed("tid", "acme")),
		"not signed":                   sign(jwt.SigningMethodNone, key.ID, jwt.UnsafeAllowNoneSignatureType, changed("exp", now+hour)),
		"of another algorithm":         sign(jwt.SigningMethodHS512, key.ID, key.Bytes(), changed("exp", now+hour)),
		"by another key":               sign(jwt.SigningMethodHS256, key.ID, []byte("01234567890123456789012345678901"), changed("exp", now+hour)),
		"by an empty key":              sign(jwt.SigningMethodHS256, key.ID, []byte{}, changed("exp", now+hour)),
		"by the key of refresh tokens": sign(jwt.SigningMethodHS256, key.ID, ring.DeriveKeys("refresh-token")[0].Bytes(), changed("exp", now+hour)),
		"by a key of another name":     sign(jwt.SigningMethodHS256, "k2", key.Bytes(), changed("exp", now+hour)),
		"by a key without a name":      sign(jwt.SigningMethodHS256, nil, key.Bytes(), changed("exp", now+hour)),
		"by a key named by a file":     sign(jwt.SigningMethodHS256, "../../../dev/null", []byte{}, changed("exp", now+hour)),
		"by a key that is no name":     sign(jwt.SigningMethodHS256, 7, key.Bytes(), changed("exp", now+hour)),
		"with another tenant":          parts[0] + "." + payload(changed("tid", w.beta.ID.String())) + "." + parts[2],
		"with another role":            parts[0] + "." + payload(changed("role", "admin")) + "." + parts[2],
		"as an operator":               parts[0] + "." + payload(changed("op", true)) + "." + parts[2],
		"without its signature":        parts[0] + "." + parts[1] + ".",
		"with two parts":               parts[0] + "." + parts[1],
		"cut short":                    w.acme.owner[:len(w.acme.owner)-4],
		"garbage":                      "x",
		"very long":                    strings.Repeat("a", 8000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			w.do(t, ask{method: "GET", path: "/api/leads", token: token}).refused(t, 401, "session.token")
			w.do(t, ask{method: "GET", path: "/api/leads", cookie: token}).refused(t, 401, "session.token")
		})
	}

	t.Run("signed, with a role that there is not", func(t *testing.T) {
		t.Parallel()

		token := sign(jwt.SigningMethodHS256, key.ID, key.Bytes(), changed("role", "king"))
		w.do(t, ask{method: "GET", path: "/api/leads", token: token}).refused(t, 403, "permission.denied")
	})

	t.Run("of a session that was ended", func(t *testing.T) {
		t.Parallel()

		token := w.user(t, "leaving@acme.example", w.acme, rbac.RoleAgent)
		require.Equal(t, 200, w.do(t, ask{method: "GET", path: "/api/leads", token: token}).status)
		require.Equal(t, 200, w.do(t, ask{method: "DELETE", path: "/api/session", token: token}).status)
		w.do(t, ask{method: "GET", path: "/api/leads", token: token}).refused(t, 401, "session.token")
	})

	t.Run("of a member who left", func(t *testing.T) {
		t.Parallel()

		token := w.user(t, "former@acme.example", w.acme, rbac.RoleAgent)
		u, err := w.Accounts.UserByEmail(t.Context(), "former@acme.example")
		require.NoError(t, err)
		require.NoError(t, w.Accounts.EndMembership(t.Context(), u.ID, w.acme.ID))
		w.do(t, ask{method: "GET", path: "/api/leads", token: token}).refused(t, 401, "session.token")
	})
}

func decoded(t *testing.T, part string) jwt.MapClaims {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	require.NoError(t, err)
	var c jwt.MapClaims
	require.NoError(t, json.Unmarshal(text, &c))
	return c
}
