package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// EnsureDatabase makes the database of that name on the server of adminURL when
// it is not there, and returns its address for the same user. It may be called
// concurrently.
func EnsureDatabase(ctx context.Context, adminURL, name string) (string, error) {
	u, err := url.Parse(adminURL)
	if err != nil {
		return "", errors.New("database URL: want postgres://user:password@host:port/database")
	}
	conn, err := pgx.Connect(ctx, adminURL)
	if err != nil {
		return "", fmt.Errorf("connect to make database %s: %w", name, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = conn.Close(ctx) // nothing is left to lose
	}()
	var there bool
	err = conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", name).Scan(&there)
	if err != nil {
		return "", fmt.Errorf("look for database %s: %w", name, err)
	}
	if !there {
		// template0 has no other visitors, which would make this fail.
		_, err = conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()+" template template0 encoding 'UTF8'")
		if err != nil && !exists(err) {
			return "", fmt.Errorf("make database %s: %w", name, err)
		}
	}
	u.Path = "/" + name
	return u.String(), nil
}

// exists reports whether somebody else made the database meanwhile.
func exists(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pe.Code == "42P04" || pe.Code == "23505")
}
