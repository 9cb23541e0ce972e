package postgres_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
)

// notes is a table behind the tenant setting, as migrations make them.
const notes = `
create schema crm;
create table crm.notes (
	tenant_id uuid not null,
	id        int not null,
	text      text not null check (text <> ''),
	primary key (tenant_id, id)
);
alter table crm.notes enable row level security;
alter table crm.notes force row level security;
create policy tenant on crm.notes
	using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
	with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
grant usage on schema crm to strato_app;
grant select, insert, update, delete on crm.notes to strato_app`

// Note is a row of it.
type Note struct {
	bun.BaseModel `bun:"table:crm.notes,alias:n"`
	TenantID      uuid.UUID `bun:",pk"`
	ID            int       `bun:",pk"`
	Text          string
}

// bundle is a database with notes, and two tenants that have some.
type bundle struct {
	db       dbtest.DB
	pool     *pgxpool.Pool
	bun      *bun.DB
	admin    *pgx.Conn
	ana, beo context.Context // each a tenant's
	anaID    uuid.UUID
	beoID    uuid.UUID
	told     *told
}

// told collects what the hook was told.
type told struct {
	mu      sync.Mutex
	queries []postgres.Query
}

func (l *told) hook(_ context.Context, q postgres.Query) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queries = append(l.queries, q)
}

func (l *told) last(t *testing.T) postgres.Query {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.NotEmpty(t, l.queries)
	return l.queries[len(l.queries)-1]
}

// setup makes the bundle with one connection in the pool, so that a statement
// always meets what the one before left on it.
func setup(t *testing.T, c postgres.DBConfig) *bundle {
	t.Helper()
	return setupWith(t, c, postgres.PoolConfig{MaxConns: 1})
}

func setupWith(t *testing.T, c postgres.DBConfig, p postgres.PoolConfig) *bundle {
	t.Helper()
	b := &bundle{db: dbtest.Empty(t), anaID: dbtest.TenantID(), beoID: dbtest.TenantID(), told: &told{}}
	b.ana, b.beo = postgres.WithTenant(t.Context(), b.anaID), postgres.WithTenant(t.Context(), b.beoID)
	b.admin = b.db.Admin(t)
	_, err := b.admin.Exec(t.Context(), notes)
	require.NoError(t, err)
	_, err = b.admin.Exec(t.Context(), "insert into crm.notes select t, i, 'note ' || i from unnest($1::uuid[]) t, generate_series(1, 3) i",
		[]uuid.UUID{b.anaID, b.beoID})
	require.NoError(t, err)
	b.open(t, b.db, c, p)
	return b
}

// open connects the bundle to the database, or to what stands in front of it.
func (b *bundle) open(t *testing.T, db dbtest.DB, c postgres.DBConfig, p postgres.PoolConfig) {
	t.Helper()
	if c.Hook == nil {
		c.Hook = b.told.hook
	}
	b.pool = db.Pool(t, postgres.RoleApp, p)
	b.bun = postgres.OpenTenantDB(b.pool, c)
	t.Cleanup(func() { require.NoError(t, b.bun.Close()) })
}

// count returns how many notes the context's tenant sees.
func (b *bundle) count(t *testing.T, ctx context.Context) int {
	t.Helper()
	n, err := b.bun.NewSelect().Model((*Note)(nil)).Count(ctx)
	require.NoError(t, err)
	return int(n)
}

// idle fails when the pool's connection is not as a stranger may get it: outside
// a transaction and without a tenant.
func (b *bundle) idle(t *testing.T) {
	t.Helper()
	conn, err := b.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	require.Equal(t, byte('I'), conn.Conn().PgConn().TxStatus())
	var tenant string
	require.NoError(t, conn.QueryRow(t.Context(), "select coalesce(current_setting('app.tenant_id', true), '')").Scan(&tenant))
	require.Empty(t, tenant, "the tenant stayed on the connection")
}
