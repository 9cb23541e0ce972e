package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Conn is the driver's connection, as sql.Conn.Raw gives it. Like every
// connection it is for one goroutine at a time.
type Conn struct {
	k      *connector
	pooled *pgxpool.Conn
	pg     *pgx.Conn
	tx     *tx // nil outside a transaction
}

var (
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.NamedValueChecker  = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.Validator          = (*Conn)(nil)
)

// Pgx returns the connection underneath, inside the open transaction: a BEGIN
// that was held back is sent first. Outside a transaction it fails, since a
// statement sent there would carry no tenant. See [TxOf].
func (c *Conn) Pgx(ctx context.Context) (*pgx.Conn, error) {
	if c.tx == nil {
		return nil, errors.New("postgres: Pgx needs an open transaction")
	}
	if err := c.tx.flush(ctx); err != nil {
		return nil, err
	}
	return c.pg, nil
}

// Close gives the connection back to its pool, which drops it when it is broken
// or still inside a transaction.
func (c *Conn) Close() error {
	c.pooled.Release()
	return nil
}

// IsValid reports whether the connection can still be used.
func (c *Conn) IsValid() bool { return !c.pg.IsClosed() }

// Ping asks the server for an answer.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.pg.Ping(ctx); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// CheckNamedValue lets pgx encode every argument itself.
func (c *Conn) CheckNamedValue(v *driver.NamedValue) error {
	if v.Name != "" {
		return fmt.Errorf("postgres: argument %q: write arguments as $1, $2", v.Name)
	}
	return nil
}

// ExecContext runs a statement and returns how many rows it affected, those of
// the last one when the text holds several.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ctx = watched(ctx)
	h, err := c.head(ctx)
	if err != nil {
		return nil, err
	}
	start := c.clock()
	n, err := c.exec(ctx, h, query, args)
	if c.again(ctx, h, args, err) {
		n, err = c.exec(ctx, h, query, args)
	}
	c.settle(h, err)
	c.tell(ctx, h, query, start, n, err)
	if err != nil {
		return nil, c.badConn(ctx, err)
	}
	return driver.RowsAffected(n), nil
}

func (c *Conn) exec(ctx context.Context, h head, query string, args []driver.NamedValue) (int64, error) {
	switch {
	case len(args) == 0:
		return drain(c.pg.PgConn().Exec(ctx, h.text(c.k)+query))
	case h.empty():
		tag, err := c.pg.Exec(ctx, query, values(args)...)
		return tag.RowsAffected(), err
	}
	br := c.pg.SendBatch(ctx, h.batch(c.k, query, args))
	if err := h.skip(br); err != nil {
		return 0, err
	}
	tag, err := br.Exec()
	if e := br.Close(); err == nil {
		err = e
	}
	return tag.RowsAffected(), err
}

// drain reads all results of a message and returns the rows that the last
// statement affected.
func drain(mrr *pgconn.MultiResultReader) (int64, error) {
	var tag pgconn.CommandTag
	for mrr.NextResult() {
		tag, _ = mrr.ResultReader().Close() // Close of mrr reports the error
	}
	return tag.RowsAffected(), mrr.Close()
}

// QueryContext runs a statement and returns its rows. The first row is read
// before it returns, so that the statement's own errors come from here.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	ctx = watched(ctx)
	h, err := c.head(ctx)
	if err != nil {
		return nil, err
	}
	start := c.clock()
	r, err := c.query(ctx, h, query, args)
	if c.again(ctx, h, args, err) {
		r, err = c.query(ctx, h, query, args)
	}
	c.settle(h, err)
	if err != nil {
		c.tell(ctx, h, query, start, 0, err)
		return nil, c.badConn(ctx, err)
	}
	r.done = func(n int64, err error) { c.tell(ctx, h, query, start, n, err) }
	return r, nil
}

func (c *Conn) query(ctx context.Context, h head, query string, args []driver.NamedValue) (*rows, error) {
	switch {
	case len(args) == 0:
		return c.querySimple(ctx, h, query)
	case h.empty():
		rs, err := c.pg.Query(ctx, query, values(args)...)
		if err != nil {
			return nil, err
		}
		return newRows(rs, c.pg.TypeMap(), nil)
	}
	br := c.pg.SendBatch(ctx, h.batch(c.k, query, args))
	if err := h.skip(br); err != nil {
		return nil, err
	}
	rs, err := br.Query()
	if err != nil {
		return nil, errors.Join(err, ignoreSame(br.Close(), err))
	}
	return newRows(rs, c.pg.TypeMap(), br)
}

// querySimple sends the settings and the statement as one message and leaves
// the reader at the statement's own rows.
func (c *Conn) querySimple(ctx context.Context, h head, query string) (*rows, error) {
	mrr := c.pg.PgConn().Exec(ctx, h.text(c.k)+query)
	for range h.results() {
		if !mrr.NextResult() {
			break
		}
		if _, err := mrr.ResultReader().Close(); err != nil {
			break // mrr.Close reports it
		}
	}
	if !mrr.NextResult() {
		if err := mrr.Close(); err != nil {
			return nil, err
		}
		return emptyRows(), nil // the text held no statement
	}
	return newRows(pgx.RowsFromResultReader(c.pg.TypeMap(), mrr.ResultReader()), c.pg.TypeMap(), mrr)
}

// PrepareContext returns a statement that is prepared when it first runs: pgx
// keeps prepared statements per connection and text.
func (c *Conn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	return &stmt{c: c, query: query}, nil
}

// Prepare is [Conn.PrepareContext] without a context.
func (c *Conn) Prepare(query string) (driver.Stmt, error) { return &stmt{c: c, query: query}, nil }

// again decides whether a failed statement deserves a second attempt: its
// prepared form no longer fitted the schema, and the attempt left nothing
// behind. It prepares the transaction for it.
func (c *Conn) again(ctx context.Context, h head, args []driver.NamedValue, err error) bool {
	if err == nil || len(args) == 0 || h.empty() && c.tx != nil || c.pg.IsClosed() || !staleStatement(err) {
		return false
	}
	if c.pg.PgConn().TxStatus() == txIdle {
		return true
	}
	// The first statement of a transaction failed after BEGIN.
	_, err = c.pg.Exec(ctx, "rollback")
	return err == nil
}

// settle notes that what was held back has been sent, or that the transaction
// is lost.
func (c *Conn) settle(h head, err error) {
	if !h.begins() {
		return
	}
	c.tx.pending = false
	if err != nil && (c.pg.IsClosed() || c.pg.PgConn().TxStatus() == txIdle) {
		c.tx.lost = true
	}
}

// badConn lets database/sql try another connection when this one broke before
// the statement was sent. Inside a transaction there is no other.
func (c *Conn) badConn(ctx context.Context, err error) error {
	if c.tx == nil && ctx.Err() == nil && pgconn.SafeToRetry(err) {
		return driver.ErrBadConn
	}
	return err
}

// clock is asked only when somebody listens.
func (c *Conn) clock() time.Time {
	if c.k.hook == nil {
		return time.Time{}
	}
	return time.Now()
}

func (c *Conn) tell(ctx context.Context, h head, query string, start time.Time, n int64, err error) {
	if c.k.hook == nil {
		return
	}
	c.k.hook(ctx, Query{SQL: query, Tenant: h.tenant, Duration: time.Since(start), Rows: n, Err: err})
}
