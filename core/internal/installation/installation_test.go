package installation_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const plugin = "toy"

type bundle struct {
	pool      *tenant.Pool
	agency    tenant.Tenant
	directory *installation.Directory
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{}
	b.pool, b.agency = tenanttest.New(t)
	b.directory = installation.NewDirectory(b.pool, hosttest.Box(t, b.pool))
	return b
}

func (b *bundle) install(t *testing.T) installation.Target {
	t.Helper()
	return hosttest.Install(t, b.pool, b.agency, plugin)
}

// key is a routing key of this test alone: routes are those of all tenants.
func (b *bundle) key(value string) installation.Key {
	return installation.Key{Kind: "number", Value: b.agency.Slug + value}
}

func (b *bundle) owner(t *testing.T, k installation.Key) installation.Target {
	t.Helper()
	target, err := b.directory.ByKey(t.Context(), plugin, k)
	if err != nil {
		require.ErrorIs(t, err, installation.ErrNotFound)
	}
	return target
}

func TestClaim(t *testing.T) {
	t.Parallel()

	t.Run("drops what is no longer confirmed", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		one := b.install(t)
		require.NoError(t, b.directory.Claim(t.Context(), plugin, one, []installation.Key{b.key("1"), b.key("2")}))
		require.Equal(t, one, b.owner(t, b.key("1")))
		require.NoError(t, b.directory.Claim(t.Context(), plugin, one, []installation.Key{b.key("2"), b.key("3")}))
		b.directory.Forget(one)
		require.Zero(t, b.owner(t, b.key("1")))
		require.Equal(t, one, b.owner(t, b.key("2")))
		require.Equal(t, one, b.owner(t, b.key("3")))
		require.NoError(t, b.directory.Claim(t.Context(), plugin, one, nil))
		b.directory.Forget(one)
		require.Zero(t, b.owner(t, b.key("2")))
	})

	t.Run("two numbers of one agency share their account, two agencies do not", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		one, two := b.install(t), b.install(t)
		account := b.key("account")
		require.NoError(t, b.directory.Claim(t.Context(), plugin, one, []installation.Key{b.key("1"), account}))
		require.NoError(t, b.directory.Claim(t.Context(), plugin, two, []installation.Key{b.key("2"), account}))
		require.Equal(t, one, b.owner(t, account), "the first keeps it")
		require.ErrorIs(t, b.directory.Claim(t.Context(), plugin, two, []installation.Key{b.key("1")}), installation.ErrKeyTaken)
		require.Equal(t, two, b.owner(t, b.key("2")), "a refusal changes nothing")

		other := tenanttest.Create(t, b.pool, dbtest.Database(t).Name)
		three := hosttest.Install(t, b.pool, other, plugin)
		require.ErrorIs(t, b.directory.Claim(t.Context(), plugin, three, []installation.Key{b.key("3"), account}), installation.ErrKeyTaken)
		require.Zero(t, b.owner(t, b.key("3")))
	})

	t.Run("a key of another plugin is another key", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		one, two := b.install(t), b.install(t)
		require.NoError(t, b.directory.Claim(t.Context(), plugin, one, []installation.Key{b.key("1")}))
		require.NoError(t, b.directory.Claim(t.Context(), "other", two, []installation.Key{b.key("1")}))
		require.Equal(t, one, b.owner(t, b.key("1")))
	})

	t.Run("of agencies that claim at once one gets it", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		const claimers = 6
		errs := make(chan error, claimers)
		for range claimers {
			target := hosttest.Install(t, b.pool, tenanttest.Create(t, b.pool, dbtest.Database(t).Name), plugin)
			go func() { errs <- b.directory.Claim(t.Context(), plugin, target, []installation.Key{b.key("1")}) }()
		}
		won := 0
		for range claimers {
			if err := <-errs; err == nil {
				won++
			} else {
				require.ErrorIs(t, err, installation.ErrKeyTaken)
			}
		}
		require.Equal(t, 1, won)
	})
}

func TestTokens(t *testing.T) {
	t.Parallel()

	b := setup(t)
	one := b.install(t)
	first, err := b.directory.NewToken(t.Context(), plugin, one)
	require.NoError(t, err)
	second, err := b.directory.NewToken(t.Context(), plugin, one)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	for _, token := range []string{first, second} { // both while one replaces the other
		found, err := b.directory.ByToken(t.Context(), plugin, token)
		require.NoError(t, err)
		require.Equal(t, one, found)
	}
	for _, token := range []string{"", "x", first + "A", first[1:], "AAAAAAAAAAAAAAAAAAAAAA", "!!!!!!!!!!!!!!!!!!!!!!"} {
		_, err := b.directory.ByToken(t.Context(), plugin, token)
		require.ErrorIs(t, err, installation.ErrNotFound, token)
	}
	_, err = b.directory.ByToken(t.Context(), "other", first)
	require.ErrorIs(t, err, installation.ErrNotFound)
	_, err = b.pool.Control().NewRaw(`update control.webhook_tokens set expires_at = now() where installation_id = ?`, one.Installation).Exec(t.Context())
	require.NoError(t, err)
	b.directory.ForgetAll()
	_, err = b.directory.ByToken(t.Context(), plugin, first)
	require.ErrorIs(t, err, installation.ErrNotFound, "it has expired")
}

func TestAccounts(t *testing.T) {
	t.Parallel()

	b := setup(t)
	one := b.install(t)
	keys := []installation.AccountKey{
		{Installation: one.Installation, Kind: "number", Value: "1"}, {Installation: one.Installation, Kind: "number", Value: "2"},
	}
	const callers = 6
	results := make(chan map[installation.AccountKey]installation.AccountID, callers)
	errs := make(chan error, callers)
	for range callers {
		go func() {
			errs <- b.pool.Do(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
				found, err := installation.Accounts(ctx, s, keys)
				results <- found
				return err
			})
		}()
	}
	var first map[installation.AccountKey]installation.AccountID
	for range callers {
		require.NoError(t, <-errs)
		found := <-results
		require.Len(t, found, 2)
		if first == nil {
			first = found
		}
		require.Equal(t, first, found, "an account was made twice")
	}
}

func TestActivate(t *testing.T) {
	t.Parallel()

	b := setup(t)
	one := b.install(t)
	activate := func(version int, secrets map[string]string) error {
		return b.pool.Do(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
			return b.directory.Activate(ctx, s, one.Installation, installation.Activation{
				Settings: []byte(`{"a":1}`), SettingsVersion: 3, Secrets: secrets, Health: installation.Health{State: "ok"}, Version: version,
			})
		})
	}
	require.NoError(t, activate(1, map[string]string{"/a": "secret one", "/b": "secret two"}))
	require.ErrorIs(t, activate(1, nil), installation.ErrStale)
	live, err := b.directory.Load(t.Context(), one)
	require.NoError(t, err)
	require.EqualValues(t, 1, live.Revision)
	require.EqualValues(t, 3, live.SettingsVersion)
	require.JSONEq(t, `{"a":1}`, string(live.Settings))
	require.Equal(t, map[string]string{"/a": "secret one", "/b": "secret two"}, live.Secrets)

	// What is remembered is old until it is forgotten.
	_, err = b.directory.Live(t.Context(), one)
	require.NoError(t, err)
	require.NoError(t, activate(2, map[string]string{"/b": "secret two"}))
	live, err = b.directory.Live(t.Context(), one)
	require.NoError(t, err)
	require.EqualValues(t, 1, live.Revision)
	b.directory.Forget(one)
	live, err = b.directory.Live(t.Context(), one)
	require.NoError(t, err)
	require.EqualValues(t, 2, live.Revision)
	require.Equal(t, map[string]string{"/b": "secret two"}, live.Secrets)

	t.Run("a sealed secret fits its own place only", func(t *testing.T) {
		two := b.install(t)
		require.NoError(t, b.pool.Do(t.Context(), b.agency.ID, func(ctx context.Context, s tenant.Scope) error {
			_, err := s.Exec(ctx, `insert into crm.installation_secrets
				select tenant_id, $2, pointer, sealed, key_version, hint, updated_at from crm.installation_secrets where tenant_id = $1`,
				s.Tenant(), two.Installation)
			return err
		}))
		_, err := b.directory.Load(t.Context(), two)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret two")
	})
}

func TestGet(t *testing.T) {
	t.Parallel()

	b := setup(t)
	one := b.install(t)
	other := tenanttest.Create(t, b.pool, dbtest.Database(t).Name)
	get := func(of tenant.ID, i installation.ID) (n *installation.Installation, err error) {
		err = b.pool.Read(t.Context(), of, func(ctx context.Context, s tenant.Scope) error {
			n, err = installation.Get(ctx, s, i)
			return err
		})
		return n, err
	}
	n, err := get(b.agency.ID, one.Installation)
	require.NoError(t, err)
	require.Equal(t, installation.Draft, n.State)
	shown, err := json.Marshal(n)
	require.NoError(t, err)
	require.Contains(t, string(shown), `"settings":{}`)
	for _, tt := range []struct {
		tenant       tenant.ID
		installation installation.ID
	}{{other.ID, one.Installation}, {b.agency.ID, installation.ID{UUID: uuid.New()}}} {
		_, err := get(tt.tenant, tt.installation)
		require.ErrorIs(t, err, installation.ErrNotFound)
		_, err = b.directory.Load(t.Context(), installation.Target{Tenant: tt.tenant, Installation: tt.installation})
		require.ErrorIs(t, err, installation.ErrNotFound)
	}
}
