package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Raw gives the driver's connection to a function: *sql.Conn, and with it
// bun.Conn.
type Raw interface {
	Raw(f func(driverConn any) error) error
}

// TxOf returns the transaction that is open on conn as a [pgx.Tx], for code
// such as River's InsertTx. What it does commits and rolls back with everything
// else in the transaction.
//
// conn has to come from a database of [OpenTenantDB] or [OpenDB], and the
// transaction from its BeginTx. Use the result only on the goroutine of the
// transaction, not while rows are being read, and not after its end. Its Commit
// and Rollback refuse, because database/sql owns the transaction; Begin makes a
// savepoint.
func TxOf(ctx context.Context, conn Raw) (pgx.Tx, error) {
	var t *sharedTx
	err := conn.Raw(func(dc any) error {
		c, ok := dc.(*Conn)
		if !ok {
			return fmt.Errorf("postgres: TxOf needs a connection of this package's driver, not %T", dc)
		}
		pg, err := c.Pgx(ctx)
		if err != nil {
			return err
		}
		t = &sharedTx{pg: pg, mode: argumentMode(pg.Config().DefaultQueryExecMode), depth: new(int)}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// argumentMode is how the shared transaction sends arguments. The modes that
// guess an argument's type would send River's JSON as bytea; describing is safe
// behind a pooler, because a transaction keeps its server.
func argumentMode(pool pgx.QueryExecMode) pgx.QueryExecMode {
	switch pool {
	case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol:
		return pgx.QueryExecModeCacheDescribe
	}
	return pgx.QueryExecModeCacheStatement
}

var errOwned = errors.New("postgres: this transaction is ended by the code that began it")

// sharedTx is a pgx.Tx on a transaction that database/sql owns, or on a
// savepoint in it.
type sharedTx struct {
	pg    *pgx.Conn
	mode  pgx.QueryExecMode
	depth *int   // savepoints made so far, for their names
	save  string // this one's savepoint; empty for the transaction itself
	ended bool
}

// Begin makes a savepoint.
func (t *sharedTx) Begin(ctx context.Context) (pgx.Tx, error) {
	*t.depth++
	save := "strato_" + strconv.Itoa(*t.depth)
	if _, err := t.pg.Exec(ctx, "savepoint "+save); err != nil {
		return nil, fmt.Errorf("make savepoint: %w", err)
	}
	return &sharedTx{pg: t.pg, mode: t.mode, depth: t.depth, save: save}, nil
}

func (t *sharedTx) Commit(ctx context.Context) error { return t.end(ctx, "release savepoint "+t.save) }

func (t *sharedTx) Rollback(ctx context.Context) error {
	return t.end(ctx, "rollback to savepoint "+t.save+"; release savepoint "+t.save)
}

func (t *sharedTx) end(ctx context.Context, text string) error {
	if t.save == "" {
		return errOwned
	}
	if t.ended {
		return pgx.ErrTxClosed
	}
	t.ended = true
	if _, err := t.pg.Exec(ctx, text); err != nil {
		return fmt.Errorf("end savepoint: %w", err)
	}
	return nil
}

func (t *sharedTx) with(args []any) []any {
	return append([]any{t.mode}, args...)
}

func (t *sharedTx) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	return t.pg.Exec(ctx, query, t.with(args)...)
}

func (t *sharedTx) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	return t.pg.Query(ctx, query, t.with(args)...)
}

func (t *sharedTx) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	return t.pg.QueryRow(ctx, query, t.with(args)...)
}

// SendBatch uses the pool's own mode, which pgx does not let a batch choose.
func (t *sharedTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.pg.SendBatch(ctx, b)
}

func (t *sharedTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	return t.pg.CopyFrom(ctx, table, columns, src)
}

func (t *sharedTx) Prepare(ctx context.Context, name, query string) (*pgconn.StatementDescription, error) {
	return t.pg.Prepare(ctx, name, query)
}

// LargeObjects is not supported: Strato keeps none, and pgx ties them to a
// transaction type of its own.
func (t *sharedTx) LargeObjects() pgx.LargeObjects { return pgx.LargeObjects{} }

func (t *sharedTx) Conn() *pgx.Conn { return t.pg }
