package pluginhost_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
	"github.com/stratohub/strato/sdk/host"
)

// sink is where webhooks go that no test looks at.
func sink(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	return s.URL
}

// with is settings with some values changed.
func with(settings map[string]string, changes map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range settings {
		out[k] = v
	}
	maps.Copy(out, changes)
	return out
}

func body(t *testing.T, settings any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(settings)
	require.NoError(t, err)
	return b
}

// routes are the keys that lead to an installation.
func routes(t *testing.T, w *hosttest.World, target installation.Target) []installation.Key {
	t.Helper()
	keys, err := w.Directory.Keys(t.Context(), target)
	require.NoError(t, err)
	return keys
}

// pointers are the fields that a fault names.
func pointers(err error) []string {
	var out []string
	if f := fault.Of(err); f != nil {
		for _, field := range f.Fields {
			out = append(out, field.Pointer)
		}
	}
	return out
}

func TestSave(t *testing.T) {
	t.Parallel()

	t.Run("takes effect when the provider accepts, and the confirmed keys route", func(t *testing.T) {
		t.Parallel()

		w := hosttest.New(t, host.Timing{})
		account := w.Account(t, "acme", sink(t))
		target := w.Install(t, hosttest.Provider)
		n := w.Save(t, target, account)
		require.Equal(t, installation.Active, n.State)
		require.EqualValues(t, 1, n.Revision)
		require.Equal(t, "ok", n.Health.State)
		require.Len(t, n.Secrets, 3)
		require.Contains(t, routes(t, w, target), installation.Key{Kind: "phone_number_id", Value: account["phone_number_id"]})
		found, err := w.Directory.ByKey(t.Context(), hosttest.Provider, installation.Key{Kind: "phone_number_id", Value: account["phone_number_id"]})
		require.NoError(t, err)
		require.Equal(t, target, found)
	})

	t.Run("refusals name the field and change nothing", func(t *testing.T) {
		t.Parallel()

		w := hosttest.New(t, host.Timing{})
		account := w.Account(t, "acme", sink(t))
		other := w.Account(t, "norte", sink(t))
		target := w.Install(t, hosttest.Provider)
		before, keys := w.Save(t, target, account), routes(t, w, target)
		for name, tt := range map[string]struct {
			settings any
			want     error
			pointer  string
		}{
			"not an object":           {"x", pluginhost.ErrSettings, "/settings"},
			"a field is missing":      {map[string]string{"business_account_id": account["business_account_id"]}, pluginhost.ErrSettings, "/settings/phone_number_id"},
			"a field of wrong form":   {with(account, map[string]any{"phone_number_id": "+54 11"}), pluginhost.ErrSettings, "/settings/phone_number_id"},
			"a field nobody knows":    {with(account, map[string]any{"colour": "red"}), pluginhost.ErrSettings, "/settings/colour"},
			"a secret that is a mask": {with(account, map[string]any{"access_token": "…1234"}), pluginhost.ErrSettings, "/settings/access_token"},
			"a secret of wrong type":  {with(account, map[string]any{"access_token": 12345678}), pluginhost.ErrSettings, "/settings/access_token"},
			"a needed secret deleted": {with(account, map[string]any{"access_token": nil}), pluginhost.ErrSettings, "/settings/access_token"},
			"a token nobody gave":     {with(account, map[string]any{"access_token": "EAAG-not-a-token-of-anybody"}), pluginhost.ErrRefused, "/settings/access_token"},
			"another's number":        {with(account, map[string]any{"phone_number_id": other["phone_number_id"]}), pluginhost.ErrRefused, "/settings/phone_number_id"},
		} {
			_, err := w.Configurator.Save(t.Context(), target, body(t, tt.settings), before.Version)
			require.ErrorIs(t, err, tt.want, name)
			require.Contains(t, pointers(err), tt.pointer, name)
			for field, secret := range account {
				if field != "phone_number_id" && field != "business_account_id" {
					require.NotContains(t, err.Error(), secret, name)
				}
			}
			require.Equal(t, before, w.Get(t, target), name)
			require.Equal(t, keys, routes(t, w, target), name)
		}
	})

	t.Run("a stale form changes neither settings nor routes", func(t *testing.T) {
		t.Parallel()

		w := hosttest.New(t, host.Timing{})
		one, two := w.Account(t, "acme", sink(t)), w.Account(t, "norte", sink(t))
		target := w.Install(t, hosttest.Provider)
		w.Save(t, target, one)
		before, keys := w.Get(t, target), routes(t, w, target)
		_, err := w.Configurator.Save(t.Context(), target, body(t, two), before.Version-1)
		require.ErrorIs(t, err, installation.ErrStale)
		require.Equal(t, before, w.Get(t, target))
		require.Equal(t, keys, routes(t, w, target))
	})

	t.Run("of two forms at once one wins, with its routes", func(t *testing.T) {
		t.Parallel()

		w := hosttest.New(t, host.Timing{})
		accounts := []map[string]string{w.Account(t, "acme", sink(t)), w.Account(t, "norte", sink(t))}
		target := w.Install(t, hosttest.Provider)
		version := w.Get(t, target).Version
		errs := make(chan error, len(accounts))
		for _, a := range accounts {
			submitted := body(t, a)
			go func() {
				_, err := w.Configurator.Save(t.Context(), target, submitted, version)
				errs <- err
			}()
		}
		a, b := <-errs, <-errs
		if a == nil {
			a, b = b, a
		}
		require.ErrorIs(t, a, installation.ErrStale)
		require.NoError(t, b)
		n := w.Get(t, target)
		require.EqualValues(t, 1, n.Revision)
		var settings map[string]string
		require.NoError(t, json.Unmarshal(n.Settings, &settings))
		require.Contains(t, routes(t, w, target), installation.Key{Kind: "phone_number_id", Value: settings["phone_number_id"]})
		require.Len(t, routes(t, w, target), 2)
	})

	t.Run("a number that another agency has is refused, and nothing changes", func(t *testing.T) {
		t.Parallel()

		w := hosttest.New(t, host.Timing{})
		taken, own := w.Account(t, "acme", sink(t)), w.Account(t, "norte", sink(t))
		first := w.Install(t, hosttest.Provider)
		w.Save(t, first, taken)
		other := tenanttest.Create(t, w.Pool, dbtest.Database(t).Name)
		second := hosttest.Install(t, w.Pool, other, hosttest.Provider)
		before := w.Save(t, second, own)
		keys := routes(t, w, second)

		_, err := w.Configurator.Save(t.Context(), second, body(t, taken), before.Version)
		require.ErrorIs(t, err, installation.ErrKeyTaken)
		require.Equal(t, before, w.Get(t, second))
		require.Equal(t, keys, routes(t, w, second))
		found, err := w.Directory.ByKey(t.Context(), hosttest.Provider, installation.Key{Kind: "phone_number_id", Value: taken["phone_number_id"]})
		require.NoError(t, err)
		require.Equal(t, first, found)

		// As the fault says: it is free once it was switched off there.
		_, err = w.Configurator.SetState(t.Context(), first, installation.Disabled)
		require.NoError(t, err)
		w.Save(t, second, taken)
		found, err = w.Directory.ByKey(t.Context(), hosttest.Provider, installation.Key{Kind: "phone_number_id", Value: taken["phone_number_id"]})
		require.NoError(t, err)
		require.Equal(t, second, found)
		_, err = w.Configurator.SetState(t.Context(), first, installation.Active)
		require.ErrorIs(t, err, installation.ErrKeyTaken)
		require.Equal(t, installation.Disabled, w.Get(t, first).State)
	})

	t.Run("another tenant's installation is not there", func(t *testing.T) {
		t.Parallel()

		w := hosttest.New(t, host.Timing{})
		target := w.Install(t, hosttest.Echo)
		other := tenanttest.Create(t, w.Pool, dbtest.Database(t).Name)
		_, err := w.Configurator.Save(t.Context(), installation.Target{Tenant: other.ID, Installation: target.Installation}, body(t, map[string]string{}), 1)
		require.ErrorIs(t, err, installation.ErrNotFound)
	})
}

func TestSecrets(t *testing.T) {
	t.Parallel()

	const first, second = "the first secret of this test", "another one, of 2026"
	w := hosttest.New(t, host.Timing{})
	target := w.Install(t, hosttest.Echo)
	secrets := func() map[string]string { return w.Live(t, target).Secrets }

	n := w.Save(t, target, map[string]any{"account": "a", "token": first})
	require.Equal(t, map[string]string{"/token": first}, secrets())
	require.True(t, n.Secrets["/token"].Set)
	require.Equal(t, "…test", n.Secrets["/token"].Hint)

	n = w.Save(t, target, map[string]any{"account": "b"})
	require.Equal(t, map[string]string{"/token": first}, secrets(), "absent keeps")
	kept := n.Secrets["/token"].UpdatedAt

	n = w.Save(t, target, map[string]any{"account": "b", "token": second})
	require.Equal(t, map[string]string{"/token": second}, secrets(), "a string replaces")
	require.True(t, n.Secrets["/token"].UpdatedAt.After(kept))

	_, err := w.Configurator.Save(t.Context(), target, body(t, map[string]any{"account": "b", "token": nil}), n.Version)
	require.ErrorIs(t, err, pluginhost.ErrSettings, "null deletes, and this one is needed")
	_, err = w.Configurator.Save(t.Context(), target, body(t, map[string]any{"account": "b", "token": "********"}), n.Version)
	require.ErrorIs(t, err, pluginhost.ErrSettings, "a mask is no secret")

	live := w.Live(t, target)
	shown, failed := json.Marshal([]any{w.Get(t, target), live})
	require.NoError(t, failed)
	for what, text := range map[string]string{
		"JSON": string(shown), "format": fmt.Sprintf("%v %+v %#v %s", live, *live, live, *live), "log": w.Log.String(), "fault": err.Error(),
		"tables": dump(t, w, target),
	} {
		for _, s := range []string{first, second} {
			require.NotContains(t, text, s, what)
		}
	}
}

// dump is everything that the tables hold of an installation.
func dump(t *testing.T, w *hosttest.World, target installation.Target) string {
	t.Helper()
	pool := dbtest.Database(t).Pool(t, postgres.RoleSys, postgres.PoolConfig{})
	var all strings.Builder
	for _, query := range []string{
		`select n::text from crm.installations n where id = $1`,
		`select s::text || encode(s.sealed, 'escape') from crm.installation_secrets s where installation_id = $1`,
		`select r::text from control.routes r where installation_id = $1`,
	} {
		rows, err := pool.Query(t.Context(), query, target.Installation.UUID)
		require.NoError(t, err)
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			all.WriteString(line)
		}
		require.NoError(t, rows.Err())
	}
	require.Contains(t, all.String(), target.Installation.String())
	return all.String()
}

func setHealth(t *testing.T, w *hosttest.World, target installation.Target, revision uint64, h installation.Health) {
	t.Helper()
	tenanttest.Do(t, w.Pool, w.Agency, func(ctx context.Context, s tenant.Scope) error {
		return installation.SetHealth(ctx, s, target.Installation, revision, h)
	})
}

func TestSetState(t *testing.T) {
	t.Parallel()

	t.Run("a draft can be neither switched on nor tested", func(t *testing.T) {
		t.Parallel()

		w := hosttest.New(t, host.Timing{})
		draft := w.Install(t, hosttest.Echo)
		_, err := w.Configurator.SetState(t.Context(), draft, installation.Active)
		require.ErrorIs(t, err, pluginhost.ErrUnset)
		_, err = w.Configurator.Test(t.Context(), draft)
		require.ErrorIs(t, err, pluginhost.ErrUnset)
	})

	t.Run("off gives up the routes, on takes them again", func(t *testing.T) {
		t.Parallel()

		w := hosttest.New(t, host.Timing{})
		target := w.Connect(t, "acme", sink(t))
		keys := routes(t, w, target)
		require.NotEmpty(t, keys)
		n, err := w.Configurator.SetState(t.Context(), target, installation.Disabled)
		require.NoError(t, err)
		require.Equal(t, installation.Disabled, n.State)
		require.Empty(t, routes(t, w, target))
		_, err = w.Directory.ByKey(t.Context(), hosttest.Provider, keys[0])
		require.ErrorIs(t, err, installation.ErrNotFound)
		n, err = w.Configurator.SetState(t.Context(), target, installation.Active)
		require.NoError(t, err)
		require.Equal(t, installation.Active, n.State)
		require.Equal(t, keys, routes(t, w, target))
	})

	t.Run("health of settings that were replaced says nothing", func(t *testing.T) {
		t.Parallel()

		w := hosttest.New(t, host.Timing{})
		target := w.Echo(t)
		old := w.Live(t, target)
		w.Save(t, target, map[string]string{"account": "b"})
		failed := installation.Health{State: "failed", Checks: []installation.Check{}}
		setHealth(t, w, target, old.Revision, failed)
		require.Equal(t, installation.Active, w.Get(t, target).State)
		setHealth(t, w, target, old.Revision+1, failed)
		require.Equal(t, installation.Broken, w.Get(t, target).State)
		n, err := w.Configurator.Test(t.Context(), target)
		require.NoError(t, err)
		require.Equal(t, installation.Active, n.State, "a good check mends")
	})
}
