package postgres_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
)

// What the tenant's setting costs: compare "tenant, bound" with "raw pgx", the
// same read prepared, without row security and without this driver.
//
//	go test -run - -bench . ./core/internal/postgres
func BenchmarkRead(b *testing.B) {
	db := dbtest.Empty(b)
	admin, err := pgx.Connect(b.Context(), db.AdminURL)
	require.NoError(b, err)
	defer func() { require.NoError(b, admin.Close(context.Background())) }()
	id := dbtest.TenantID()
	for _, statement := range []string{
		notes,
		"insert into crm.notes select '" + id.String() + "', i, 'note ' || i from generate_series(1, 1000) i",
		"create table crm.open as table crm.notes; alter table crm.open add primary key (tenant_id, id); grant select on crm.open to strato_app",
		"analyze",
	} {
		_, err = admin.Exec(b.Context(), statement)
		require.NoError(b, err)
	}
	url, err := postgres.RoleURL(db.AdminURL, postgres.RoleApp, db.Key)
	require.NoError(b, err)
	pool, err := postgres.NewPool(b.Context(), url, postgres.PoolConfig{MaxConns: 4})
	require.NoError(b, err)
	defer pool.Close()
	tenants := postgres.OpenTenantDB(pool, postgres.DBConfig{})
	ctx := postgres.WithTenant(b.Context(), id)

	const columns = "select tenant_id, id, text from "
	for _, read := range []struct {
		name, where string
		rows        int
	}{
		{"point", " where tenant_id = $1 and id = $2", 1},
		{"page", " where tenant_id = $1 and id > $2 order by id limit 50", 50},
	} {
		bench := func(name string, f func() (int, error)) {
			b.Run(read.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					n, err := f()
					if err != nil || n != read.rows {
						b.Fatalf("%d rows, %v", n, err)
					}
				}
			})
		}
		bench("raw pgx", func() (int, error) { return rawRead(ctx, pool, columns+"crm.open"+read.where, id) })
		bench("tenant, bound", func() (int, error) {
			return scan(tenants.DB.QueryContext(ctx, columns+"crm.notes"+read.where, id, 500))
		})
		bench("tenant, bun", func() (int, error) {
			var got []Note
			q := tenants.NewSelect().Model(&got).Where("tenant_id = ?", id)
			if read.rows == 1 {
				q.Where("id = ?", 500)
			} else {
				q.Where("id > ?", 500).Order("id").Limit(50)
			}
			err := q.Scan(ctx)
			return len(got), err
		})
		bench("tenant, transaction", func() (n int, err error) {
			err = tenants.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				n, err = scan(tx.Tx.QueryContext(ctx, columns+"crm.notes"+read.where, id, 500))
				return err
			})
			return n, err
		})
	}
}

func rawRead(ctx context.Context, pool *pgxpool.Pool, query string, id uuid.UUID) (n int, err error) {
	rows, err := pool.Query(ctx, query, id, 500)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var got Note
		if err := rows.Scan(&got.TenantID, &got.ID, &got.Text); err != nil {
			return 0, err
		}
		n++
	}
	return n, rows.Err()
}

func scan(rows *sql.Rows, err error) (n int, _ error) {
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }() // Err tells
	for rows.Next() {
		var got Note
		if err := rows.Scan(&got.TenantID, &got.ID, &got.Text); err != nil {
			return 0, err
		}
		n++
	}
	return n, rows.Err()
}
