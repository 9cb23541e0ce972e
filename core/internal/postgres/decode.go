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
		return textBool
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID:
		return textInt
	case pgtype.Float4OID:
		return textFloat4
	case pgtype.Float8OID:
		return textFloat8
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
		return binaryUUID
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID, pgtype.UnknownOID, pgtype.XMLOID:
		return text
	case pgtype.BoolOID:
		return binaryBool
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return binaryInt
	case pgtype.OIDOID:
		return binaryOID
	case pgtype.Float4OID, pgtype.Float8OID:
		return binaryFloat
	case pgtype.TimestamptzOID, pgtype.TimestampOID:
		return binaryTimestamp
	case pgtype.DateOID:
		return binaryDate
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

func binaryUUID(src []byte) (driver.Value, error) {
	if len(src) != 16 {
		return nil, errSize(src)
	}
	return uuid.UUID(src).String(), nil
}

func binaryBool(src []byte) (driver.Value, error) {
	if len(src) != 1 {
		return nil, errSize(src)
	}
	return src[0] != 0, nil
}

func binaryInt(src []byte) (driver.Value, error) {
	n, err := integer(src)
	return n, err
}

// integer reads the wire's two's complement of two, four or eight bytes.
func integer(src []byte) (int64, error) {
	switch len(src) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(src))), nil //nolint:gosec // two's complement
	case 4:
		return int64(int32(binary.BigEndian.Uint32(src))), nil //nolint:gosec // two's complement
	case 8:
		return int64(binary.BigEndian.Uint64(src)), nil //nolint:gosec // two's complement
	}
	return 0, errSize(src)
}

func binaryOID(src []byte) (driver.Value, error) {
	if len(src) != 4 {
		return nil, errSize(src)
	}
	return int64(binary.BigEndian.Uint32(src)), nil
}

func binaryFloat(src []byte) (driver.Value, error) {
	switch len(src) {
	case 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(src))), nil
	case 8:
		return math.Float64frombits(binary.BigEndian.Uint64(src)), nil
	}
	return nil, errSize(src)
}

// Binary times count from the start of the year 2000; the least and the most are
// the infinities.
const (
	epochMicros = 946684800 * 1_000_000
	epochDays   = 10957
)

func binaryTimestamp(src []byte) (driver.Value, error) {
	n, err := integer(src)
	switch {
	case err != nil:
		return nil, err
	case n == math.MinInt64:
		return "-infinity", nil
	case n == math.MaxInt64:
		return "infinity", nil
	}
	return time.UnixMicro(n + epochMicros).UTC(), nil
}

func binaryDate(src []byte) (driver.Value, error) {
	n, err := integer(src)
	switch {
	case err != nil:
		return nil, err
	case n == math.MinInt32:
		return "-infinity", nil
	case n == math.MaxInt32:
		return "infinity", nil
	}
	return time.Unix((n+epochDays)*86400, 0).UTC(), nil
}

func errSize(src []byte) error {
	return fmt.Errorf("a value of %d bytes does not fit its type", len(src))
}

func text(src []byte) (driver.Value, error)   { return string(src), nil }
func shared(src []byte) (driver.Value, error) { return src, nil }

func textBool(src []byte) (driver.Value, error) { return string(src) == "t", nil }

func textInt(src []byte) (driver.Value, error) {
	n, err := strconv.ParseInt(string(src), 10, 64)
	return n, err
}

func textFloat4(src []byte) (driver.Value, error) {
	f, err := strconv.ParseFloat(string(src), 32)
	return f, err
}

func textFloat8(src []byte) (driver.Value, error) {
	f, err := strconv.ParseFloat(string(src), 64)
	return f, err
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
