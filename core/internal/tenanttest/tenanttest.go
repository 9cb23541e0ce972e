// Package tenanttest makes tenants for tests: real ones, in the test database,
// with what a new agency starts with.
package tenanttest

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/assistant"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Open returns a pool over a database, closed at the test's end. change may
// alter its configuration; nil leaves it.
func Open(t testing.TB, db dbtest.DB, change func(*tenant.Config)) *tenant.Pool {
	t.Helper()
	cfg := tenant.Config{AdminURL: db.AdminURL, RoleKey: db.Key, MaxConns: 8}
	if change != nil {
		change(&cfg)
	}
	pool, err := tenant.Open(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// New returns a pool over the test binary's shared database and a new tenant in
// it.
func New(t testing.TB) (*tenant.Pool, tenant.Tenant) {
	t.Helper()
	db := dbtest.Database(t)
	pool := Open(t, db, nil)
	return pool, Create(t, pool, db.Name)
}

// Create makes a tenant that lives in the named database of the control plane's
// server.
func Create(t testing.TB, pool *tenant.Pool, database string) tenant.Tenant {
	t.Helper()
	d, err := pool.AddDatabase(t.Context(), tenant.Database{Name: database, Kind: "shared", DSNRef: "same:" + database})
	require.NoError(t, err)
	slug := "t" + strings.ReplaceAll(uuid.NewString(), "-", "")
	agency, err := pool.Create(t.Context(), tenant.CreateInput{Slug: slug, Name: "Inmobiliaria " + slug[:6], Database: d.ID},
		func(ctx context.Context, s tenant.Scope) error {
			if err := lead.Seed(ctx, s); err != nil {
				return err
			}
			return assistant.Seed(ctx, s, "Prueba")
		})
	require.NoError(t, err)
	return agency
}

// Do runs fn in a transaction of the tenant and fails the test on an error.
func Do(t testing.TB, pool *tenant.Pool, agency tenant.Tenant, fn func(context.Context, tenant.Scope) error) {
	t.Helper()
	require.NoError(t, pool.Do(t.Context(), agency.ID, fn))
}
