package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/postgres"
)

func TestTx(t *testing.T) {
	t.Parallel()

	t.Run("commits and rolls back", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		insert := func(id int, fail error) error {
			return b.bun.RunInTx(b.ana, nil, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewInsert().Model(&Note{TenantID: b.anaID, ID: id, Text: "x"}).Exec(ctx)
				require.NoError(t, err)
				_, err = tx.Tx.ExecContext(ctx, "insert into crm.notes values ($1, $2, $3)", b.anaID, id+1, "y")
				require.NoError(t, err)
				return fail
			})
		}
		require.NoError(t, insert(10, nil))
		require.Equal(t, 5, b.count(t, b.ana))
		broken := errors.New("broken")
		require.ErrorIs(t, insert(20, broken), broken)
		require.Equal(t, 5, b.count(t, b.ana))
		require.Equal(t, 3, b.count(t, b.beo))
		b.idle(t)
	})

	// The first statement carries BEGIN and the tenant, whatever its kind.
	for name, first := range map[string]func(ctx context.Context, b *bundle, tx bun.Tx) error{
		"exec": func(ctx context.Context, b *bundle, tx bun.Tx) error {
			_, err := tx.Tx.ExecContext(ctx, "update crm.notes set text = 'changed'")
			return err
		},
		"exec with arguments": func(ctx context.Context, b *bundle, tx bun.Tx) error {
			_, err := tx.Tx.ExecContext(ctx, "update crm.notes set text = $1", "changed")
			return err
		},
		"query": func(ctx context.Context, b *bundle, tx bun.Tx) error {
			var got string
			return tx.Tx.QueryRowContext(ctx, "update crm.notes set text = 'changed' where id = 1 returning text").Scan(&got)
		},
		"query with arguments": func(ctx context.Context, b *bundle, tx bun.Tx) error {
			var got string
			return tx.Tx.QueryRowContext(ctx, "update crm.notes set text = $1 where id = $2 returning text", "changed", 1).Scan(&got)
		},
	} {
		t.Run("first statement is "+name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, postgres.DBConfig{})
			for range 2 { // fresh, then prepared
				err := b.bun.RunInTx(b.ana, nil, func(ctx context.Context, tx bun.Tx) error {
					require.NoError(t, first(ctx, b, tx))
					var tenant, inTx string
					require.NoError(t, tx.Tx.QueryRowContext(ctx,
						"select current_setting('app.tenant_id'), txid_current_if_assigned() is not null").Scan(&tenant, &inTx))
					require.Equal(t, b.anaID.String(), tenant)
					require.Equal(t, "true", inTx, "the statements share a transaction")
					return sql.ErrTxDone // anything: roll back
				})
				require.ErrorIs(t, err, sql.ErrTxDone)
				var changed int
				require.NoError(t, b.admin.QueryRow(t.Context(), "select count(*) from crm.notes where text = 'changed'").Scan(&changed))
				require.Zero(t, changed, "rolled back")
				b.idle(t)
			}
		})
	}

	t.Run("an empty transaction sends nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		conn, err := b.bun.Conn(b.ana)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		before := lastQuery(t, b)
		for _, end := range []func(bun.Tx) error{bun.Tx.Commit, bun.Tx.Rollback} {
			tx, err := conn.BeginTx(b.ana, nil)
			require.NoError(t, err)
			require.NoError(t, end(tx))
			require.Equal(t, before, lastQuery(t, b))
		}
		require.NoError(t, conn.RunInTx(b.ana, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.ExecContext(ctx, "select 'something'")
			return err
		}))
		require.NotEqual(t, before, lastQuery(t, b), "the check can see a statement")
	})

	t.Run("commit after a failed statement reports the rollback", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		for name, statements := range map[string][]string{
			"the first":                       {"insert into crm.notes values (null, null, null)"},
			"a later one":                     {"select 1", "insert into crm.notes values (null, null, null)"},
			"the first, which does not parse": {"no sql"},
		} {
			for _, args := range [][]any{nil, {1}} {
				tx, err := b.bun.BeginTx(b.ana, nil)
				require.NoError(t, err)
				for i, s := range statements {
					if args != nil {
						s += " -- $1"
					}
					_, err = tx.Tx.ExecContext(b.ana, s)
					require.Equal(t, i == len(statements)-1, err != nil, "%s: %v", name, err)
				}
				_, err = tx.Tx.ExecContext(b.ana, "insert into crm.notes values ($1, $2, $3)", b.anaID, 50, "after the failure")
				require.Error(t, err, name)
				require.ErrorIs(t, tx.Commit(), pgx.ErrTxCommitRollback, name)
				require.Equal(t, 3, b.count(t, b.ana), name)
				b.idle(t)
			}
		}
	})

	t.Run("a statement that cannot be prepared loses the transaction", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		tx, err := b.bun.BeginTx(b.ana, nil)
		require.NoError(t, err)
		// pgx prepares before it begins, so the server never saw BEGIN.
		_, err = tx.Tx.ExecContext(b.ana, "select nothing from nowhere where id = $1", 1)
		require.Equal(t, "42P01", postgres.Code(err))
		_, err = tx.Tx.ExecContext(b.ana, "delete from crm.notes where id = $1", 1)
		require.Error(t, err)
		_, err = tx.Tx.ExecContext(b.ana, "delete from crm.notes")
		require.Error(t, err)
		require.ErrorIs(t, tx.Commit(), pgx.ErrTxCommitRollback)
		require.Equal(t, 3, b.count(t, b.ana))
		b.idle(t)
	})

	t.Run("read only", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		err := b.bun.RunInTx(b.ana, &sql.TxOptions{ReadOnly: true}, func(ctx context.Context, tx bun.Tx) error {
			var n int
			require.NoError(t, tx.Tx.QueryRowContext(ctx, "select count(*) from crm.notes where id > $1", 0).Scan(&n))
			require.Equal(t, 3, n)
			_, err := tx.ExecContext(ctx, "delete from crm.notes")
			return err
		})
		require.Equal(t, "25006", postgres.Code(err))
		require.Equal(t, 3, b.count(t, b.ana))
	})

	t.Run("isolation levels", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		for level, want := range map[sql.IsolationLevel]string{
			sql.LevelDefault:         "read committed",
			sql.LevelReadUncommitted: "read committed",
			sql.LevelReadCommitted:   "read committed",
			sql.LevelRepeatableRead:  "repeatable read",
			sql.LevelSnapshot:        "repeatable read",
			sql.LevelSerializable:    "serializable",
		} {
			err := b.bun.RunInTx(b.ana, &sql.TxOptions{Isolation: level}, func(ctx context.Context, tx bun.Tx) error {
				var got string
				require.NoError(t, tx.Tx.QueryRowContext(ctx, "select current_setting('transaction_isolation') where $1 = 1", 1).Scan(&got))
				require.Equal(t, want, got)
				return nil
			})
			require.NoError(t, err)
		}
		_, err := b.bun.BeginTx(b.ana, &sql.TxOptions{Isolation: sql.LevelLinearizable})
		require.ErrorContains(t, err, "not supported")
	})

	t.Run("serialisation failure", func(t *testing.T) {
		t.Parallel()
		b := setupWith(t, postgres.DBConfig{}, postgres.PoolConfig{MaxConns: 2})
		serial := &sql.TxOptions{Isolation: sql.LevelSerializable}
		err := b.bun.RunInTx(b.ana, serial, func(ctx context.Context, one bun.Tx) error {
			require.NoError(t, one.NewSelect().Model(&[]Note{}).Scan(ctx))
			require.NoError(t, b.bun.RunInTx(b.ana, serial, func(ctx context.Context, two bun.Tx) error {
				_, err := two.ExecContext(ctx, "update crm.notes set text = 'two'")
				return err
			}))
			_, err := one.ExecContext(ctx, "update crm.notes set text = 'one'")
			return err
		})
		require.True(t, postgres.IsRetryable(err), "%v", err)
		require.False(t, postgres.IsUnavailable(err))
	})

	t.Run("a savepoint may come first", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		err := b.bun.RunInTx(b.ana, nil, func(ctx context.Context, tx bun.Tx) error {
			failed := errors.New("failed")
			err := tx.RunInTx(ctx, nil, func(ctx context.Context, inner bun.Tx) error {
				_, err := inner.ExecContext(ctx, "delete from crm.notes")
				require.NoError(t, err)
				return failed
			})
			require.ErrorIs(t, err, failed)
			_, err = tx.ExecContext(ctx, "update crm.notes set text = 'kept' where id = 1")
			return err
		})
		require.NoError(t, err)
		require.Equal(t, 3, b.count(t, b.ana))
		b.idle(t)
	})

	t.Run("another tenant's context is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		err := b.bun.RunInTx(b.ana, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.ExecContext(b.beo, "delete from crm.notes")
			require.ErrorIs(t, err, postgres.ErrOtherTenant)
			_, err = tx.Tx.ExecContext(b.beo, "delete from crm.notes where id = $1", 1)
			require.ErrorIs(t, err, postgres.ErrOtherTenant)
			// A context without one means the transaction's.
			_, err = tx.ExecContext(t.Context(), "delete from crm.notes where id = 3")
			return err
		})
		require.NoError(t, err)
		require.Equal(t, 2, b.count(t, b.ana))
		require.Equal(t, 3, b.count(t, b.beo))
	})

	t.Run("its context ends", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		ctx, cancel := context.WithCancel(b.ana)
		tx, err := b.bun.BeginTx(ctx, nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(ctx, "delete from crm.notes")
		require.NoError(t, err)
		cancel()
		require.Error(t, tx.Commit())
		require.Equal(t, 3, b.count(t, b.ana))
		b.idle(t)
	})

	t.Run("the connection breaks", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		err := b.bun.RunInTx(b.ana, nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.ExecContext(ctx, "delete from crm.notes")
			require.NoError(t, err)
			_, err = b.admin.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'strato_app'")
			require.NoError(t, err)
			_, err = tx.ExecContext(ctx, "delete from crm.notes")
			return err
		})
		require.True(t, postgres.IsUnavailable(err), "%v", err)
		require.Equal(t, 3, b.count(t, b.ana), "the pool connects again")
	})
}

// lastQuery is the last statement that the pool's connection sent.
func lastQuery(t *testing.T, b *bundle) string {
	t.Helper()
	var q string
	require.NoError(t, b.admin.QueryRow(t.Context(),
		"select coalesce(min(query || query_start), '') from pg_stat_activity where datname = current_database() and usename = 'strato_app'").Scan(&q))
	return q
}
