package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/postgres"
)

func TestStatement(t *testing.T) {
	t.Parallel()

	t.Run("sees one tenant's rows", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})

		_, err := b.bun.NewInsert().Model(&Note{TenantID: b.anaID, ID: 4, Text: "only Ana's"}).Exec(b.ana)
		require.NoError(t, err)
		require.Equal(t, 4, b.count(t, b.ana))
		require.Equal(t, 3, b.count(t, b.beo))
		b.idle(t)
	})

	t.Run("with arguments", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})

		// Twice, since the second time the statement is prepared already.
		for range 2 {
			for _, ctx := range []context.Context{b.ana, b.beo} {
				tenant, _ := postgres.TenantFrom(ctx)
				var got []Note
				rows, err := b.bun.DB.QueryContext(ctx, "select tenant_id, id, text from crm.notes where id > $1 order by id", 1)
				require.NoError(t, err)
				require.NoError(t, b.bun.ScanRows(ctx, rows, &got))
				require.Equal(t, []Note{{TenantID: tenant, ID: 2, Text: "note 2"}, {TenantID: tenant, ID: 3, Text: "note 3"}}, got)
			}
		}
		res, err := b.bun.DB.ExecContext(b.ana, "update crm.notes set text = $1 where id >= $2", "new", 2)
		require.NoError(t, err)
		n, err := res.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		b.idle(t)
	})

	t.Run("prepared by database/sql", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})

		st, err := b.bun.DB.PrepareContext(b.ana, "select count(*) from crm.notes where id > $1")
		require.NoError(t, err)
		defer func() { require.NoError(t, st.Close()) }()
		var n int
		require.NoError(t, st.QueryRowContext(b.ana, 1).Scan(&n))
		require.Equal(t, 2, n)
		require.ErrorIs(t, st.QueryRowContext(t.Context(), 1).Scan(&n), postgres.ErrNoTenant)
	})

	t.Run("without a tenant nothing is sent", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		// A pool that cannot connect would answer otherwise if it were asked.
		for name, ctx := range map[string]context.Context{
			"none": t.Context(), "zero": postgres.WithTenant(t.Context(), [16]byte{}),
		} {
			_, err := b.bun.DB.ExecContext(ctx, "delete from crm.notes")
			require.ErrorIs(t, err, postgres.ErrNoTenant, name)
			_, err = b.bun.DB.ExecContext(ctx, "delete from crm.notes where id = $1", 1)
			require.ErrorIs(t, err, postgres.ErrNoTenant, name)
			rows, err := b.bun.DB.QueryContext(ctx, "select 1")
			require.ErrorIs(t, err, postgres.ErrNoTenant, name)
			require.Nil(t, rows)
			_, err = b.bun.BeginTx(ctx, nil)
			require.ErrorIs(t, err, postgres.ErrNoTenant, name)
		}
		require.Empty(t, b.told.queries)
	})

	t.Run("a foreign tenant_id is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		_, err := b.bun.NewInsert().Model(&Note{TenantID: b.beoID, ID: 9, Text: "x"}).Exec(b.ana)
		require.True(t, postgres.IsDenied(err), "%v", err)
		b.idle(t)
	})

	t.Run("errors come from the call and leave the connection usable", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		for name, run := range map[string]func() error{
			"exec": func() error {
				_, err := b.bun.DB.ExecContext(b.ana, "insert into crm.notes values ('"+b.anaID.String()+"', 1, 'again')")
				return err
			},
			"exec with arguments": func() error {
				_, err := b.bun.DB.ExecContext(b.ana, "insert into crm.notes values ($1, $2, $3)", b.anaID, 1, "again")
				return err
			},
			"query": func() error {
				_, err := b.bun.DB.QueryContext(b.ana, "insert into crm.notes values ('"+b.anaID.String()+"', 1, 'again') returning id") //nolint:sqlclosecheck // fails
				return err
			},
			"query with arguments": func() error {
				_, err := b.bun.DB.QueryContext(b.ana, "insert into crm.notes values ($1, $2, $3) returning id", b.anaID, 1, "again") //nolint:sqlclosecheck // fails
				return err
			},
		} {
			for range 2 {
				err := run()
				require.True(t, postgres.IsUnique(err, "notes_pkey"), "%s: %v", name, err)
				require.Equal(t, 3, b.count(t, b.ana), name)
			}
		}
		_, err := b.bun.DB.ExecContext(b.ana, "select from nowhere where 1 = $1", 1)
		require.Equal(t, "42P01", postgres.Code(err))
		_, err = b.bun.DB.ExecContext(b.ana, "no sql at all")
		require.Equal(t, "42601", postgres.Code(err))
		_, err = b.bun.DB.ExecContext(b.ana, "select $1::int", "not a number")
		require.Error(t, err)
		require.Equal(t, 3, b.count(t, b.ana))
		b.idle(t)
	})

	t.Run("an error after the first row ends the rows", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		for name, query := range map[string]func() (*sql.Rows, error){
			"text": func() (*sql.Rows, error) {
				return b.bun.DB.QueryContext(b.ana, "select 1 / (3 - i) from generate_series(1, 3) i")
			},
			"arguments": func() (*sql.Rows, error) {
				return b.bun.DB.QueryContext(b.ana, "select 1 / ($1 - i) from generate_series(1, 3) i", 3)
			},
		} {
			rows, err := query()
			require.NoError(t, err, name)
			n := 0
			for rows.Next() {
				n++
			}
			require.Equal(t, 2, n, name)
			require.Equal(t, "22012", postgres.Code(rows.Err()), name)
			require.NoError(t, rows.Close(), name)
			require.Equal(t, "22012", postgres.Code(b.told.last(t).Err), name)
			b.idle(t)
		}
	})

	t.Run("rows that are not read to their end", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		for _, args := range [][]any{nil, {100000}} {
			query := "select generate_series(1, 100000)"
			if args != nil {
				query = "select generate_series(1, $1::int)"
			}
			rows, err := b.bun.DB.QueryContext(b.ana, query, args...)
			require.NoError(t, err)
			require.True(t, rows.Next())
			require.NoError(t, rows.Close())
			b.idle(t)
		}
	})

	t.Run("several statements in one text", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		res, err := b.bun.DB.ExecContext(b.ana, "update crm.notes set text = 'a'; delete from crm.notes where id = 1")
		require.NoError(t, err)
		n, err := res.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 1, n, "of the last")
		require.Equal(t, 2, b.count(t, b.ana))
		require.Equal(t, 3, b.count(t, b.beo))
		_, err = b.bun.DB.ExecContext(b.ana, "")
		require.NoError(t, err)
		rows, err := b.bun.DB.QueryContext(b.ana, "-- nothing")
		require.NoError(t, err)
		require.False(t, rows.Next())
		require.NoError(t, rows.Close())
	})

	t.Run("a comment at the end", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		var n int
		require.NoError(t, b.bun.DB.QueryRowContext(b.ana, "select count(*) from crm.notes -- all of them").Scan(&n))
		require.Equal(t, 3, n)
	})

	t.Run("timeouts travel with the statement", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{StatementTimeout: 50 * time.Millisecond, LockTimeout: 20 * time.Millisecond})
		_, err := b.bun.DB.ExecContext(b.ana, "select pg_sleep(10)")
		require.True(t, postgres.IsTimeout(err), "%v", err)
		_, err = b.bun.DB.ExecContext(b.ana, "select pg_sleep($1)", 10)
		require.True(t, postgres.IsTimeout(err), "%v", err)
		err = b.bun.RunInTx(b.ana, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("select pg_sleep(10)").Exec(ctx)
			return err
		})
		require.True(t, postgres.IsTimeout(err), "%v", err)

		_, err = b.admin.Exec(t.Context(), "begin; lock table crm.notes in access exclusive mode")
		require.NoError(t, err)
		err = b.bun.NewSelect().Model(&[]Note{}).Scan(b.ana)
		require.Equal(t, "55P03", postgres.Code(err))
		_, err = b.admin.Exec(t.Context(), "rollback")
		require.NoError(t, err)

		var setting string
		require.NoError(t, b.pool.QueryRow(t.Context(), "show statement_timeout").Scan(&setting))
		require.Equal(t, "0", setting, "the timeout stayed on the connection")
	})

	t.Run("the hook is told", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		require.NoError(t, b.bun.NewSelect().Model(&[]Note{}).Scan(b.ana))
		q := b.told.last(t)
		require.Contains(t, q.SQL, `"crm"."notes"`)
		require.Equal(t, b.anaID, q.Tenant)
		require.EqualValues(t, 3, q.Rows)
		require.Positive(t, q.Duration)
		require.NoError(t, q.Err)

		_, err := b.bun.DB.ExecContext(b.ana, "delete from crm.notes where id <> $1", 1)
		require.NoError(t, err)
		require.EqualValues(t, 2, b.told.last(t).Rows)

		var slow []postgres.Query
		hook := postgres.SlowQueries(time.Second, func(_ context.Context, q postgres.Query) { slow = append(slow, q) })
		hook(t.Context(), postgres.Query{Duration: time.Second - 1})
		hook(t.Context(), postgres.Query{Duration: time.Second})
		require.Len(t, slow, 1)
	})
}

func TestStatementCancelled(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]func(ctx context.Context, b *bundle) error{
		"text": func(ctx context.Context, b *bundle) error {
			_, err := b.bun.DB.ExecContext(ctx, "select pg_sleep(60)")
			return err
		},
		"arguments": func(ctx context.Context, b *bundle) error {
			_, err := b.bun.DB.ExecContext(ctx, "select pg_sleep($1)", 60)
			return err
		},
		"unwatched, before a row": func(ctx context.Context, b *bundle) error {
			_, err := b.bun.DB.QueryContext(postgres.Unwatched(ctx), "select pg_sleep($1)", 60)
			return err
		},
		"unwatched, between rows": func(ctx context.Context, b *bundle) error {
			rows, err := b.bun.DB.QueryContext(postgres.Unwatched(ctx),
				"select case when n < $1 then repeat('x', 10000) else pg_sleep(60)::text end from generate_series(1, 100) n", 99)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
			}
			return rows.Err()
		},
		"transaction": func(ctx context.Context, b *bundle) error {
			return b.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.NewRaw("update crm.notes set text = 'lost'").Exec(ctx); err != nil {
					return err
				}
				_, err := tx.NewRaw("select pg_sleep(60)").Exec(ctx)
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, postgres.DBConfig{})
			ctx, cancel := context.WithCancel(b.ana)
			done := make(chan error, 1)
			go func() { done <- query(ctx, b) }()
			sleeping(t, b, 1)
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
			sleeping(t, b, 0)
			require.Equal(t, 3, b.count(t, b.ana), "the pool is usable")
			b.idle(t)
		})
	}

	t.Run("a context that has ended already", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		ctx, cancel := context.WithCancel(b.ana)
		cancel()
		_, err := b.bun.DB.ExecContext(ctx, "select 1")
		require.ErrorIs(t, err, context.Canceled)
		_, err = b.bun.DB.QueryContext(postgres.Unwatched(ctx), "select $1::int", 1) //nolint:sqlclosecheck // it fails
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, postgres.IsUnavailable(err))
		require.Equal(t, 3, b.count(t, b.ana))
	})
}

// sleeping waits until so many statements sleep on the server.
func sleeping(t *testing.T, b *bundle, want int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		err := b.admin.QueryRow(t.Context(), "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'").Scan(&n)
		return err == nil && n == want
	}, 10*time.Second, 5*time.Millisecond)
}

func TestOpenDB(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.DBConfig{})
	db := postgres.OpenDB(b.pool, postgres.DBConfig{StatementTimeout: time.Minute})
	defer func() { require.NoError(t, db.Close()) }()

	var timeout string
	require.NoError(t, db.QueryRowContext(t.Context(), "show statement_timeout").Scan(&timeout))
	require.Equal(t, "1min", timeout)
	require.NoError(t, db.DB.QueryRowContext(t.Context(), "select current_setting('statement_timeout') where 1 = $1", 1).Scan(&timeout))
	require.Equal(t, "1min", timeout)
	n, err := db.NewSelect().Model((*Note)(nil)).Count(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "no tenant, no rows")

	failed := errors.New("failed")
	err = db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		require.NoError(t, tx.NewRaw("select current_setting('statement_timeout')").Scan(ctx, &timeout))
		return failed
	})
	require.ErrorIs(t, err, failed)
	b.idle(t)
}
