// Package postgres is the way to PostgreSQL: connection pools, the database/sql
// driver that carries the tenant with every statement, roles, migrations, and
// what PostgreSQL's errors mean.
//
// There is one pgxpool per database and role. Bun sits on it through a driver
// of our own ([OpenTenantDB]), which sends the tenant's setting in the same
// round trip as the statement it is for, always for one transaction only. No
// session-level setting exists, so connections may be shared by anyone,
// including through a pooler in transaction mode.
package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// Defaults of [PoolConfig].
const (
	defaultMaxConns       = 10
	defaultIdleTime       = 5 * time.Minute
	defaultLifetime       = time.Hour
	defaultConnectTimeout = 5 * time.Second
)

// PoolConfig says how a pool behaves. The zero value is usable: every zero
// field means the default named beside it.
type PoolConfig struct {
	MaxConns        int32         // most connections at once; 10
	MaxConnIdleTime time.Duration // an idle connection is closed after this; 5 minutes
	MaxConnLifetime time.Duration // a connection is replaced after this, give or take a tenth; 1 hour
	ConnectTimeout  time.Duration // for one attempt to connect; 5 seconds
	ApplicationName string        // shown in pg_stat_activity; "strato"

	// ExecMode is how statements with arguments run. Zero means prepared
	// statements kept per connection, the fastest. Behind PgBouncer older than
	// 1.21 in transaction mode take [pgx.QueryExecModeExec].
	ExecMode pgx.QueryExecMode
}

// NewPool returns a pool on the database of url. It opens no connection until
// one is needed and keeps none that stay idle, so a pool that nobody uses costs
// the server nothing. It fails only when url cannot be understood. Close the
// pool when done.
func NewPool(ctx context.Context, url string, c PoolConfig) (*pgxpool.Pool, error) {
	cfg, err := poolConfig(url, c)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool of %s: %w", describe(cfg.ConnConfig), err)
	}
	return pool, nil
}

func poolConfig(url string, c PoolConfig) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err)
	}
	cfg.MaxConns = orInt(c.MaxConns, defaultMaxConns)
	cfg.MinConns = 0
	cfg.MinIdleConns = 0
	cfg.MaxConnIdleTime = orDuration(c.MaxConnIdleTime, defaultIdleTime)
	cfg.MaxConnLifetime = orDuration(c.MaxConnLifetime, defaultLifetime)
	cfg.MaxConnLifetimeJitter = cfg.MaxConnLifetime / 10
	cfg.ConnConfig.ConnectTimeout = orDuration(c.ConnectTimeout, defaultConnectTimeout)
	cfg.ConnConfig.RuntimeParams["application_name"] = "strato"
	if c.ApplicationName != "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = c.ApplicationName
	}
	if c.ExecMode != 0 {
		cfg.ConnConfig.DefaultQueryExecMode = c.ExecMode
	}
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		// The modes that do not ask the server for an argument's type guess it
		// from the Go type, and know no UUIDs.
		conn.TypeMap().RegisterDefaultPgType([16]byte{}, "uuid")
		conn.TypeMap().RegisterDefaultPgType([]uuid.UUID{}, "_uuid")
		return nil
	}
	return cfg, nil
}

// DBConfig says what every statement of a [bun.DB] carries and who is told of
// it. The zero value adds nothing.
type DBConfig struct {
	// StatementTimeout ends a statement that runs longer; zero leaves the
	// server's own setting. It travels with the statement, so a pooler in
	// transaction mode is no obstacle.
	StatementTimeout time.Duration
	// LockTimeout ends a statement that waits longer for one lock; zero leaves
	// the server's own setting.
	LockTimeout time.Duration
	// Hook is told of every statement that ended. Nil means nobody.
	Hook Hook
}

// OpenTenantDB returns a Bun database on pool whose every statement runs as the
// tenant of its context ([WithTenant]), or fails with [ErrNoTenant] before
// anything is sent.
//
// Outside a transaction a statement and its tenant share one round trip and one
// implicit transaction. BeginTx sends nothing; BEGIN and the tenant go in front
// of the first statement, and a transaction without statements never reaches the
// server. Statements without arguments use the simple protocol (Bun writes
// values into the text, so each text is new); those with arguments use prepared
// statements, which Bun allows on its embedded *sql.DB and *sql.Tx.
//
// Closing it does not close the pool.
func OpenTenantDB(pool *pgxpool.Pool, c DBConfig) *bun.DB {
	return openDB(newConnector(pool, c, true))
}

// OpenDB is [OpenTenantDB] without a tenant: for the control plane, and for the
// cross-tenant work of [RoleSys].
func OpenDB(pool *pgxpool.Pool, c DBConfig) *bun.DB {
	return openDB(newConnector(pool, c, false))
}

func openDB(c *connector) *bun.DB {
	db := sql.OpenDB(c)
	// The pool owns idle connections; one kept here would be lost to others.
	db.SetMaxIdleConns(0)
	// During a rolling upgrade the schema may have columns that this binary
	// does not know yet.
	return bun.NewDB(db, pgdialect.New(), bun.WithDiscardUnknownColumns())
}

// describe names a database in errors, without its password.
func describe(c *pgx.ConnConfig) string {
	return fmt.Sprintf("%s@%s:%d/%s", c.User, c.Host, c.Port, c.Database)
}

func orInt(n, def int32) int32 {
	if n == 0 {
		return def
	}
	return n
}

func orDuration(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
