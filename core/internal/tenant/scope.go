package tenant

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/postgres"
)

// querier is what a transaction and a database have in common below Bun: bound
// arguments go to the server as they are.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Scope is the view of one tenant's rows, inside [Pool.Do] or [Pool.Read] and
// no longer. Its methods must get the context that came with it: that context
// carries the tenant to the server. One of another tenant reaches nothing, one of
// none nothing either, or the scope's own rows in its transaction. A Scope of Do is
// one transaction and must stay in its goroutine; a Scope of Read may be used
// by several. The zero Scope panics.
type Scope struct {
	tenant ID
	now    time.Time
	bun    bun.IDB
	raw    querier
	db     *bun.DB
	tx     func(ctx context.Context) (pgx.Tx, error)
	after  *after
}

// Change tells whoever watches a tenant that something is different now. It
// names things and holds no data: watchers read what they may see.
type Change struct {
	// Type is "noun.verb", such as "message.created".
	Type string
	// ID is what changed, Parent what it belongs to; either may be zero.
	ID, Parent uuid.UUID
}

// after is what a transaction leaves to do once it has been committed.
type after struct {
	funcs   []func(context.Context)
	changes []Change
}

// Tenant is whose rows the scope sees.
func (s Scope) Tenant() ID { return s.tenant }

// Now is the moment the scope was opened, UTC, to the microsecond. All rows of
// a transaction share it.
func (s Scope) Now() time.Time { return s.now }

// Select starts a query into dst, a model or a pointer to a slice of models.
// The tenant's predicate is in it, beside the policy, because the planner
// estimates rows from a constant but not from a setting.
func (s Scope) Select(dst any) *bun.SelectQuery {
	return s.open().NewSelect().Model(dst).Where("?TableAlias.tenant_id = ?", s.tenant)
}

// Insert starts an insert of m, which becomes the tenant's.
func (s Scope) Insert(m Model) *bun.InsertQuery {
	m.own(s.tenant)
	return s.open().NewInsert().Model(m)
}

// InsertAll inserts rows in one statement; all become the tenant's. An empty
// slice does nothing.
func InsertAll[T any, M interface {
	*T
	Model
}](ctx context.Context, s Scope, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	for i := range rows {
		M(&rows[i]).own(s.tenant)
	}
	_, err := s.open().NewInsert().Model(&rows).Exec(ctx)
	return err
}

// Update starts an update of m by its primary key. Name the columns.
func (s Scope) Update(m Model) *bun.UpdateQuery {
	m.own(s.tenant)
	return s.open().NewUpdate().Model(m).Where("?TableAlias.tenant_id = ?", s.tenant).WherePK()
}

// Delete starts a delete of m by its primary key.
func (s Scope) Delete(m Model) *bun.DeleteQuery {
	m.own(s.tenant)
	return s.open().NewDelete().Model(m).Where("?TableAlias.tenant_id = ?", s.tenant).WherePK()
}

// Exec runs a statement with bound arguments, $1 and on. It returns how many
// rows the statement touched.
func (s Scope) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	s.open()
	if err := s.matches(ctx); err != nil {
		return 0, err
	}
	res, err := s.raw.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Query runs a statement with bound arguments, $1 and on, and scans its rows
// into dst: a pointer to a model or a scalar, which takes the first row, or to a
// slice of either. Without a row a single destination yields sql.ErrNoRows.
func (s Scope) Query(ctx context.Context, dst any, query string, args ...any) error {
	s.open()
	if err := s.matches(ctx); err != nil {
		return err
	}
	rows, err := s.raw.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if reflect.TypeOf(dst).Elem().Kind() == reflect.Slice {
		return s.db.ScanRows(ctx, rows, dst)
	}
	if !rows.Next() {
		return cmp.Or(rows.Err(), sql.ErrNoRows)
	}
	if err := s.db.ScanRow(ctx, rows, dst); err != nil {
		return err
	}
	return rows.Close()
}

// Tx is the transaction as pgx knows it, for libraries that insert through pgx.
// It fails in a scope of [Pool.Read].
func (s Scope) Tx(ctx context.Context) (pgx.Tx, error) {
	s.open()
	if s.tx == nil {
		return nil, errors.New("tenant: this scope only reads and has no transaction")
	}
	return s.tx(ctx)
}

// AfterCommit runs f when the transaction has been committed, in order, with a
// context that outlives the request's cancellation. It does not run after a
// rollback. It panics in a scope of [Pool.Read].
func (s Scope) AfterCommit(f func(context.Context)) {
	if s.after == nil {
		panic("tenant: AfterCommit in a scope that only reads")
	}
	s.after.funcs = append(s.after.funcs, f)
}

// Announce tells watchers of the changes when the transaction has been
// committed. It panics in a scope of [Pool.Read].
func (s Scope) Announce(changes ...Change) {
	if s.after == nil {
		panic("tenant: Announce in a scope that only reads")
	}
	s.after.changes = append(s.after.changes, changes...)
}

var errContext = errors.New("tenant: this is not the context that came with the scope")

// matches refuses a context of another scope. Statements by hand need not name
// the tenant, so they must not run as another.
func (s Scope) matches(ctx context.Context) error {
	if t, ok := postgres.TenantFrom(ctx); !ok || t != s.tenant.UUID {
		return errContext
	}
	return nil
}

func (s Scope) open() bun.IDB {
	if s.bun == nil {
		panic("tenant: use of a zero Scope")
	}
	return s.bun
}

// Exactly reports an error unless a statement touched n rows.
func Exactly(n int64, res sql.Result, err error) error {
	if err != nil {
		return err
	}
	got, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if got != n {
		return fmt.Errorf("touched %d rows, want %d", got, n)
	}
	return nil
}
