package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Query is a statement that has ended.
type Query struct {
	// SQL is the statement as it was given. It may hold a tenant's data, since
	// Bun writes values into the text: count and time it, do not log it whole.
	SQL string
	// Tenant it ran as; zero without one.
	Tenant uuid.UUID
	// Duration from sending to the last row read, so it includes the reader's
	// own time.
	Duration time.Duration
	// Rows read or affected.
	Rows int64
	// Err is nil when the statement succeeded.
	Err error
}

// Hook is told of every statement of a [bun.DB] that ended, on the goroutine
// that ran it, before the caller gets the answer: it has to be quick and safe
// for concurrent use. BEGIN, COMMIT and what River sends are not told.
type Hook func(ctx context.Context, q Query)

// SlowQueries returns a hook that passes on the statements that took at least
// the given time.
func SlowQueries(least time.Duration, next Hook) Hook {
	return func(ctx context.Context, q Query) {
		if q.Duration >= least {
			next(ctx, q)
		}
	}
}
