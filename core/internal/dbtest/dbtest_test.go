package dbtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestDatabases(t *testing.T) {
	t.Parallel()
	shared, same := dbtest.Database(t), dbtest.Database(t)
	require.Equal(t, shared, same)
	one, other := dbtest.Fresh(t), dbtest.Fresh(t)
	require.NotEqual(t, one.Name, other.Name)
	acme, norte := dbtest.TenantID(), dbtest.TenantID()
	require.NotEqual(t, acme, norte)

	there := func(name string) (yes bool) {
		require.NoError(t, dbtest.Database(t).Admin(t).QueryRow(t.Context(), "select exists (select from pg_database where datname = $1)", name).Scan(&yes))
		return yes
	}
	var fresh, empty string
	t.Run("own", func(t *testing.T) { //nolint:paralleltest // its end is waited for
		db := dbtest.Fresh(t)
		fresh = db.Name
		var n int
		ctx := postgres.WithTenant(t.Context(), dbtest.TenantID())
		require.NoError(t, db.Tenants(t).DB.QueryRowContext(ctx, "select count(*) from crm.contacts where version > $1", 0).Scan(&n))
		require.Zero(t, n)

		db = dbtest.Empty(t)
		empty = db.Name
		require.NoError(t, db.Pool(t, postgres.RoleSys, postgres.PoolConfig{}).Ping(t.Context()))
		require.True(t, there(fresh) && there(empty))
	})
	require.False(t, there(fresh) || there(empty), "dropped at the test's end")
}

func TestRedis(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("lives", func(t *testing.T) { //nolint:paralleltest // its end is waited for
		url = dbtest.Redis(t)
		require.NotEqual(t, url, dbtest.Redis(t), "each call has its own")
		require.NoError(t, ping(t, url))
	})
	require.Error(t, ping(t, url), "ended with its test")
}

func ping(t *testing.T, url string) error {
	t.Helper()
	o, err := redis.ParseURL(url)
	require.NoError(t, err)
	o.MaxRetries, o.DialerRetries = -1, 1
	c := redis.NewClient(o)
	defer func() { require.NoError(t, c.Close()) }()
	return c.Ping(t.Context()).Err()
}

func TestPgBouncer(t *testing.T) {
	t.Parallel()
	db := dbtest.Fresh(t)
	front := dbtest.PgBouncer(t, db, 1)
	require.NotEqual(t, db.AdminURL, front.AdminURL)
	for _, r := range []postgres.Role{postgres.RoleApp, postgres.RoleSys, postgres.RoleIngest, postgres.RoleQueue} {
		pool := front.Pool(t, r, postgres.PoolConfig{ExecMode: pgx.QueryExecModeExec})
		var user string
		require.NoError(t, pool.QueryRow(t.Context(), "select current_user::text where 1 = $1::int", 1).Scan(&user))
		require.Equal(t, string(r), user)
	}
}

func TestOwnCluster(t *testing.T) {
	t.Parallel()
	c := dbtest.OwnCluster(t)
	require.NotEqual(t, dbtest.StartedCluster(t).AdminURL(), c.AdminURL())
	conn, err := pgx.Connect(t.Context(), c.AdminURL())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	var roles int
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from pg_roles where rolname like 'strato\\_%' and rolname <> 'strato_admin'").Scan(&roles))
	require.Zero(t, roles)
}
