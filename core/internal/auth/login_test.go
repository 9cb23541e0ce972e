package auth_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

func TestLogin(t *testing.T) {
	t.Parallel()

	b := setup(t)
	both := map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleOwner, b.norte.ID: rbac.RoleViewer}
	one := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent})
	two := b.user(t, false, both)
	none := b.user(t, false, nil)
	operator := b.user(t, true, nil)
	off := b.user(t, false, both)
	require.NoError(t, b.SetActive(t.Context(), off.ID, false))
	keyless, err := b.CreateUser(t.Context(), auth.NewUser{Email: "sso" + one.Email})
	require.NoError(t, err)
	gone := b.user(t, false, both)
	require.NoError(t, b.EndMembership(t.Context(), gone.ID, b.norte.ID))

	for name, tt := range map[string]struct {
		email, password, tenant string
		address                 tenant.ID
		want                    error
		role                    rbac.Role
		at                      tenant.ID
	}{
		"one agency":               {one.Email, password, "", tenant.ID{}, nil, rbac.RoleAgent, b.acme.ID},
		"its e-mail shouted":       {" " + strings.ToUpper(one.Email) + " ", password, "", tenant.ID{}, nil, rbac.RoleAgent, b.acme.ID},
		"one agency, named":        {one.Email, password, b.acme.Slug, tenant.ID{}, nil, rbac.RoleAgent, b.acme.ID},
		"two agencies, unnamed":    {two.Email, password, "", tenant.ID{}, auth.ErrWhichTenant, "", tenant.ID{}},
		"two agencies, named":      {two.Email, password, b.norte.Slug, tenant.ID{}, nil, rbac.RoleViewer, b.norte.ID},
		"two agencies, by address": {two.Email, password, "", b.acme.ID, nil, rbac.RoleOwner, b.acme.ID},
		"address and name differ":  {two.Email, password, b.norte.Slug, b.acme.ID, auth.ErrNotMember, "", tenant.ID{}},
		"not a member":             {one.Email, password, b.norte.Slug, tenant.ID{}, auth.ErrNotMember, "", tenant.ID{}},
		"no such agency":           {one.Email, password, "nobody", tenant.ID{}, auth.ErrNotMember, "", tenant.ID{}},
		"no agency":                {none.Email, password, "", tenant.ID{}, auth.ErrNoAgency, "", tenant.ID{}},
		"operator":                 {operator.Email, password, "", tenant.ID{}, nil, rbac.RoleOperator, tenant.ID{}},
		"operator in an agency":    {operator.Email, password, b.acme.Slug, tenant.ID{}, auth.ErrNotMember, "", tenant.ID{}},
		"a membership that ended":  {gone.Email, password, "", tenant.ID{}, nil, rbac.RoleOwner, b.acme.ID},
		"wrong password":           {one.Email, "strato-Demo", "", tenant.ID{}, auth.ErrCredentials, "", tenant.ID{}},
		"wrong password, several":  {two.Email, "strato-Demo", "", tenant.ID{}, auth.ErrCredentials, "", tenant.ID{}},
		"unknown user":             {"nobody@acme.example", password, "", tenant.ID{}, auth.ErrCredentials, "", tenant.ID{}},
		"switched off":             {off.Email, password, "", tenant.ID{}, auth.ErrCredentials, "", tenant.ID{}},
		"no password":              {keyless.Email, "", "", tenant.ID{}, auth.ErrCredentials, "", tenant.ID{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			in := &auth.LoginInput{}
			in.Body.Email, in.Body.Password, in.Body.Tenant = tt.email, tt.password, tt.tenant
			c := b.client
			c.Tenant = tt.address
			s, err := b.Login(t.Context(), c, in)
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.role, s.Role)
			require.Equal(t, 600, s.ExpiresIn)
			if tt.at.IsZero() {
				require.Nil(t, s.Tenant)
			} else {
				require.Equal(t, tt.at, s.Tenant.ID)
			}
			a, err := b.Authenticate(t.Context(), s.AccessToken)
			require.NoError(t, err)
			require.Equal(t, tt.at, a.Tenant)
			require.Equal(t, s.User.ID, a.User)
			require.WithinDuration(t, time.Now().Add(10*time.Minute), a.Expires, 5*time.Second)
		})
	}
}

func TestChoiceIsShownAfterThePasswordOnly(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleOwner, b.norte.ID: rbac.RoleViewer})

	_, err := b.login(t, u.Email, password, "")
	f := fault.Of(err)
	require.Equal(t, fault.Conflict, f.Kind)
	require.Len(t, f.Extra["memberships"], 2)

	_, err = b.login(t, u.Email, "wrong", "")
	require.Nil(t, fault.Of(err).Extra)
}

func TestCookies(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleOwner})
	for _, secure := range []bool{false, true} {
		b.client.Secure = secure
		s, err := b.login(t, u.Email, password, "")
		require.NoError(t, err)
		require.Len(t, s.Cookies(), 2)
		for _, c := range s.Cookies() {
			require.True(t, c.HttpOnly)
			require.Equal(t, http.SameSiteLaxMode, c.SameSite)
			require.Equal(t, secure, c.Secure)
		}
		require.Equal(t, s.AccessToken, cookie(t, s, auth.AccessCookie))
		require.Equal(t, "/api/session", s.Cookies()[1].Path)
	}
}

func TestThrottling(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleOwner})
	other := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleOwner})

	for range 20 {
		_, err := b.login(t, u.Email, password, "")
		require.NoError(t, err, "right attempts cost nothing")
	}
	for range 10 {
		_, err := b.login(t, u.Email, "wrong", "")
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	_, err := b.login(t, u.Email, password, "")
	require.ErrorIs(t, err, auth.ErrThrottled)
	require.Positive(t, fault.Of(err).RetryAfter)
	_, err = b.login(t, other.Email, password, "")
	require.NoError(t, err, "other users are not locked out")

	t.Run("an address that tries many users", func(t *testing.T) {
		b.client.Address = netip.MustParseAddr("203.0.113.99")
		c, err := cache.Open("redis://"+b.redis.Addr(), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		key, limit := auth.AddressLimit(b.client.Address)
		limits := cache.NewLimiter(c)
		for range limit.Burst - 1 { // as many others tried, without the time their hashes take
			_, ok := limits.Take(t.Context(), key, limit)
			require.True(t, ok)
		}
		refused := 0
		for i := range 8 { // one that is left, and some that are forgiven meanwhile
			_, err := b.login(t, strings.Repeat("x", i+1)+"@nowhere.example", "wrong", "")
			if errors.Is(err, auth.ErrThrottled) {
				refused++
				continue
			}
			require.ErrorIs(t, err, auth.ErrCredentials)
		}
		require.Positive(t, refused)
	})
	t.Run("without redis", func(t *testing.T) {
		b.redis.Close()
		b.client.Address = netip.MustParseAddr("203.0.113.98")
		for range 10 {
			_, err := b.login(t, other.Email, "wrong", "")
			require.ErrorIs(t, err, auth.ErrCredentials)
		}
		_, err := b.login(t, other.Email, password, "")
		require.ErrorIs(t, err, auth.ErrThrottled)
	})
}

func TestAccounts(t *testing.T) {
	t.Parallel()

	b := setup(t)
	ctx := t.Context()
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent})

	for name, tt := range map[string]struct {
		in   auth.NewUser
		want error
	}{
		"taken":           {auth.NewUser{Email: strings.ToUpper(u.Email), Password: password}, auth.ErrEmailTaken},
		"no e-mail":       {auth.NewUser{Email: "ana", Password: password}, auth.ErrEmail},
		"a name too":      {auth.NewUser{Email: "Ana <ana@acme.example>", Password: password}, auth.ErrEmail},
		"short password":  {auth.NewUser{Email: "short@acme.example", Password: "123456789"}, auth.ErrPassword},
		"long password":   {auth.NewUser{Email: "long@acme.example", Password: strings.Repeat("x", 1025)}, auth.ErrPassword},
		"e-mail again":    {auth.NewUser{Email: "same@acme.example", Password: "Same@acme.example"}, auth.ErrPassword},
		"ten runes do it": {auth.NewUser{Email: "runes" + u.Email, Password: "ñandúñandú"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := b.CreateUser(ctx, tt.in)
			require.ErrorIs(t, err, tt.want)
		})
	}
	require.ErrorIs(t, b.SetMembership(ctx, u.ID, b.norte.ID, "operator"), auth.ErrRole)
	require.ErrorIs(t, b.EndMembership(ctx, u.ID, b.norte.ID), auth.ErrUserNotFound)
	require.ErrorIs(t, b.SetPassword(ctx, rbac.NewUserID(), password), auth.ErrUserNotFound)
	_, err := b.UserByEmail(ctx, "nobody@acme.example")
	require.ErrorIs(t, err, auth.ErrUserNotFound)

	require.NoError(t, b.SetPassword(ctx, u.ID, "another-password"))
	_, err = b.login(t, u.Email, password, "")
	require.ErrorIs(t, err, auth.ErrCredentials)
	_, err = b.login(t, u.Email, "another-password", "")
	require.NoError(t, err)
}

func TestOldHashesAreRenewed(t *testing.T) {
	t.Parallel()

	b := setup(t)
	u := b.user(t, false, map[tenant.ID]rbac.Role{b.acme.ID: rbac.RoleAgent})
	_, err := b.pool.Control().ExecContext(t.Context(), "UPDATE control.users SET password_hash = ? WHERE id = ?", auth.WeakHash(password), u.ID)
	require.NoError(t, err)

	_, err = b.login(t, u.Email, password, "")
	require.NoError(t, err)
	renewed, err := b.UserByEmail(t.Context(), u.Email)
	require.NoError(t, err)
	require.Contains(t, renewed.PasswordHash, "$m=19456,t=2,p=1$")
	_, err = b.login(t, u.Email, password, "")
	require.NoError(t, err)
}
