package postgres

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// decodeFunc turns one value, never NULL, into what database/sql expects. The
// result may share memory with src.
type decodeFunc func(src []byte) (driver.Value, error)

// decoder returns how values of a type are read. Whatever the format on the
// wire, a type always gives the same Go type:
//
//	bool                                  bool
//	int2, int4, int8, oid                 int64
//	float4, float8                        float64
//	timestamptz, timestamp, date          time.Time in UTC, or "infinity", "-infinity"
//	bytea, json, jsonb                    []byte
//	everything else                       string, as PostgreSQL writes it
//
// Ranges are read in text form only.
func decoder(m *pgtype.Map, oid uint32, format int16) decodeFunc {
	if format == pgtype.TextFormatCode {
		return textDecoder(m, oid)
	}
	return binaryDecoder(m, oid)
}

func textDecoder(m *pgtype.Map, oid uint32) decodeFunc {
	switch oid {
	case pgtype.BoolOID:
		return func(src []byte) (driver.Value, error) { return src[0] == 't', nil }
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID:
		return textInt
	case pgtype.Float4OID:
		return func(src []byte) (driver.Value, error) { return asValue(strconv.ParseFloat(string(src), 32)) }
	case pgtype.Float8OID:
		return func(src []byte) (driver.Value, error) { return asValue(strconv.ParseFloat(string(src), 64)) }
	case pgtype.TimestamptzOID, pgtype.TimestampOID, pgtype.DateOID:
		slow := throughCodec(m, oid, pgtype.TextFormatCode)
		return func(src []byte) (driver.Value, error) {
			if t, ok := parseTime(src); ok {
				return t, nil
			}
			return slow(src)
		}
	case pgtype.ByteaOID:
		return textBytea
	case pgtype.JSONOID, pgtype.JSONBOID:
		return shared
	}
	return text
}

func binaryDecoder(m *pgtype.Map, oid uint32) decodeFunc {
	switch oid {
	case pgtype.UUIDOID:
		return sized(16, func(src []byte) driver.Value { return uuid.UUID(src).String() })
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID, pgtype.UnknownOID, pgtype.XMLOID:
		return text
	case pgtype.BoolOID:
		return sized(1, func(src []byte) driver.Value { return src[0] != 0 })
	case pgtype.Int2OID:
		return sized(2, func(src []byte) driver.Value { return int64(int16(binary.BigEndian.Uint16(src))) }) //nolint:gosec // the wire's own two's complement
	case pgtype.Int4OID:
		return sized(4, func(src []byte) driver.Value { return int64(int32(binary.BigEndian.Uint32(src))) }) //nolint:gosec // the wire's own two's complement
	case pgtype.Int8OID:
		return sized(8, func(src []byte) driver.Value { return int64(binary.BigEndian.Uint64(src)) }) //nolint:gosec // the wire's own two's complement
	case pgtype.OIDOID:
		return sized(4, func(src []byte) driver.Value { return int64(binary.BigEndian.Uint32(src)) })
	case pgtype.Float4OID:
		return sized(4, func(src []byte) driver.Value {
			return float64(math.Float32frombits(binary.BigEndian.Uint32(src)))
		})
	case pgtype.Float8OID:
		return sized(8, func(src []byte) driver.Value { return math.Float64frombits(binary.BigEndian.Uint64(src)) })
	case pgtype.TimestamptzOID, pgtype.TimestampOID:
		return sized(8, func(src []byte) driver.Value {
			return timeValue(int64(binary.BigEndian.Uint64(src)), math.MinInt64, math.MaxInt64, fromMicros) //nolint:gosec // the wire's own two's complement
		})
	case pgtype.DateOID:
		return sized(4, func(src []byte) driver.Value {
			return timeValue(int64(int32(binary.BigEndian.Uint32(src))), math.MinInt32, math.MaxInt32, fromDays) //nolint:gosec // the wire's own two's complement
		})
	case pgtype.ByteaOID, pgtype.JSONOID:
		return shared
	case pgtype.JSONBOID:
		return binaryJSONB
	}
	if write, ok := elementWriter(oid); ok {
		return binaryArray(write)
	}
	return throughCodec(m, oid, pgtype.BinaryFormatCode)
}

// sized guards a decoder against a value of the wrong length.
func sized(n int, f func(src []byte) driver.Value) decodeFunc {
	return func(src []byte) (driver.Value, error) {
		if len(src) != n {
			return nil, fmt.Errorf("want %d bytes, got %d", n, len(src))
		}
		return f(src), nil
	}
}

func text(src []byte) (driver.Value, error)   { return string(src), nil }
func shared(src []byte) (driver.Value, error) { return src, nil }

func textInt(src []byte) (driver.Value, error) { return asValue(strconv.ParseInt(string(src), 10, 64)) }

func asValue[T any](v T, err error) (driver.Value, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

func textBytea(src []byte) (driver.Value, error) {
	if len(src) < 2 || src[0] != '\\' || src[1] != 'x' {
		return nil, errors.New("bytea is not in hex form; set bytea_output to hex")
	}
	dst := make([]byte, hex.DecodedLen(len(src)-2))
	if _, err := hex.Decode(dst, src[2:]); err != nil {
		return nil, err
	}
	return dst, nil
}

func binaryJSONB(src []byte) (driver.Value, error) {
	if len(src) == 0 || src[0] != 1 {
		return nil, errors.New("jsonb of an unknown version")
	}
	return src[1:], nil
}

// Binary times count from the start of the year 2000.
const (
	epochMicros = 946684800 * 1_000_000
	epochDays   = 10957
)

func fromMicros(n int64) time.Time { return time.UnixMicro(n + epochMicros).UTC() }
func fromDays(n int64) time.Time   { return time.Unix((n+epochDays)*86400, 0).UTC() }

func timeValue(n, least, most int64, f func(int64) time.Time) driver.Value {
	switch n {
	case least:
		return "-infinity"
	case most:
		return "infinity"
	}
	return f(n)
}

// throughCodec reads a type by pgx's codec: slower, for everything that has no
// decoder of its own.
func throughCodec(m *pgtype.Map, oid uint32, format int16) decodeFunc {
	t, known := m.TypeForOID(oid)
	if !known {
		return func(src []byte) (driver.Value, error) {
			if format == pgtype.TextFormatCode {
				return string(src), nil
			}
			return nil, fmt.Errorf("type with OID %d has no decoder", oid)
		}
	}
	switch t.Codec.(type) {
	case *pgtype.ArrayCodec:
		return rewriteArray(m, t, format)
	case *pgtype.RangeCodec, *pgtype.MultirangeCodec:
		return func([]byte) (driver.Value, error) {
			return nil, fmt.Errorf("%s has no binary decoder; cast it to text in the query", t.Name)
		}
	}
	return func(src []byte) (driver.Value, error) {
		v, err := t.Codec.DecodeDatabaseSQLValue(m, oid, format, src)
		if tm, ok := v.(time.Time); ok {
			return tm.UTC(), err
		}
		return v, err
	}
}

// rewriteArray decodes an array and writes it in the text form, since its codec
// would hand database/sql the bytes as they are.
func rewriteArray(m *pgtype.Map, t *pgtype.Type, format int16) decodeFunc {
	return func(src []byte) (driver.Value, error) {
		v, err := t.Codec.DecodeValue(m, t.OID, format, src)
		if err != nil {
			return nil, err
		}
		out, err := m.Encode(t.OID, pgtype.TextFormatCode, v, nil)
		if err != nil {
			return nil, err
		}
		return string(out), nil
	}
}

func typeName(m *pgtype.Map, oid uint32) string {
	if t, ok := m.TypeForOID(oid); ok {
		return strings.ToUpper(t.Name)
	}
	return ""
}
