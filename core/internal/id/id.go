// Package id has identifiers that cannot be mixed up: a UUID of version 7 that
// knows what it identifies.
package id

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Of is the identifier of a T. Two identifiers of different things do not
// assign to each other. The zero value means "none" and is never stored.
type Of[T any] struct{ uuid.UUID }

// New returns a fresh identifier. Identifiers sort by the time they were made,
// to the millisecond.
func New[T any]() Of[T] { return Of[T]{uuid.Must(uuid.NewV7())} }

// From wraps a UUID known to identify a T.
func From[T any](u uuid.UUID) Of[T] { return Of[T]{u} }

// Parse reads the text form. It refuses anything but the 36-character form, so
// that one identifier has one spelling.
func Parse[T any](s string) (Of[T], error) {
	if len(s) != 36 {
		return Of[T]{}, fmt.Errorf("parse id %q: want 36 characters, got %d", s, len(s))
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return Of[T]{}, fmt.Errorf("parse id: %w", err)
	}
	return Of[T]{u}, nil
}

// IsZero reports whether there is no identifier. It makes omitzero work in JSON
// and nullzero in Bun.
func (i Of[T]) IsZero() bool { return i.UUID == uuid.Nil }

// UUIDValue gives pgx the sixteen bytes, so that a bound identifier does not
// travel as text.
func (i Of[T]) UUIDValue() (pgtype.UUID, error) {
	return pgtype.UUID{Bytes: i.UUID, Valid: true}, nil
}
