package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
)

// stmt is a statement that pgx prepares when it first runs on a connection.
type stmt struct {
	c     *Conn
	query string
}

func (s *stmt) Close() error  { return nil }
func (s *stmt) NumInput() int { return -1 } // PostgreSQL counts them

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.c.ExecContext(ctx, s.query, args)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.QueryContext(ctx, s.query, args)
}

var errNeedsContext = errors.New("postgres: a statement needs a context; call the method whose name ends in Context")

func (s *stmt) Exec([]driver.Value) (driver.Result, error) { return nil, errNeedsContext }
func (s *stmt) Query([]driver.Value) (driver.Rows, error)  { return nil, errNeedsContext }
