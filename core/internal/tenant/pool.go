package tenant

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/postgres"
)

// Pool finds the database of a tenant and runs work there. It is safe for
// concurrent use. Make one with [Open].
type Pool struct {
	control   *bun.DB
	databases *databases
	routes    *routes
	announce  func(context.Context, ID, []Change)
	log       *slog.Logger
}

// Do runs fn in one transaction that sees the rows of one tenant. The
// transaction commits if fn returns nil. Nothing is sent until fn's first
// statement, which takes BEGIN and the tenant along. Do not call the network
// inside fn. A panic rolls back.
func (p *Pool) Do(ctx context.Context, tenant ID, fn func(context.Context, Scope) error) error {
	db, err := p.find(ctx, tenant)
	if err != nil {
		return err
	}
	tctx := postgres.WithTenant(ctx, tenant.UUID)
	var left after
	if err := p.transact(tctx, db, tenant, &left, fn); err != nil {
		return p.explain(err)
	}
	outlive := context.WithoutCancel(ctx)
	for _, f := range left.funcs {
		f(outlive)
	}
	if len(left.changes) > 0 && p.announce != nil {
		p.announce(outlive, tenant, left.changes)
	}
	return nil
}

func (p *Pool) transact(ctx context.Context, db *bun.DB, tenant ID, left *after, fn func(context.Context, Scope) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect for tenant %s: %w", tenant, err)
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin for tenant %s: %w", tenant, err)
	}
	done := false
	defer func() {
		if !done {
			_ = tx.Rollback()
		}
	}()
	s := Scope{
		tenant: tenant, now: now(), bun: tx, raw: tx.Tx, db: db, after: left,
		tx: func(ctx context.Context) (pgx.Tx, error) { return postgres.TxOf(ctx, conn.Conn) },
	}
	if err := fn(ctx, s); err != nil {
		return err
	}
	done = true
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit for tenant %s: %w", tenant, err)
	}
	return nil
}

// Read runs fn with a scope in which each statement is a transaction of its
// own, in one round trip with the tenant's setting. Use it to read; statements
// do not see one snapshot.
func (p *Pool) Read(ctx context.Context, tenant ID, fn func(context.Context, Scope) error) error {
	db, err := p.find(ctx, tenant)
	if err != nil {
		return err
	}
	s := Scope{tenant: tenant, now: now(), bun: db, raw: unwatched{db.DB}, db: db}
	return p.explain(fn(postgres.WithTenant(ctx, tenant.UUID), s))
}

// unwatched spares the statements of a reading scope a goroutine each, see
// [postgres.Unwatched].
type unwatched struct{ *sql.DB }

func (u unwatched) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return u.DB.QueryContext(postgres.Unwatched(ctx), query, args...)
}

// Control is the control plane's database, with no tenant in it.
func (p *Pool) Control() *bun.DB { return p.control }

// find returns the handle of the database where a tenant lives.
func (p *Pool) find(ctx context.Context, tenant ID) (*bun.DB, error) {
	if tenant.IsZero() {
		return nil, ErrNotFound
	}
	at, err := p.routes.lookup(ctx, tenant)
	if err != nil {
		return nil, p.explain(err)
	}
	d, err := p.databases.byID(ctx, at.DatabaseID)
	if err != nil {
		return nil, p.explain(err)
	}
	return d.app(ctx)
}

// explain turns the loss of a database into words for the caller. What has words
// already is not a loss, whatever its cause looks like.
func (p *Pool) explain(err error) error {
	if err != nil && fault.Of(err) == nil && postgres.IsUnavailable(err) {
		return ErrUnavailable.With(err)
	}
	return err
}

// Close closes every pool. Work in flight is waited for.
func (p *Pool) Close() {
	p.databases.close()
	_ = p.control.Close()
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
