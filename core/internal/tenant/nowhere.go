package tenant

import (
	"context"
	"database/sql/driver"
	"errors"
)

// nowhere is a connector without a database: it lets Bun build a query's text.
type nowhere struct{}

var errNowhere = errors.New("tenant: this handle only builds queries")

// Connect always fails.
func (nowhere) Connect(context.Context) (driver.Conn, error) { return nil, errNowhere }

// Driver returns the connector itself.
func (n nowhere) Driver() driver.Driver { return n }

// Open always fails.
func (nowhere) Open(string) (driver.Conn, error) { return nil, errNowhere }
