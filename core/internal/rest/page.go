// Package rest has the values that use cases share with the HTTP layer, without
// knowing HTTP: pages and their cursors, versions and preconditions.
package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/stratohub/strato/core/internal/fault"
)

// Faults of this package.
var (
	ErrCursor = fault.New(fault.Invalid, "page.cursor", "The page cannot be found; start again without `after`.")
	ErrStale  = fault.New(fault.Stale, "request.stale", "It has changed since you read it. Read it again.")
)

// Empty is the output of a use case that has nothing to say.
type Empty struct{}

// Page is a part of a list.
type Page[T any] struct {
	Items []T     `json:"items" doc:"The rows of this page." nullable:"false"`
	Next  *string `json:"next" doc:"Give it as after to get the next page; null on the last."`
}

// PageQuery asks for a part of a list. Embed it in a use case's input.
type PageQuery struct {
	After string `query:"after" maxLength:"512" doc:"next of the page before; empty for the first page."`
	Limit int    `query:"limit" default:"50" minimum:"1" maximum:"100" doc:"How many rows at most."`
}

// Size is the number of rows on a page, within bounds even if the query was
// never validated.
func (q PageQuery) Size() int {
	switch {
	case q.Limit <= 0:
		return 50
	case q.Limit > 100:
		return 100
	default:
		return q.Limit
	}
}

// Fetch is how many rows to ask the database for: one more than the page holds,
// to learn whether there is a next one.
func (q PageQuery) Fetch() int { return q.Size() + 1 }

// NewPage makes a page of rows fetched with [PageQuery.Fetch]. key returns what
// the list is ordered by, which [Key] will give back for the next page.
func NewPage[T, K any](q PageQuery, rows []T, key func(T) K) Page[T] {
	if rows == nil {
		rows = []T{}
	}
	if len(rows) <= q.Size() {
		return Page[T]{Items: rows}
	}
	rows = rows[:q.Size()]
	next := encode(key(rows[len(rows)-1]))
	return Page[T]{Items: rows, Next: &next}
}

// MapPage turns the rows of a page into what is shown of them.
func MapPage[T, U any](p Page[T], show func(T) U) Page[U] {
	items := make([]U, len(p.Items))
	for i, row := range p.Items {
		items[i] = show(row)
	}
	return Page[U]{Items: items, Next: p.Next}
}

// Key returns the order key of the last row of the page before, or nil on the
// first page. It returns [ErrCursor] if the client made the cursor up.
func Key[K any](q PageQuery) (*K, error) {
	if q.After == "" {
		return nil, nil
	}
	bad := ErrCursor.In(fault.Query, "/after", "is not the next of a page of this list")
	text, err := base64.RawURLEncoding.Strict().DecodeString(q.After)
	if err != nil {
		return nil, bad.With(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	k := new(K)
	if err := d.Decode(k); err != nil {
		return nil, bad.With(err)
	}
	// A cursor has one spelling: what decodes must encode to the same again. It
	// also catches a key with a field missing.
	if encode(*k) != q.After {
		return nil, bad
	}
	return k, nil
}

func encode[K any](k K) string {
	text, err := json.Marshal(k)
	if err != nil {
		panic(fmt.Sprintf("rest: a key of type %T does not encode: %v", k, err))
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
