package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/stratohub/strato/migrations"
)

// Set is a set of migrations with a history of its own.
type Set int

// The sets of migrations.
const (
	SetControl Set = iota + 1 // the control plane, schema control
	SetTenant                 // tenants' data, schemas crm and river
)

// String returns the set's name, as its folder of migrations is called.
func (s Set) String() string {
	switch s {
	case SetControl:
		return "control"
	case SetTenant:
		return "tenant"
	}
	return fmt.Sprintf("Set(%d)", int(s))
}

// table is where the set's history is kept.
func (s Set) table() string {
	if s == SetControl {
		return "control.goose_control"
	}
	return "crm.goose_tenant"
}

func (s Set) files() (fs.FS, error) {
	switch s {
	case SetControl:
		return fs.Sub(migrations.Control, "control")
	case SetTenant:
		return fs.Sub(migrations.Tenant, "tenant")
	}
	return nil, fmt.Errorf("there is no migration set %d", int(s))
}

// schemas makes the set's schemas and says who may look inside.
func (s Set) schemas() string {
	if s == SetControl {
		return `
create schema if not exists control;
grant usage on schema control to strato_app, strato_sys`
	}
	return `
create schema if not exists crm;
create schema if not exists river;
grant usage on schema crm to strato_app, strato_sys, strato_ingest;
grant usage, create on schema crm to strato_search;
grant usage on schema river to strato_app, strato_sys, strato_ingest, strato_queue`
}

// Applied is a migration that was applied or, by [Down], taken back.
type Applied struct {
	Set      Set
	Version  int64
	Name     string // file name, or "river" and the name of River's own
	Duration time.Duration
}

// Migrate brings the given sets to the newest version that this binary has, as
// the role strato_owner, and returns what it applied: nothing when all was there
// already. [SetTenant] includes River's own schema and the roles' rights in it.
// Several nodes may run it at once; one works and the others wait, for five
// minutes at most. [Bootstrap] has to come first.
//
// What was applied before an error stays applied and is returned with the
// error. Running it again goes on from there.
func Migrate(ctx context.Context, adminURL string, sets ...Set) (applied []Applied, err error) {
	m, err := openMigrator(ctx, adminURL)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close(ctx)) }()

	for _, set := range sets {
		done, err := m.up(ctx, set)
		applied = append(applied, done...)
		if err != nil {
			return applied, fmt.Errorf("migrate %s: %w", set, err)
		}
	}
	return applied, nil
}

// Down takes the set's migrations back until its version is to; 0 takes back
// all, and for [SetTenant] River's schema as well. Data in what is dropped is
// lost: it is for development and tests.
func Down(ctx context.Context, adminURL string, set Set, to int64) (err error) {
	m, err := openMigrator(ctx, adminURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close(ctx)) }()

	if err := m.down(ctx, set, to); err != nil {
		return fmt.Errorf("migrate %s down: %w", set, err)
	}
	return nil
}

// migrator works as the owner, holding the lock of migrations.
type migrator struct {
	pool   *pgxpool.Pool
	db     *sql.DB
	locked *sql.Conn
	locker lock.SessionLocker
}

func openMigrator(ctx context.Context, adminURL string) (*migrator, error) {
	cfg, err := poolConfig(adminURL, PoolConfig{MaxConns: 4, ApplicationName: "strato migrate"})
	if err != nil {
		return nil, err
	}
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		// A migration that waits for a lock makes everybody behind it wait.
		_, err := c.Exec(ctx, "set role strato_owner; set lock_timeout = '30s'")
		if err != nil {
			return fmt.Errorf("become %s (run Bootstrap first): %w", roleOwner, err)
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool of %s: %w", describe(cfg.ConnConfig), err)
	}
	m := &migrator{pool: pool, db: stdlib.OpenDBFromPool(pool)}
	if err := m.lock(ctx); err != nil {
		return nil, errors.Join(err, m.close(ctx))
	}
	return m, nil
}

// lock waits until no other migration runs on this database.
func (m *migrator) lock(ctx context.Context) error {
	const everySecond, fiveMinutes = 1, 300
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(everySecond, fiveMinutes))
	if err != nil {
		return fmt.Errorf("prepare migration lock: %w", err)
	}
	conn, err := m.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := locker.SessionLock(ctx, conn); err != nil {
		return errors.Join(fmt.Errorf("wait for the migration of another node: %w", err), conn.Close())
	}
	m.locker, m.locked = locker, conn
	return nil
}

func (m *migrator) close(ctx context.Context) error {
	var err error
	if m.locked != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(m.locker.SessionUnlock(ctx, m.locked), m.locked.Close())
	}
	err = errors.Join(err, m.db.Close())
	m.pool.Close()
	return err
}

func (m *migrator) up(ctx context.Context, set Set) ([]Applied, error) {
	p, err := m.provider(set)
	if err != nil {
		return nil, err
	}
	if _, err := m.pool.Exec(ctx, set.schemas()); err != nil {
		return nil, fmt.Errorf("prepare schemas: %w", err)
	}
	var applied []Applied
	if set == SetTenant {
		// First, since a migration may refer to the job table.
		applied, err = m.riverUp(ctx)
		if err != nil {
			return applied, err
		}
	}
	results, err := p.Up(ctx)
	applied = append(applied, appliedBy(set, results)...)
	if err != nil {
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			applied = append(applied, appliedBy(set, partial.Applied)...)
		}
		return applied, err
	}
	_, err = m.pool.Exec(ctx, fmt.Sprintf(
		"revoke insert, update, delete, truncate on %[1]s from strato_app; grant select on %[1]s to strato_app, strato_sys", set.table()))
	if err != nil {
		return applied, fmt.Errorf("grant reading the version: %w", err)
	}
	return applied, nil
}

func (m *migrator) down(ctx context.Context, set Set, to int64) error {
	p, err := m.provider(set)
	if err != nil {
		return err
	}
	if _, err := p.DownTo(ctx, to); err != nil {
		return err
	}
	if set == SetTenant && to == 0 {
		return m.riverDown(ctx)
	}
	return nil
}

// provider has no locker: the migrator holds the lock for the whole run.
func (m *migrator) provider(set Set) (*goose.Provider, error) {
	files, err := set.files()
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, m.db, files,
		goose.WithTableName(set.table()),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}

func appliedBy(set Set, results []*goose.MigrationResult) []Applied {
	as := make([]Applied, 0, len(results))
	for _, r := range results {
		as = append(as, Applied{Set: set, Version: r.Source.Version, Name: path.Base(r.Source.Path), Duration: r.Duration})
	}
	return as
}
