package postgres

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5/pgtype"
)

// appendFunc appends an array's element in PostgreSQL's text form.
type appendFunc func(dst, element []byte) ([]byte, error)

// elementWriter returns the writer of an array type's elements, for the arrays
// that are worth one; other arrays go through pgx's codec.
func elementWriter(arrayOID uint32) (appendFunc, bool) {
	switch arrayOID {
	case pgtype.TextArrayOID, pgtype.VarcharArrayOID:
		return appendQuoted, true
	case pgtype.UUIDArrayOID:
		return appendUUID, true
	case pgtype.Int2ArrayOID, pgtype.Int4ArrayOID, pgtype.Int8ArrayOID:
		return appendInt, true
	}
	return nil, false
}

var errArray = errors.New("array is not in PostgreSQL's binary form")

// binaryArray rewrites a binary array in the text form, {a,b}, that
// database/sql's scanners know.
func binaryArray(write appendFunc) decodeFunc {
	return func(src []byte) (driver.Value, error) {
		// Dimensions, a flag for NULLs, the element type; then length and lower
		// bound of each dimension.
		if len(src) < 12 {
			return nil, errArray
		}
		dims := int(binary.BigEndian.Uint32(src))
		src = src[12:]
		if dims == 0 {
			return "{}", nil
		}
		if dims > 6 || len(src) < 8*dims {
			return nil, errArray
		}
		sizes := make([]int, dims)
		for i := range sizes {
			sizes[i] = int(binary.BigEndian.Uint32(src[8*i:]))
		}
		w := arrayWriter{write: write, src: src[8*dims:], out: make([]byte, 0, 2*len(src))}
		if err := w.dimension(sizes); err != nil {
			return nil, err
		}
		return string(w.out), nil
	}
}

type arrayWriter struct {
	write    appendFunc
	src, out []byte
}

func (w *arrayWriter) dimension(sizes []int) (err error) {
	w.out = append(w.out, '{')
	for i := range sizes[0] {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if len(sizes) > 1 {
			err = w.dimension(sizes[1:])
		} else {
			err = w.element()
		}
		if err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *arrayWriter) element() (err error) {
	if len(w.src) < 4 {
		return errArray
	}
	n := int(int32(binary.BigEndian.Uint32(w.src))) //nolint:gosec // -1 is NULL
	w.src = w.src[4:]
	if n < 0 {
		w.out = append(w.out, "NULL"...)
		return nil
	}
	if len(w.src) < n {
		return errArray
	}
	w.out, err = w.write(w.out, w.src[:n])
	w.src = w.src[n:]
	return err
}

// appendQuoted always quotes, which every reader of the text form accepts.
func appendQuoted(dst, s []byte) ([]byte, error) {
	dst = append(dst, '"')
	for _, b := range s {
		if b == '"' || b == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, b)
	}
	return append(dst, '"'), nil
}

func appendUUID(dst, s []byte) ([]byte, error) {
	if len(s) != 16 {
		return nil, errArray
	}
	dst = append(hex.AppendEncode(dst, s[:4]), '-')
	dst = append(hex.AppendEncode(dst, s[4:6]), '-')
	dst = append(hex.AppendEncode(dst, s[6:8]), '-')
	dst = append(hex.AppendEncode(dst, s[8:10]), '-')
	return hex.AppendEncode(dst, s[10:]), nil
}

func appendInt(dst, s []byte) ([]byte, error) {
	n, err := integer(s)
	return strconv.AppendInt(dst, n, 10), err
}
