package tenant

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// Hot is a query that Bun builds once and PostgreSQL prepares once: Bun's usual
// queries carry their values in the text, so the server parses and plans each.
// Its text may use $1 for the tenant and $2 and on for the arguments of the
// call. A Hot is safe for concurrent use.
type Hot[T any] struct{ text string }

// NewHot builds the query. The tenant's predicate is added; build adds the rest
// with $2 and on, as in q.Where("l.id = $2").
func NewHot[T any](build func(*bun.SelectQuery) *bun.SelectQuery) Hot[T] {
	db := bun.NewDB(sql.OpenDB(nowhere{}), pgdialect.New())
	q := db.NewSelect().Model((*T)(nil)).Where("?TableAlias.tenant_id = $1")
	return Hot[T]{text: build(q).String()}
}

// String is the query's text.
func (h Hot[T]) String() string { return h.text }

// One returns the row, or sql.ErrNoRows.
func (h Hot[T]) One(ctx context.Context, s Scope, args ...any) (*T, error) {
	row := new(T)
	if err := s.Query(ctx, row, h.text, h.bind(s, args)...); err != nil {
		return nil, err
	}
	return row, nil
}

// All returns the rows, never nil.
func (h Hot[T]) All(ctx context.Context, s Scope, args ...any) ([]T, error) {
	rows := []T{}
	if err := s.Query(ctx, &rows, h.text, h.bind(s, args)...); err != nil {
		return nil, err
	}
	return rows, nil
}

func (Hot[T]) bind(s Scope, args []any) []any {
	return append([]any{s.tenant}, args...)
}
