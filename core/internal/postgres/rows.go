package postgres

import (
	"database/sql/driver"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// rows reads a statement's rows off the connection.
type rows struct {
	src     pgx.Rows
	outer   closer // what the rows came in, closed after them; nil when nothing
	types   *pgtype.Map
	names   []string
	columns []column

	preloaded, more bool
	closed          bool
	n               int64
	err             error
	done            func(rows int64, err error)
}

type column struct {
	oid    uint32
	decode decodeFunc
}

// closer is a batch or a message of several results.
type closer interface{ Close() error }

// newRows reads the first row, so that the columns are known and the
// statement's errors come now. It closes everything when there is an error.
func newRows(src pgx.Rows, types *pgtype.Map, outer closer) (*rows, error) {
	r := &rows{src: src, outer: outer, types: types, preloaded: true}
	r.more = src.Next()
	if !r.more {
		if err := src.Err(); err != nil {
			if outer != nil {
				_ = outer.Close() // repeats err
			}
			return nil, err
		}
	}
	fields := src.FieldDescriptions()
	r.names = make([]string, len(fields))
	r.columns = make([]column, len(fields))
	for i, f := range fields {
		r.names[i] = f.Name
		r.columns[i] = column{oid: f.DataTypeOID, decode: decoder(types, f.DataTypeOID, f.Format)}
	}
	if !r.more {
		return r, r.Close()
	}
	return r, nil
}

// emptyRows has no columns and no rows.
func emptyRows() *rows { return &rows{closed: true, preloaded: true} }

// Columns returns the columns' names.
func (r *rows) Columns() []string { return r.names }

// ColumnTypeDatabaseTypeName returns the type's name in capitals, such as UUID
// or JSONB, and nothing for a type that pgx does not know.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return typeName(r.types, r.columns[i].oid) }

// Next decodes one row into dest. Byte slices belong to the driver and are good
// until the next call.
func (r *rows) Next(dest []driver.Value) error {
	if r.preloaded {
		r.preloaded = false
	} else if !r.closed {
		r.more = r.src.Next()
	}
	if !r.more {
		if err := r.Close(); err != nil {
			return err
		}
		return io.EOF
	}
	r.n++
	for i, raw := range r.src.RawValues() {
		if raw == nil {
			dest[i] = nil
			continue
		}
		v, err := r.columns[i].decode(raw)
		if err != nil {
			return fmt.Errorf("read column %s: %w", r.names[i], err)
		}
		dest[i] = v
	}
	return nil
}

// Close reads what is left and tells the hook. It returns the error that ended
// the rows early, if any.
func (r *rows) Close() error {
	if r.closed {
		return r.err
	}
	r.closed, r.more = true, false
	r.src.Close()
	r.err = r.src.Err()
	if r.outer != nil {
		if err := r.outer.Close(); r.err == nil {
			r.err = err
		}
	}
	if r.done != nil {
		r.done(r.n, r.err)
	}
	return r.err
}
