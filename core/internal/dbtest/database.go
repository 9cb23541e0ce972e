package dbtest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/core/internal/postgres"
)

// DB is a database of the test cluster, made ready by [postgres.Bootstrap].
type DB struct {
	Name     string
	AdminURL string // the superuser's
	Key      []byte // what the roles' passwords are derived from
}

// bases are the databases that others are cloned from.
type bases struct {
	migrated, shared once
	count            atomic.Int64
}

// once remembers how making a database ended.
type once struct {
	sync.Once
	err error
}

func (o *once) do(f func() error) error {
	o.Do(func() { o.err = f() })
	return o.err
}

const (
	migratedName = "migrated" // nobody connects to it, or it could not be cloned
	sharedName   = "shared"
)

func key() []byte { return []byte("the key of Strato's tests, no secret") }

// Database returns the migrated database that all tests of the binary share,
// each with tenants of its own.
func Database(t testing.TB) DB {
	t.Helper()
	c := StartedCluster(t)
	err := harness.bases.shared.do(func() error { return c.clone(sharedName) })
	require.NoError(t, err, "make the tests' database")
	return c.db(sharedName)
}

// Fresh returns a migrated database that only this test has. It is dropped at
// the test's end.
func Fresh(t testing.TB) DB {
	t.Helper()
	c := StartedCluster(t)
	name := nextName()
	require.NoError(t, c.clone(name), "make a fresh database")
	dropAfter(t, c, name)
	return c.db(name)
}

// Empty returns a database of this test alone that has roles but no schema. It
// is dropped at the test's end.
func Empty(t testing.TB) DB {
	t.Helper()
	c := StartedCluster(t)
	name := nextName()
	require.NoError(t, c.create(name), "make an empty database")
	dropAfter(t, c, name)
	return c.db(name)
}

// URL is the database's address for a role.
func (d DB) URL(t testing.TB, r postgres.Role) string {
	t.Helper()
	url, err := postgres.RoleURL(d.AdminURL, r, d.Key)
	require.NoError(t, err)
	return url
}

// Pool returns a pool of a role, closed at the test's end. The test fails when it
// still holds a connection then.
func (d DB) Pool(t testing.TB, r postgres.Role, c postgres.PoolConfig) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.NewPool(t.Context(), d.URL(t, r), c)
	require.NoError(t, err)
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// closePool does not wait for ever, as pool.Close would when a failed test left
// a transaction open.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pool.Close()
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("dbtest: the test ended with a connection still in use")
	}
}

// Tenants returns a Bun database whose statements run as the tenant of their
// context, on a pool of strato_app; both are closed at the test's end.
func (d DB) Tenants(t testing.TB) *bun.DB {
	t.Helper()
	db := postgres.OpenTenantDB(d.Pool(t, postgres.RoleApp, postgres.PoolConfig{}), postgres.DBConfig{})
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// Admin returns a superuser's connection, closed at the test's end.
func (d DB) Admin(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.AdminURL)
	require.NoError(t, err)
	t.Cleanup(func() { closeConn(conn) })
	return conn
}

func (c *Cluster) db(name string) DB {
	return DB{Name: name, AdminURL: c.server.URL(name), Key: key()}
}

// clone copies the migrated database, which is made first if need be.
func (c *Cluster) clone(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	err := harness.bases.migrated.do(func() error {
		if err := c.create(migratedName); err != nil {
			return err
		}
		_, err := postgres.Migrate(ctx, c.server.URL(migratedName), postgres.SetControl, postgres.SetTenant)
		return err
	})
	if err != nil {
		return fmt.Errorf("migrate the database to clone: %w", err)
	}
	if err := c.exec(ctx, "create database "+name+" template "+migratedName); err != nil {
		return err
	}
	// Rights on the database itself are not cloned.
	return postgres.Bootstrap(ctx, c.server.URL(name), key())
}

func (c *Cluster) create(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	url, err := embedded.EnsureDatabase(ctx, c.AdminURL(), name)
	if err != nil {
		return err
	}
	return postgres.Bootstrap(ctx, url, key())
}

func (c *Cluster) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, c.AdminURL())
	if err != nil {
		return err
	}
	defer closeConn(conn)
	_, err = conn.Exec(ctx, statement)
	return err
}

func dropAfter(t testing.TB, c *Cluster, name string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		require.NoError(t, c.exec(ctx, "drop database "+name+" with (force)"))
	})
}

func nextName() string { return "test_" + strconv.FormatInt(harness.bases.count.Add(1), 10) }

func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the test is over
}
