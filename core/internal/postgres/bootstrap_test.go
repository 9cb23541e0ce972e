package postgres_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
)

func TestRoleURL(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdef")

	got, err := postgres.RoleURL("postgres://admin:s3cret@db.example:5433/strato?sslmode=require&user=x&password=y", postgres.RoleApp, key)
	require.NoError(t, err)
	u, err := url.Parse(got)
	require.NoError(t, err)
	require.Equal(t, "strato_app", u.User.Username())
	require.Equal(t, "db.example:5433", u.Host)
	require.Equal(t, "/strato", u.Path)
	require.Equal(t, "sslmode=require", u.RawQuery)
	password, _ := u.User.Password()
	require.Len(t, password, 43)
	require.NotContains(t, got, "s3cret")

	other, err := postgres.RoleURL("postgres://admin@db.example/strato", postgres.RoleSys, key)
	require.NoError(t, err)
	require.NotContains(t, other, password, "each role has a password of its own")

	_, err = postgres.RoleURL("postgres://a/b", postgres.RoleApp, []byte("short"))
	require.ErrorContains(t, err, "at least 16")
	for _, bad := range []string{"", "host=db password=s3cret", "mysql://admin:s3cret@db/x", "postgres://admin:s3cret@[::1/x"} {
		_, err = postgres.RoleURL(bad, postgres.RoleApp, key)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "s3cret")
	}
}

func TestBootstrap(t *testing.T) {
	t.Parallel()

	t.Run("roles are as they should be", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Empty(t)
		rows, err := db.Admin(t).Query(t.Context(), `
select rolname::text, rolcanlogin, rolbypassrls, rolsuper or rolcreatedb or rolcreaterole or rolreplication
from pg_roles where rolname like 'strato\_%' and rolname <> 'strato_admin' order by rolname`)
		require.NoError(t, err)
		type role struct {
			Name                  string
			Login, Bypass, Mighty bool
		}
		roles, err := pgx.CollectRows(rows, pgx.RowToStructByPos[role])
		require.NoError(t, err)
		require.Equal(t, []role{
			{"strato_app", true, false, false},
			{"strato_ingest", true, false, false},
			{"strato_owner", false, false, false},
			{"strato_queue", true, false, false},
			{"strato_search", false, true, false},
			{"strato_sys", true, true, false},
		}, roles)
	})

	t.Run("passwords do not travel", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Empty(t)
		var stored string
		require.NoError(t, db.Admin(t).QueryRow(t.Context(), "select rolpassword from pg_authid where rolname = 'strato_app'").Scan(&stored))
		require.True(t, strings.HasPrefix(stored, "SCRAM-SHA-256$4096:"))
		u, err := url.Parse(db.URL(t, postgres.RoleApp))
		require.NoError(t, err)
		u.User = url.UserPassword("strato_app", "wrong")
		_, err = pgx.Connect(t.Context(), u.String())
		require.Equal(t, "28P01", postgres.Code(err))
	})

	t.Run("many at once, on several databases", func(t *testing.T) {
		t.Parallel()
		one, two := dbtest.Empty(t), dbtest.Empty(t)
		var wg sync.WaitGroup
		errs := make([]error, 12)
		for i := range errs {
			wg.Go(func() {
				db := one
				if i%2 == 0 {
					db = two
				}
				errs[i] = postgres.Bootstrap(t.Context(), db.AdminURL, db.Key)
			})
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		for _, r := range []postgres.Role{postgres.RoleApp, postgres.RoleSys, postgres.RoleIngest, postgres.RoleQueue} {
			require.NoError(t, one.Pool(t, r, postgres.PoolConfig{}).Ping(t.Context()))
		}
	})

	t.Run("strangers stay out of the database", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Empty(t)
		var may bool
		require.NoError(t, db.Admin(t).QueryRow(t.Context(), "select has_database_privilege('pg_monitor', current_database(), 'connect')").Scan(&may))
		require.False(t, may)
	})

	// As on a managed server, where nobody is superuser.
	t.Run("an admin who is no superuser", func(t *testing.T) {
		t.Parallel()
		c := dbtest.OwnCluster(t)
		root, err := pgx.Connect(t.Context(), c.AdminURL())
		require.NoError(t, err)
		defer func() { require.NoError(t, root.Close(context.Background())) }()
		for _, statement := range []string{
			"create role landlord login createrole createdb bypassrls password 'landlord'", "create database strato owner landlord",
		} {
			_, err = root.Exec(t.Context(), statement)
			require.NoError(t, err)
		}
		u, err := url.Parse(c.DatabaseURL("strato"))
		require.NoError(t, err)
		u.User = url.UserPassword("landlord", "landlord")
		key := []byte("0123456789abcdef")

		err = postgres.Bootstrap(t.Context(), u.String(), key)
		var version int
		require.NoError(t, root.QueryRow(t.Context(), "select current_setting('server_version_num')::int / 10000").Scan(&version))
		if version < 16 {
			require.ErrorContains(t, err, "must be superuser", "PostgreSQL 15 leaves that to superusers")
			require.True(t, postgres.IsDenied(err))
			return
		}
		require.NoError(t, err)
		require.NoError(t, postgres.Bootstrap(t.Context(), u.String(), key), "again is harmless")
		_, err = postgres.Migrate(t.Context(), u.String(), postgres.SetControl, postgres.SetTenant)
		require.NoError(t, err)
		app, err := postgres.RoleURL(u.String(), postgres.RoleApp, key)
		require.NoError(t, err)
		pool, err := postgres.NewPool(t.Context(), app, postgres.PoolConfig{})
		require.NoError(t, err)
		defer pool.Close()
		_, err = pool.Exec(t.Context(), "select from crm.contacts")
		require.NoError(t, err)
	})

	t.Run("a role that is a superuser is refused", func(t *testing.T) {
		t.Parallel()
		c := dbtest.OwnCluster(t)
		root, err := pgx.Connect(t.Context(), c.AdminURL())
		require.NoError(t, err)
		defer func() { require.NoError(t, root.Close(context.Background())) }()
		_, err = root.Exec(t.Context(), "create role strato_app login superuser")
		require.NoError(t, err)
		err = postgres.Bootstrap(t.Context(), c.AdminURL(), []byte("0123456789abcdef"))
		require.ErrorContains(t, err, "NOSUPERUSER")
		for _, statement := range []string{"alter role strato_app nosuperuser bypassrls nologin"} {
			_, err = root.Exec(t.Context(), statement)
			require.NoError(t, err)
		}
		require.NoError(t, postgres.Bootstrap(t.Context(), c.AdminURL(), []byte("0123456789abcdef")))
		var bypass bool
		require.NoError(t, root.QueryRow(t.Context(), "select rolbypassrls or not rolcanlogin from pg_roles where rolname = 'strato_app'").Scan(&bypass))
		require.False(t, bypass, "what was changed by hand is put right")
	})

	t.Run("nothing listens", func(t *testing.T) {
		t.Parallel()
		err := postgres.Bootstrap(t.Context(), "postgres://admin:s3cret@127.0.0.1:1/strato?sslmode=disable", []byte("0123456789abcdef"))
		require.True(t, postgres.IsUnavailable(err), "%v", err)
		require.ErrorContains(t, err, "admin@127.0.0.1:1/strato")
		require.NotContains(t, err.Error(), "s3cret")
	})
}
