package postgres_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/postgres"
)

// A prepared statement must not fail because the schema changed under it.
func TestStaleStatement(t *testing.T) {
	t.Parallel()

	// "*" makes the result's shape change with the table.
	const query = "select * from crm.notes where id = $1"
	add := func(t *testing.T, b *bundle) {
		t.Helper()
		_, err := b.admin.Exec(t.Context(), "alter table crm.notes add column extra int")
		require.NoError(t, err)
	}
	type queryFunc = func(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	columns := func(ctx context.Context, t *testing.T, run queryFunc) int {
		t.Helper()
		rows, err := run(ctx, query, 1)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		names, err := rows.Columns()
		require.NoError(t, err)
		require.True(t, rows.Next())
		return len(names)
	}

	t.Run("outside a transaction", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		require.Equal(t, 3, columns(b.ana, t, b.bun.DB.QueryContext))
		add(t, b)
		require.Equal(t, 4, columns(b.ana, t, b.bun.DB.QueryContext))
		b.idle(t)
	})

	t.Run("first in a transaction", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		require.Equal(t, 3, columns(b.ana, t, b.bun.DB.QueryContext))
		add(t, b)
		err := b.bun.RunInTx(b.ana, nil, func(ctx context.Context, tx bun.Tx) error {
			require.Equal(t, 4, columns(ctx, t, tx.Tx.QueryContext))
			_, err := tx.ExecContext(ctx, "delete from crm.notes where id = 1")
			return err
		})
		require.NoError(t, err)
		require.Equal(t, 2, b.count(t, b.ana))
		require.Equal(t, 3, b.count(t, b.beo))
		b.idle(t)
	})

	t.Run("later in a transaction it fails, and the next time works", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		require.Equal(t, 3, columns(b.ana, t, b.bun.DB.QueryContext))
		add(t, b)
		attempt := func() error {
			return b.bun.RunInTx(b.ana, nil, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.ExecContext(ctx, "delete from crm.notes where id = 2"); err != nil {
					return err
				}
				rows, err := tx.Tx.QueryContext(ctx, query, 1)
				if err != nil {
					return err
				}
				return rows.Close()
			})
		}
		require.Equal(t, "0A000", postgres.Code(attempt()))
		require.Equal(t, 3, b.count(t, b.ana))
		require.NoError(t, attempt())
		require.Equal(t, 2, b.count(t, b.ana))
	})

	t.Run("an argument's type changes", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		_, err := b.admin.Exec(t.Context(), "alter table crm.notes add column ref text")
		require.NoError(t, err)
		touch := func() error {
			_, err := b.bun.DB.ExecContext(b.ana, "update crm.notes set text = 'x' where ref = $1", b.anaID.String())
			return err
		}
		require.NoError(t, touch())
		_, err = b.admin.Exec(t.Context(), "alter table crm.notes alter ref type uuid using ref::uuid")
		require.NoError(t, err)
		// The server would compare a uuid with the text it was promised.
		require.NoError(t, touch())
	})

	t.Run("the server forgot the statement", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		require.Equal(t, 3, columns(b.ana, t, b.bun.DB.QueryContext))
		_, err := b.pool.Exec(t.Context(), "deallocate all")
		require.NoError(t, err)
		require.Equal(t, 3, columns(b.ana, t, b.bun.DB.QueryContext))
	})

	t.Run("a statement that is simply wrong fails", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		_, err := b.bun.DB.ExecContext(b.ana, "select no_such_function($1)", 1)
		require.Equal(t, "42883", postgres.Code(err))
		b.idle(t)
	})
}
