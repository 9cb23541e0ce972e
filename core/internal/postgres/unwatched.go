package postgres

import (
	"context"
	"time"
)

// unwatched is a context that ends only for this package's driver.
type unwatched struct{ inner context.Context } //nolint:containedctx // it is a context

// Unwatched returns ctx for one query of a handle of [OpenTenantDB] or [OpenDB]
// outside a transaction. The query ends with ctx as any other, because pgx
// watches the connection for as long as the rows are read; but database/sql,
// which would start a goroutine for each query to watch it a second time, does
// not see that ctx can end. That goroutine costs as much as scanning a row.
func Unwatched(ctx context.Context) context.Context { return unwatched{ctx} }

// watched undoes [Unwatched].
func watched(ctx context.Context) context.Context {
	if u, ok := ctx.(unwatched); ok {
		return u.inner
	}
	return ctx
}

// Deadline implements context.Context.
func (unwatched) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements context.Context.
func (unwatched) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (unwatched) Err() error { return nil }

// Value implements context.Context.
func (u unwatched) Value(key any) any { return u.inner.Value(key) }
