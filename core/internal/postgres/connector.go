package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connector hands the connections of a pool to database/sql.
type connector struct {
	pool   *pgxpool.Pool
	scoped bool // every statement needs a tenant
	hook   Hook

	// Settings that go in front of a statement. setBound takes the tenant as
	// $1; setFront and setBack enclose it where there are no arguments. All are
	// empty when there is nothing to set.
	setBound, setFront, setBack string
}

func newConnector(pool *pgxpool.Pool, c DBConfig, scoped bool) *connector {
	var fixed []string
	if c.StatementTimeout > 0 {
		fixed = append(fixed, setTimeout("statement_timeout", c.StatementTimeout))
	}
	if c.LockTimeout > 0 {
		fixed = append(fixed, setTimeout("lock_timeout", c.LockTimeout))
	}
	k := &connector{pool: pool, scoped: scoped, hook: c.Hook}
	if !scoped {
		if len(fixed) > 0 {
			k.setBound = "select " + strings.Join(fixed, ",")
			k.setFront = k.setBound + ";"
		}
		return k
	}
	rest := ""
	if len(fixed) > 0 {
		rest = "," + strings.Join(fixed, ",")
	}
	k.setBound = "select set_config('" + TenantSetting + "',$1,true)" + rest
	k.setFront = "select set_config('" + TenantSetting + "','"
	k.setBack = "',true)" + rest + ";"
	return k
}

// setTimeout never rounds down to zero, which would mean no limit at all.
func setTimeout(name string, d time.Duration) string {
	ms := max(d.Milliseconds(), 1)
	return "set_config('" + name + "','" + strconv.FormatInt(ms, 10) + "',true)"
}

// setText is the settings as SQL text that ends in a semicolon, or nothing.
func (k *connector) setText(tenant uuid.UUID) string {
	if !k.scoped {
		return k.setFront
	}
	return k.setFront + tenant.String() + k.setBack
}

// Connect takes a connection from the pool, waiting for one if need be.
func (k *connector) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := k.pool.Acquire(watched(ctx))
	if err != nil {
		return nil, err
	}
	return &Conn{k: k, pooled: c, pg: c.Conn()}, nil
}

// Driver is asked for by database/sql, which never opens a connection with it.
func (k *connector) Driver() driver.Driver { return noDriver{} }

type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("postgres: open a database with OpenTenantDB or OpenDB")
}
