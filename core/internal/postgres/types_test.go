package postgres_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/stratohub/strato/core/internal/postgres"
)

// Every type gives the same Go value in text form (statement without arguments)
// and in binary form (with arguments), and takes its own value back as an
// argument.
func TestTypes(t *testing.T) {
	t.Parallel()

	utc := func(year int, month time.Month, day, hour, minute, second, micro int) time.Time {
		return time.Date(year, month, day, hour, minute, second, micro*1000, time.UTC)
	}
	const id = "01900000-0000-7000-8000-00000000abcd"
	cases := []struct {
		typ, literal string
		want         any
	}{
		{"uuid", id, id},
		{"text", `a "quoted" \ 'text' ñ 🏠`, `a "quoted" \ 'text' ñ 🏠`},
		{"text", "", ""},
		{"varchar(10)", "abc", "abc"},
		{"char(4)", "ab", "ab  "},
		{"name", "abc", "abc"},
		{"bool", "true", true},
		{"bool", "false", false},
		{"int2", "-32768", int64(-32768)},
		{"int4", "-2147483648", int64(-2147483648)},
		{"int4", "7", int64(7)},
		{"int8", "-9223372036854775808", int64(-9223372036854775808)},
		{"oid", "4294967295", int64(4294967295)},
		{"float4", "1.5", 1.5},
		{"float4", "0.1", float64(float32(0.1))},
		{"float8", "-0.1", -0.1},
		{"float8", "1e300", 1e300},
		{"numeric", "12.30", "12.30"},
		{"numeric", "-0.0001", "-0.0001"},
		{"numeric", "123456789012345678901234567890", "123456789012345678901234567890"},
		{"timestamptz", "2026-07-01 12:30:45.123456+00", utc(2026, 7, 1, 12, 30, 45, 123456)},
		{"timestamptz", "2026-07-01 12:30:45-03:30", utc(2026, 7, 1, 16, 0, 45, 0)},
		{"timestamptz", "1850-01-01 00:00:00+00", utc(1850, 1, 1, 0, 0, 0, 0)},
		{"timestamptz", "infinity", "infinity"},
		{"timestamptz", "-infinity", "-infinity"},
		{"timestamp", "2026-02-28 23:59:59.000001", utc(2026, 2, 28, 23, 59, 59, 1)},
		{"timestamp", "infinity", "infinity"},
		{"date", "2026-12-31", utc(2026, 12, 31, 0, 0, 0, 0)},
		{"date", "1969-12-31", utc(1969, 12, 31, 0, 0, 0, 0)},
		{"date", "12026-12-31", utc(12026, 12, 31, 0, 0, 0, 0)},
		{"date", "-infinity", "-infinity"},
		{"time", "12:30:45.5", nil}, // only that both forms agree
		{"interval", "1 day 02:03:04", nil},
		{"bytea", `\x00ff10`, []byte{0, 255, 16}},
		{"bytea", `\x`, []byte{}},
		{"json", `{"a": [1, "ñ"]}`, []byte(`{"a": [1, "ñ"]}`)},
		{"jsonb", `{"b":1,"a":null}`, []byte(`{"a": null, "b": 1}`)},
		{"inet", "192.168.0.1/24", "192.168.0.1/24"},
		{"inet", "10.0.0.1", nil}, // pgx writes 10.0.0.1/32
		{"cidr", "10.0.0.0/8", "10.0.0.0/8"},
		{"macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:03"},
		{"text[]", `{a,NULL,"b c","","q\"\\"}`, nil},
		{"text[]", "{}", "{}"},
		{"text[]", "{{a,b},{c,d}}", nil},
		{"varchar[]", "{a,b}", nil},
		{"uuid[]", "{" + id + "," + id + "}", "{" + id + "," + id + "}"},
		{"int2[]", "{1,-2}", "{1,-2}"},
		{"int4[]", "{1,NULL,-2147483648}", "{1,NULL,-2147483648}"},
		{"int8[]", "{9223372036854775807}", "{9223372036854775807}"},
		{"bool[]", "{t,f,NULL}", nil},
		{"float8[]", "{1.5,-2}", "{1.5,-2}"},
		{"numeric[]", "{1.50,2}", nil},
		{"timestamptz[]", `{"2026-07-01 12:30:45+00"}`, nil},
		{"jsonb[]", `{"{\"a\": 1}"}`, nil},
		{"crm.mood", "fine", "fine"},     // an enum, unknown to pgx
		{"crm.cents", "250", int64(250)}, // a domain
	}

	b := setup(t, postgres.DBConfig{})
	_, err := b.admin.Exec(t.Context(), "create type crm.mood as enum ('fine', 'bad'); create domain crm.cents as int8; grant usage on type crm.mood, crm.cents to strato_app")
	require.NoError(t, err)

	read := func(t *testing.T, query string, args ...any) any {
		t.Helper()
		rows, err := b.bun.DB.QueryContext(b.ana, query, args...)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		require.True(t, rows.Next(), "%v", rows.Err())
		var v any
		require.NoError(t, rows.Scan(&v))
		return v
	}

	for _, c := range cases {
		t.Run(c.typ+" "+c.literal, func(t *testing.T) { //nolint:paralleltest // one connection, on purpose
			quoted := "'" + strings.ReplaceAll(c.literal, "'", "''") + "'::" + c.typ
			inText := read(t, "select "+quoted)
			inBinary := read(t, "select "+quoted+" where $1 = 1", 1)
			require.IsType(t, inText, inBinary)
			if c.want != nil {
				require.Equal(t, c.want, inText, "text")
				require.Equal(t, c.want, inBinary, "binary")
			} else if same := read(t, "select ($1::text)::"+c.typ+" is not distinct from ($2::text)::"+c.typ, inText, inBinary); same != true {
				t.Fatalf("text form %v and binary form %v differ", inText, inBinary)
			}
			require.Equal(t, inBinary, read(t, "select $1::"+c.typ, inBinary), "as an argument")

			require.Nil(t, read(t, "select null::"+c.typ))
			require.Nil(t, read(t, "select null::"+c.typ+" where $1 = 1", 1))
			require.Nil(t, read(t, "select $1::"+c.typ, nil))
		})
	}

	t.Run("ranges say what to do", func(t *testing.T) { //nolint:paralleltest // one connection, on purpose
		require.Equal(t, "[1,5)", read(t, "select '[1,5)'::int4range"))
		rows, err := b.bun.DB.QueryContext(b.ana, "select '[1,5)'::int4range where $1 = 1", 1)
		require.NoError(t, err)
		require.False(t, rows.Next())
		require.ErrorContains(t, rows.Err(), "cast it to text")
		require.NoError(t, rows.Close())
		require.Equal(t, "[1,5)", read(t, "select '[1,5)'::int4range::text where $1 = 1", 1))
	})

	t.Run("a session of another time zone", func(t *testing.T) { //nolint:paralleltest // one connection, on purpose
		_, err := b.pool.Exec(t.Context(), "set timezone = 'Asia/Kolkata'")
		require.NoError(t, err)
		require.Equal(t, utc(2026, 7, 1, 12, 0, 0, 0), read(t, "select '2026-07-01 12:00:00+00'::timestamptz"))
		require.Equal(t, utc(1800, 1, 1, 0, 0, 0, 0), read(t, "select '1800-01-01 00:00:00+00'::timestamptz"), "an offset with seconds")
	})
}

// The values reach the Go types that Strato's models use, through Bun and
// through database/sql, in both forms.
func TestScan(t *testing.T) {
	t.Parallel()

	type row struct {
		ID      uuid.UUID
		Maybe   *uuid.UUID
		Name    string
		Empty   *string
		Yes     bool
		Small   int16
		Count   int
		Big     int64
		Ratio   float64
		At      time.Time
		Day     time.Time
		Never   *time.Time
		Raw     []byte
		JSON    json.RawMessage `bun:"json"`
		Doc     map[string]int  `bun:"type:jsonb"`
		Words   []string        `bun:",array"`
		Numbers []int64         `bun:",array"`
		IDs     []uuid.UUID     `bun:"ids,array"`
	}
	id := uuid.MustParse("01900000-0000-7000-8000-000000000001")
	want := row{
		ID: id, Name: "ñandú", Yes: true, Small: -3, Count: 70000, Big: 1 << 40, Ratio: 0.25,
		At: time.Date(2026, 7, 1, 12, 0, 0, 5000, time.UTC), Day: time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC),
		Raw: []byte{0, 1}, JSON: json.RawMessage(`{"a": 1}`), Doc: map[string]int{"a": 1},
		Words: []string{"a", `b "c"`, ""}, Numbers: []int64{1, -2}, IDs: []uuid.UUID{id, id},
	}
	const columns = `select '01900000-0000-7000-8000-000000000001'::uuid as id, null::uuid as maybe, 'ñandú' as name, null::text as empty,
		true as yes, -3::int2 as small, 70000 as count, (1::int8 << 40) as big, 0.25::float8 as ratio,
		'2026-07-01 12:00:00.000005+00'::timestamptz as at, '2026-07-01'::date as day, null::timestamptz as never,
		'\x0001'::bytea as raw, '{"a": 1}'::jsonb as json, '{"a": 1}'::jsonb as doc,
		array['a', 'b "c"', ''] as words, array[1, -2]::int8[] as numbers,
		array['01900000-0000-7000-8000-000000000001', '01900000-0000-7000-8000-000000000001']::uuid[] as ids`

	b := setup(t, postgres.DBConfig{})
	for name, rows := range map[string]func() (*sql.Rows, error){
		"text":   func() (*sql.Rows, error) { return b.bun.DB.QueryContext(b.ana, columns) },
		"binary": func() (*sql.Rows, error) { return b.bun.DB.QueryContext(b.ana, columns+" where $1 = 1", 1) },
	} {
		rs, err := rows()
		require.NoError(t, err)
		var got []row
		require.NoError(t, b.bun.ScanRows(b.ana, rs, &got), name)
		require.Equal(t, []row{want}, got, name)

		rs, err = rows()
		require.NoError(t, err)
		require.True(t, rs.Next())
		var r row
		require.NoError(t, rs.Scan(&r.ID, &r.Maybe, &r.Name, &r.Empty, &r.Yes, &r.Small, &r.Count, &r.Big, &r.Ratio, &r.At, &r.Day, &r.Never,
			&r.Raw, &r.JSON, new([]byte), pgdialect.Array(&r.Words), pgdialect.Array(&r.Numbers), pgdialect.Array(&r.IDs)), name)
		require.NoError(t, rs.Close())
		r.Doc = want.Doc
		require.Equal(t, want, r, name)
	}
}

// Arguments of the kinds that Strato's stores pass.
func TestArguments(t *testing.T) {
	t.Parallel()

	id := uuid.MustParse("01900000-0000-7000-8000-000000000001")
	at := time.Date(2026, 7, 1, 9, 0, 0, 0, time.FixedZone("", -3*3600))
	name := "x"
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, postgres.DBConfig{}, postgres.PoolConfig{MaxConns: 1, ExecMode: mode})
			for query, arg := range map[string]any{
				"select $1::uuid = '01900000-0000-7000-8000-000000000001'":        id,
				"select $1::uuid is null":                                         (*uuid.UUID)(nil),
				"select $1::text = 'x'":                                           &name,
				"select $1::timestamptz = '2026-07-01 12:00:00+00'":               at,
				"select $1::bytea = '\\x0001'":                                    []byte{0, 1},
				"select $1::text[] = array['a', 'b']":                             []string{"a", "b"},
				"select $1::int8[] = array[1, 2]::int8[]":                         []int64{1, 2},
				"select $1::bool":                                                 true,
				"select $1::float8 = 0.5":                                         0.5,
				"select $1::int8 = 5":                                             int64(5),
				"select ($1::jsonb) = '{\"a\": 1}'":                               `{"a":1}`,
				"select '01900000-0000-7000-8000-000000000001' = any($1::uuid[])": []uuid.UUID{id},
			} {
				for range 2 {
					var ok bool
					require.NoError(t, b.bun.DB.QueryRowContext(b.ana, query, arg).Scan(&ok), query)
					require.True(t, ok, query)
				}
			}
			_, err := b.bun.DB.ExecContext(b.ana, "select $1", sql.Named("x", 1))
			require.ErrorContains(t, err, "$1")
			_, err = b.bun.DB.ExecContext(context.WithoutCancel(b.ana), "select $1::int + $2::int", 1, 2)
			require.NoError(t, err)
		})
	}
}
