package auth_test

import (
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

func TestRefreshRotates(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent})
	s, err := b.login(t, u.Email, password, "")
	require.NoError(t, err)
	first := cookie(t, s, auth.RefreshCookie)

	s, err = refresh(t, b.Service, b.client, first)
	require.NoError(t, err)
	second := cookie(t, s, auth.RefreshCookie)
	require.NotEqual(t, first, second)
	_, err = b.Authenticate(t.Context(), s.AccessToken)
	require.NoError(t, err)

	again, err := refresh(t, b.Service, b.client, first)
	require.NoError(t, err, "another tab, or a lost answer")
	require.Equal(t, second, cookie(t, again, auth.RefreshCookie), "both tabs go on with the same token")

	s, err = refresh(t, b.Service, b.client, second)
	require.NoError(t, err)
	third := cookie(t, s, auth.RefreshCookie)

	_, err = refresh(t, b.Service, b.client, first)
	require.ErrorIs(t, err, auth.ErrSession, "a token before the last is stolen")
	_, err = refresh(t, b.Service, b.client, third)
	require.ErrorIs(t, err, auth.ErrSession, "and ends the whole family")
	_, err = b.Authenticate(t.Context(), s.AccessToken)
	require.ErrorIs(t, err, auth.ErrToken, "access tokens with it")
}

func TestReuseAfterTheGrace(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent})
	s, err := b.login(t, u.Email, password, "")
	require.NoError(t, err)
	first := cookie(t, s, auth.RefreshCookie)
	s, err = refresh(t, b.Service, b.client, first)
	require.NoError(t, err)
	_, err = b.pool.Control().ExecContext(t.Context(), "UPDATE control.sessions SET rotated_at = ? WHERE user_id = ?",
		time.Now().Add(-auth.Grace-time.Second), u.ID)
	require.NoError(t, err)

	_, err = refresh(t, b.Service, b.client, first)
	require.ErrorIs(t, err, auth.ErrSession)
	_, err = refresh(t, b.Service, b.client, cookie(t, s, auth.RefreshCookie))
	require.ErrorIs(t, err, auth.ErrSession)
	var why string
	require.NoError(t, b.pool.Control().QueryRowContext(t.Context(), "SELECT revoked_for FROM control.sessions WHERE user_id = ?", u.ID).Scan(&why))
	require.Equal(t, "refresh token reused", why)
}

func TestManyTabsRenewAtOnce(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent})
	s, err := b.login(t, u.Email, password, "")
	require.NoError(t, err)
	token := cookie(t, s, auth.RefreshCookie)
	got := make([]string, 8)
	errs := make([]error, len(got))
	var group sync.WaitGroup
	for i := range got {
		group.Go(func() {
			s, err := b.Refresh(t.Context(), b.client, &auth.RefreshInput{Refresh: token})
			if errs[i] = err; err == nil {
				got[i] = s.Cookies()[1].Value
			}
		})
	}
	group.Wait()
	for i := range got {
		require.NoError(t, errs[i])
		require.Equal(t, got[0], got[i])
	}
}

func TestForgedRefreshTokensEndNothing(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent})
	s, err := b.login(t, u.Email, password, "")
	require.NoError(t, err)
	real := cookie(t, s, auth.RefreshCookie)
	parts := strings.Split(real, ".")

	for name, token := range map[string]string{
		"empty": "", "garbage": "a.b.c", "no mac": parts[0] + "." + parts[1],
		"another secret": parts[0] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 32)) + "." + parts[2],
		"another mac":    parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 16)),
	} {
		_, err := refresh(t, b.Service, b.client, token)
		require.ErrorIs(t, err, auth.ErrSession, name)
	}
	elsewhere := b.client
	elsewhere.Tenant = b.norte.ID
	_, err = refresh(t, b.Service, elsewhere, real)
	require.ErrorIs(t, err, auth.ErrNotMember)
	_, err = refresh(t, b.Service, b.client, real)
	require.NoError(t, err)
}

func TestChangesTakeEffectOnAllNodes(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		change func(b *bundle, u auth.User) error
		role   rbac.Role // after renewal; empty if there is none
	}{
		"another role": {func(b *bundle, u auth.User) error {
			return b.SetMembership(t.Context(), u.ID, b.acme.ID, rbac.RoleViewer)
		}, rbac.RoleViewer},
		"membership ended": {func(b *bundle, u auth.User) error { return b.EndMembership(t.Context(), u.ID, b.acme.ID) }, ""},
		"switched off":     {func(b *bundle, u auth.User) error { return b.SetActive(t.Context(), u.ID, false) }, ""},
		"new password":     {func(b *bundle, u auth.User) error { return b.SetPassword(t.Context(), u.ID, "another-password") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t)
			other := b.node(t, keyRing(t, "a"))
			u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent, b.norte.ID: rbac.RoleAgent})
			s, err := b.login(t, u.Email, password, b.acme.Slug)
			require.NoError(t, err)
			a, err := other.Authenticate(t.Context(), s.AccessToken)
			require.NoError(t, err)
			require.True(t, other.Holds(a))

			require.NoError(t, tt.change(b, u))

			_, err = b.Authenticate(t.Context(), s.AccessToken)
			require.ErrorIs(t, err, auth.ErrToken)
			require.Eventually(t, func() bool {
				_, err := other.Authenticate(t.Context(), s.AccessToken)
				return err != nil && !other.Holds(a)
			}, 5*time.Second, 5*time.Millisecond, "the other node learns of it")

			s, err = refresh(t, other, b.client, cookie(t, s, auth.RefreshCookie))
			if tt.role == "" {
				require.ErrorIs(t, err, auth.ErrSession)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.role, s.Role)
			_, err = b.Authenticate(t.Context(), s.AccessToken)
			require.NoError(t, err)
		})
	}
}

func TestSameRoleAgainEndsNothing(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent})
	s, err := b.login(t, u.Email, password, "")
	require.NoError(t, err)
	require.NoError(t, b.SetMembership(t.Context(), u.ID, b.acme.ID, rbac.RoleAgent))
	_, err = b.Authenticate(t.Context(), s.AccessToken)
	require.NoError(t, err)
}

func TestCurrentAndLogout(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent, b.norte.ID: rbac.RoleViewer})
	s, err := b.login(t, u.Email, password, b.acme.Slug)
	require.NoError(t, err)
	a, err := b.Authenticate(t.Context(), s.AccessToken)
	require.NoError(t, err)

	now, err := b.Current(t.Context(), a, nil)
	require.NoError(t, err)
	require.Empty(t, now.AccessToken)
	require.Equal(t, s.User, now.User)
	require.Equal(t, s.Tenant, now.Tenant)
	require.Equal(t, rbac.RoleAgent, now.Role)
	require.Len(t, now.Memberships, 2)
	require.Contains(t, now.Permissions, "message:send")
	require.NotContains(t, now.Permissions, "installation:manage")

	c := b.client
	c.Token = s.AccessToken
	for range 2 {
		bye, err := b.Logout(t.Context(), c, &auth.RefreshInput{})
		require.NoError(t, err)
		for _, k := range bye.Cookies() {
			require.Empty(t, k.Value)
			require.Equal(t, -1, k.MaxAge)
		}
	}
	_, err = b.Authenticate(t.Context(), s.AccessToken)
	require.ErrorIs(t, err, auth.ErrToken)
	_, err = refresh(t, b.Service, b.client, cookie(t, s, auth.RefreshCookie))
	require.ErrorIs(t, err, auth.ErrSession)
}

func TestAccessTokens(t *testing.T) {
	t.Parallel()

	b := setup(t)
	a := rbac.Actor{User: rbac.NewUserID(), Tenant: b.acme.ID, Role: rbac.RoleOwner, Version: 3, Session: rbac.NewSessionID()}
	sign := func(now time.Time, ids ...string) string {
		token, err := auth.SignAccess(keyRing(t, ids...), a, now)
		require.NoError(t, err)
		return token
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{
		"iss": "strato", "sub": a.User.String(), "sid": a.Session.String(), "exp": time.Now().Add(time.Minute).Unix(),
	}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	good := sign(time.Now(), "a")
	parts := strings.Split(good, ".")

	for name, token := range map[string]string{
		"empty": "", "garbage": "x", "expired": sign(time.Now().Add(-11*time.Minute), "a"), "of the future": sign(time.Now().Add(time.Hour), "a"),
		"another key": sign(time.Now(), "z"), "unsigned": unsigned, "cut": good[:len(good)-4],
		"another body": parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"strato"}`)) + "." + parts[2],
	} {
		_, err := b.Authenticate(t.Context(), token)
		require.ErrorIs(t, err, auth.ErrToken, name)
	}
	got, err := b.Authenticate(t.Context(), good)
	require.NoError(t, err)
	a.Expires = got.Expires
	require.Equal(t, a, got)
	require.False(t, b.Holds(rbac.Actor{Expires: time.Now().Add(-time.Second)}))

	rotated := b.node(t, keyRing(t, "b", "a"))
	_, err = rotated.Authenticate(t.Context(), good)
	require.NoError(t, err, "old keys verify")
	_, err = b.Authenticate(t.Context(), sign(time.Now(), "b", "a"))
	require.ErrorIs(t, err, auth.ErrToken, "new keys sign")
}

func TestRefreshAcrossAKeyRotation(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent})
	s, err := b.login(t, u.Email, password, "")
	require.NoError(t, err)
	old := cookie(t, s, auth.RefreshCookie)
	_, err = refresh(t, b.Service, b.client, old)
	require.NoError(t, err)
	_, err = refresh(t, b.node(t, keyRing(t, "b", "a")), b.client, old)
	require.NoError(t, err, "a second tab that reaches a node with the new key")
}

func TestPruneSessions(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent})
	_, err := b.login(t, u.Email, password, "")
	require.NoError(t, err)
	_, err = b.pool.Control().ExecContext(t.Context(), "UPDATE control.sessions SET expires_at = ? WHERE user_id = ?", time.Now().Add(-time.Hour*24*90), u.ID)
	require.NoError(t, err)
	n, err := b.PruneSessions(t.Context(), time.Now().Add(-time.Hour*24*60))
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

func TestPasswordHashes(t *testing.T) {
	t.Parallel()

	h := auth.Hash(password)
	require.NotEqual(t, h, auth.Hash(password))
	ok, renew := auth.Verify(h, password)
	require.True(t, ok)
	require.False(t, renew)
	ok, renew = auth.Verify(auth.WeakHash(password), password)
	require.True(t, ok)
	require.True(t, renew)
	for _, bad := range []string{
		"", "x", "$argon2i$v=19$m=1024,t=1,p=1$c2FsdHNhbHRzYWx0$AAAA", strings.Replace(h, "t=2", "t=0", 1), strings.Replace(h, "m=19456", "m=99999999", 1),
		h[:len(h)-30], strings.Replace(h, "v=19", "v=18", 1),
	} {
		ok, _ := auth.Verify(bad, password)
		require.False(t, ok, bad)
	}
}
