package auth_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/httpapi"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

// browser keeps cookies as a browser does.
type browser struct {
	http.Client

	url string
}

func (b *browser) do(t *testing.T, method, path, body string) (int, map[string]any, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := b.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	var out map[string]any
	_ = json.Unmarshal(text, &out)
	return res.StatusCode, out, res.Header
}

func serve(t *testing.T, b *bundle) string {
	t.Helper()
	policy, err := rbac.New()
	require.NoError(t, err)
	r, err := httpapi.New(httpapi.Options{
		Pool: b.pool, Policy: policy, Log: slog.New(slog.DiscardHandler), Authenticate: b.Authenticate,
		Cookie: auth.AccessCookie, BaseDomain: "localhost",
	})
	require.NoError(t, err)
	b.Register(r)
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return server.URL
}

func TestSessionInABrowser(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleOwner, b.norte.ID: rbac.RoleViewer})
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	w := &browser{Client: http.Client{Jar: jar}, url: serve(t, b)}

	status, out, header := w.do(t, "GET", "/api/session", "")
	require.Equal(t, 401, status)
	require.Equal(t, "session.required", out["code"])
	require.NotEmpty(t, header.Get("WWW-Authenticate"))

	status, out, _ = w.do(t, "POST", "/api/session", `{"email":"`+u.Email+`","password":"`+password+`"}`)
	require.Equal(t, 409, status)
	require.Equal(t, "session.tenant_required", out["code"])
	require.Len(t, out["memberships"], 2)

	status, out, header = w.do(t, "POST", "/api/session", `{"email":"`+u.Email+`","password":"`+password+`","tenant":"`+b.acme.Slug+`"}`)
	require.Equal(t, 200, status)
	require.Equal(t, "Bearer", out["token_type"])
	require.NotEmpty(t, out["access_token"])
	require.Len(t, header.Values("Set-Cookie"), 2)

	status, out, _ = w.do(t, "GET", "/api/session", "")
	require.Equal(t, 200, status)
	require.Equal(t, "owner", out["role"])
	require.NotContains(t, out, "access_token")

	status, out, _ = w.do(t, "POST", "/api/session/refresh", "")
	require.Equal(t, 200, status, out)
	require.NotEmpty(t, out["access_token"])

	status, _, _ = w.do(t, "DELETE", "/api/session", "")
	require.Equal(t, 200, status)
	status, out, _ = w.do(t, "GET", "/api/session", "")
	require.Equal(t, 401, status)
	require.Equal(t, "session.required", out["code"], "the cookies are gone")
}

func TestSessionByPath(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleOwner, b.norte.ID: rbac.RoleViewer})
	w := &browser{url: serve(t, b)}

	status, out, _ := w.do(t, "POST", "/t/"+b.norte.Slug+"/api/session", `{"email":"`+u.Email+`","password":"`+password+`"}`)
	require.Equal(t, 200, status)
	require.Equal(t, "viewer", out["role"])
	for body, want := range map[string]int{
		`{"email":"` + u.Email + `"}`:                                   422,
		`{"email":"` + u.Email + `","password":"x","admin":true}`:       422,
		`{"email":"` + u.Email + `","password":"wrong-password"}`:       401,
		`{"email":"` + u.Email + `\u0000","password":"wrong-password"}`: 422,
		`{"email":`: 400,
	} {
		status, out, _ := w.do(t, "POST", "/api/session", body)
		require.Equal(t, want, status, out)
		require.NotContains(t, out["detail"], "wrong-password")
	}
}
