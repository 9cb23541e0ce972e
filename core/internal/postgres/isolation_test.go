package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
)

// Many tenants share few connections, down to a single one behind PgBouncer, in
// every way there is to read; none ever sees another's row.
func TestIsolation(t *testing.T) {
	t.Parallel()

	const (
		tenants = 59 // a prime, so that tenants and connections do not fall into step
		workers = 32
		reads   = 4000
	)
	for name, c := range map[string]struct {
		bouncer bool
		pool    postgres.PoolConfig
	}{
		"direct, 4 connections":                         {pool: postgres.PoolConfig{MaxConns: 4}},
		"direct, 1 connection":                          {pool: postgres.PoolConfig{MaxConns: 1}},
		"transaction pooler, 1 server connection":       {bouncer: true, pool: postgres.PoolConfig{MaxConns: 16, ExecMode: pgx.QueryExecModeExec}},
		"transaction pooler, simple protocol":           {bouncer: true, pool: postgres.PoolConfig{MaxConns: 16, ExecMode: pgx.QueryExecModeSimpleProtocol}},
		"direct, arguments without prepared statements": {pool: postgres.PoolConfig{MaxConns: 4, ExecMode: pgx.QueryExecModeExec}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, postgres.DBConfig{}, c.pool)
			ids := make([]uuid.UUID, tenants)
			for i := range ids {
				ids[i] = dbtest.TenantID()
			}
			_, err := b.admin.Exec(t.Context(),
				"insert into crm.notes select t, i, t::text from unnest($1::uuid[]) t, generate_series(1, 5) i", ids)
			require.NoError(t, err)
			if c.bouncer {
				b.open(t, dbtest.PgBouncer(t, b.db, 1), postgres.DBConfig{Hook: ignore}, c.pool)
			} else {
				b.open(t, b.db, postgres.DBConfig{Hook: ignore}, c.pool)
			}

			var next, foreign atomic.Int64
			var wg sync.WaitGroup
			errs := make([]error, workers)
			for w := range workers {
				wg.Go(func() {
					for n := next.Add(1); n <= reads && errs[w] == nil; n = next.Add(1) {
						id := ids[int(n)%tenants]
						errs[w] = readOwn(postgres.WithTenant(t.Context(), id), b.bun, id, int(n), &foreign)
					}
				})
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
			require.Zero(t, foreign.Load(), "rows of another tenant")
			if !c.bouncer {
				b.idle(t)
			}
		})
	}
}

func ignore(context.Context, postgres.Query) {}

// readOwn reads all notes, without any condition, in a way that n decides.
func readOwn(ctx context.Context, db *bun.DB, id uuid.UUID, n int, foreign *atomic.Int64) error {
	const all, bound = "select text from crm.notes", "select text from crm.notes where id > $1"
	check := func(q interface {
		NewRaw(query string, args ...any) *bun.RawQuery
	}, bind func() ([]string, error)) error {
		var got []string
		var err error
		if bind != nil {
			got, err = bind()
		} else {
			err = q.NewRaw(all).Scan(ctx, &got)
		}
		if err != nil {
			return err
		}
		if len(got) != 5 {
			return fmt.Errorf("tenant %s sees %d rows, want 5", id, len(got))
		}
		for _, text := range got {
			if text != id.String() {
				foreign.Add(1)
			}
		}
		return nil
	}
	switch n % 6 {
	case 0:
		return check(db, nil)
	case 1, 2:
		return check(db, func() ([]string, error) { return texts(db.DB.QueryContext(ctx, bound, 0)) })
	case 3:
		return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if err := check(tx, nil); err != nil {
				return err
			}
			return check(tx, func() ([]string, error) { return texts(tx.Tx.QueryContext(ctx, bound, 0)) })
		})
	case 4:
		return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			return check(tx, func() ([]string, error) { return texts(tx.Tx.QueryContext(ctx, bound, 0)) })
		})
	}
	// A failure in between must not leave the tenant behind either.
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, "insert into crm.notes values (null, 0, '')")
		return err
	})
	if postgres.Code(err) == "" {
		return fmt.Errorf("the insert should have failed at the server: %w", err)
	}
	return check(db, nil)
}

func texts(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	var got []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		got = append(got, s)
	}
	return got, errors.Join(rows.Err(), rows.Close())
}

// What the driver does must be necessary: the session-level setting that it
// avoids does leak through a transaction pooler, to a client that never set one.
func TestSessionSettingLeaks(t *testing.T) {
	t.Parallel()
	b := setup(t, postgres.DBConfig{})
	front := dbtest.PgBouncer(t, b.db, 1)
	client := func() *pgx.Conn {
		cfg, err := pgx.ParseConfig(front.URL(t, postgres.RoleApp))
		require.NoError(t, err)
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
		return conn
	}
	seen := func(conn *pgx.Conn) (n int) {
		require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from crm.notes").Scan(&n))
		return n
	}
	first, second := client(), client()

	_, err := first.Exec(t.Context(), "select set_config('app.tenant_id', $1, true)", b.anaID.String())
	require.NoError(t, err)
	require.Zero(t, seen(second), "a transaction's setting ends with it")

	_, err = first.Exec(t.Context(), "select set_config('app.tenant_id', $1, false)", b.anaID.String())
	require.NoError(t, err)
	require.Equal(t, 3, seen(second), "a session's setting reaches the next client")
}
