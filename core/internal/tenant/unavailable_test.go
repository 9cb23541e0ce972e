package tenant_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

// A tenant whose database is gone is told so; the others are served.
func TestUnavailable(t *testing.T) {
	t.Parallel()

	db := dbtest.Fresh(t)
	folder, err := os.MkdirTemp("", "strato-tenant-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o711)) // PostgreSQL's user has to pass through
	server, err := embedded.StartPostgres(t.Context(), embedded.Options{
		Data: folder, Binaries: os.Getenv("STRATO_POSTGRES_BIN"), Packages: os.Getenv("STRATO_POSTGRES_PACKAGES"),
		InitArgs: []string{"--no-sync", "--wal-segsize=4"}, Settings: map[string]string{"fsync": "off"},
	})
	require.NoError(t, err)
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, server.Stop(ctx))
	}
	t.Cleanup(stop)
	require.NoError(t, postgres.Bootstrap(t.Context(), server.URL("postgres"), db.Key))
	_, err = postgres.Migrate(t.Context(), server.URL("postgres"), postgres.SetTenant)
	require.NoError(t, err)
	file := folder + "/dsn"
	require.NoError(t, os.WriteFile(file, []byte(server.URL("postgres")), 0o600))

	pool := tenanttest.Open(t, db, nil)
	acme := tenanttest.Create(t, pool, db.Name)
	norte := place(t, pool, tenant.Database{Name: "norte", Kind: "dedicated", DSNRef: "file:" + file})
	at, err := pool.DatabaseOf(t.Context(), norte.ID)
	require.NoError(t, err)
	add(t, pool, norte, "Eva")

	// In the middle of a transaction, and from then on.
	err = pool.Do(t.Context(), norte.ID, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Insert(person(s, "Ana")).Exec(ctx)
		require.NoError(t, err)
		stop()
		_, err = s.Insert(person(s, "Ida")).Exec(ctx)
		require.Error(t, err)
		return err
	})
	require.ErrorIs(t, err, tenant.ErrUnavailable)
	one := func(ctx context.Context, s tenant.Scope) error { return s.Query(ctx, new(int), "select 1") }
	for name, run := range ways(pool) {
		for range 3 {
			require.ErrorIs(t, run(t.Context(), norte.ID, one), tenant.ErrUnavailable, name)
		}
		require.NoError(t, run(t.Context(), acme.ID, one), name)
	}
	err = pool.System(t.Context(), at, "a test", func(context.Context, tenant.Sys) error { return nil })
	require.ErrorIs(t, err, tenant.ErrUnavailable)

	// The control plane itself: whoever is not remembered cannot be found.
	gone := tenanttest.Open(t, dbtest.DB{Name: "postgres", AdminURL: server.URL("postgres"), Key: db.Key}, nil)
	require.ErrorIs(t, gone.Do(t.Context(), id.New[tenant.Tenant](), nothing), tenant.ErrUnavailable)
	_, err = gone.BySlug(t.Context(), "acme")
	require.ErrorIs(t, err, tenant.ErrUnavailable)
	_, err = gone.Databases(t.Context())
	require.ErrorIs(t, err, tenant.ErrUnavailable)
	_, err = gone.Create(t.Context(), tenant.CreateInput{Slug: "x", Name: "X"}, nothing)
	require.ErrorIs(t, err, tenant.ErrUnavailable)
	_, err = gone.AddDatabase(t.Context(), tenant.Database{Name: "x", Kind: "shared", DSNRef: "same:x"})
	require.ErrorIs(t, err, tenant.ErrUnavailable)
}

// A caller who gave up is not told that the database is gone.
func TestGivingUpIsNotUnavailable(t *testing.T) {
	t.Parallel()

	pool, agency := tenanttest.New(t)
	for name, run := range ways(pool) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := run(ctx, agency.ID, func(ctx context.Context, s tenant.Scope) error {
			cancel()
			return s.Query(ctx, new(int), "select 1")
		})
		require.ErrorIs(t, err, context.Canceled, name)
		require.NotErrorIs(t, err, tenant.ErrUnavailable, name)
	}
}
