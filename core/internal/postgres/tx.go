package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// endTimeout bounds COMMIT and ROLLBACK, which have no context of their own and
// go on when the transaction's has ended: breaking off a COMMIT would leave its
// outcome unknown.
const endTimeout = 30 * time.Second

// txIdle is the server's word for "no transaction is open".
const txIdle = 'I'

// errTxLost answers statements of a transaction whose first statement failed
// before the server began it. PostgreSQL would refuse them as well.
var errTxLost = errors.New("postgres: the transaction's first statement failed; roll back")

// tx is a transaction. BEGIN waits for the first statement.
type tx struct {
	c       *Conn
	begin   string
	tenant  uuid.UUID
	pending bool // BEGIN has not been sent
	lost    bool // nothing more can run, and no transaction is open on the server
}

// Begin is not supported, since it would have no tenant.
func (c *Conn) Begin() (driver.Tx, error) { return nil, errNeedsContext }

// BeginTx starts a transaction of the context's tenant. Nothing is sent yet.
func (c *Conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tenant, ok := TenantFrom(ctx)
	if c.k.scoped && !ok {
		return nil, ErrNoTenant
	}
	if c.tx != nil {
		return nil, errors.New("postgres: a transaction is open already")
	}
	if c.pg.IsClosed() {
		return nil, driver.ErrBadConn
	}
	begin, err := beginText(o)
	if err != nil {
		return nil, err
	}
	c.tx = &tx{c: c, begin: begin, tenant: tenant, pending: true}
	return c.tx, nil
}

func beginText(o driver.TxOptions) (string, error) {
	s := "begin"
	switch level := sql.IsolationLevel(o.Isolation); level {
	case sql.LevelDefault:
	case sql.LevelReadUncommitted, sql.LevelReadCommitted:
		s += " isolation level read committed" // PostgreSQL treats both alike
	case sql.LevelRepeatableRead, sql.LevelSnapshot:
		s += " isolation level repeatable read"
	case sql.LevelSerializable:
		s += " isolation level serializable"
	default:
		return "", fmt.Errorf("postgres: isolation level %s is not supported", level)
	}
	if o.ReadOnly {
		s += " read only"
	}
	return s, nil
}

// Commit ends the transaction. It returns [pgx.ErrTxCommitRollback] when an
// earlier statement had failed, since PostgreSQL then rolls back.
func (t *tx) Commit() error {
	t.c.tx = nil
	switch {
	case t.lost:
		return pgx.ErrTxCommitRollback
	case t.pending:
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	tag, err := t.c.pg.Exec(ctx, "commit")
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// Rollback ends the transaction without its changes. A broken connection is no
// error here: the server rolls back by itself.
func (t *tx) Rollback() error {
	t.c.tx = nil
	if t.lost || t.pending || t.c.pg.IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if _, err := t.c.pg.Exec(ctx, "rollback"); err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// flush sends a BEGIN that was held back.
func (t *tx) flush(ctx context.Context) error {
	h, err := t.c.head(ctx)
	if err != nil {
		return err
	}
	if !h.begins() {
		return nil
	}
	_, err = drain(t.c.pg.PgConn().Exec(ctx, h.text(t.c.k)))
	t.c.settle(h, err)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}
