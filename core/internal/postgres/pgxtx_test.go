package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
)

// withTx runs fn in a Bun transaction and with the same transaction as pgx's.
func withTx(ctx context.Context, db *bun.DB, fn func(ctx context.Context, tx bun.Tx, px pgx.Tx) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		px, err := postgres.TxOf(ctx, conn)
		if err != nil {
			return err
		}
		return fn(ctx, tx, px)
	})
}

func TestTxOf(t *testing.T) {
	t.Parallel()

	t.Run("shares the transaction and its tenant", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		broken := errors.New("broken")
		work := func(fail error) error {
			return withTx(b.ana, b.bun, func(ctx context.Context, tx bun.Tx, px pgx.Tx) error {
				// The first statement of all, so BEGIN must have gone before it.
				_, err := px.Exec(ctx, "insert into crm.notes values ($1, 10, 'by pgx')", b.anaID)
				require.NoError(t, err)
				n, err := tx.NewSelect().Model((*Note)(nil)).Count(ctx)
				require.NoError(t, err)
				require.EqualValues(t, 4, n)
				_, err = tx.NewInsert().Model(&Note{TenantID: b.anaID, ID: 11, Text: "by bun"}).Exec(ctx)
				require.NoError(t, err)
				var seen int
				require.NoError(t, px.QueryRow(ctx, "select count(*) from crm.notes where id > $1", 0).Scan(&seen))
				require.Equal(t, 5, seen)
				copied, err := px.CopyFrom(ctx, pgx.Identifier{"crm", "notes"}, []string{"tenant_id", "id", "text"},
					pgx.CopyFromRows([][]any{{b.anaID, 12, "by copy"}}))
				require.ErrorContains(t, err, "row-level security", "COPY does not go with row security")
				require.Zero(t, copied)
				return fail
			})
		}
		require.ErrorIs(t, work(broken), broken)
		require.Equal(t, 3, b.count(t, b.ana))
		require.ErrorIs(t, work(nil), pgx.ErrTxCommitRollback, "COPY's failure lost the transaction")
		b.idle(t)
	})

	t.Run("savepoints", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		err := withTx(b.ana, b.bun, func(ctx context.Context, tx bun.Tx, px pgx.Tx) error {
			kept, err := px.Begin(ctx)
			require.NoError(t, err)
			_, err = kept.Exec(ctx, "delete from crm.notes where id = $1", 1)
			require.NoError(t, err)
			lost, err := kept.Begin(ctx)
			require.NoError(t, err)
			_, err = lost.Exec(ctx, "delete from crm.notes")
			require.NoError(t, err)
			_, err = lost.Exec(ctx, "no sql")
			require.Error(t, err)
			require.NoError(t, lost.Rollback(ctx))
			require.ErrorIs(t, lost.Rollback(ctx), pgx.ErrTxClosed)
			require.ErrorIs(t, lost.Commit(ctx), pgx.ErrTxClosed)
			require.NoError(t, kept.Commit(ctx))

			require.Error(t, px.Commit(ctx), "the transaction is Bun's to end")
			require.Error(t, px.Rollback(ctx))
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 2, b.count(t, b.ana))
	})

	t.Run("needs a transaction of this driver", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		conn, err := b.bun.Conn(b.ana)
		require.NoError(t, err)
		_, err = postgres.TxOf(b.ana, conn)
		require.ErrorContains(t, err, "open transaction")
		require.NoError(t, conn.Close())
		_, err = postgres.TxOf(b.ana, foreignConn{})
		require.ErrorContains(t, err, "this package's driver")
	})

	t.Run("after a failed first statement", func(t *testing.T) {
		t.Parallel()
		b := setup(t, postgres.DBConfig{})
		conn, err := b.bun.Conn(b.ana)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		tx, err := conn.BeginTx(b.ana, nil)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }() // or conn.Close would wait for it
		_, err = tx.Tx.ExecContext(b.ana, "select nothing from nowhere where 1 = $1", 1)
		require.Error(t, err)
		_, err = postgres.TxOf(b.ana, conn)
		require.Error(t, err, "a job inserted now would commit on its own")
		require.NoError(t, tx.Rollback())
	})
}

type foreignConn struct{}

func (foreignConn) Raw(f func(any) error) error { return f(new(sql.DB)) }

// greeting is a job.
type greeting struct {
	Words string `json:"words"`
}

func (greeting) Kind() string { return "greeting" }

// River inserts in the tenant's transaction as strato_app, with no more rights
// than Migrate gave.
func TestRiver(t *testing.T) {
	t.Parallel()

	for name, c := range map[string]struct {
		mode    pgx.QueryExecMode
		bouncer bool
	}{
		"prepared":           {},
		"exec":               {mode: pgx.QueryExecModeExec},
		"simple":             {mode: pgx.QueryExecModeSimpleProtocol},
		"transaction pooler": {mode: pgx.QueryExecModeExec, bouncer: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := dbtest.Fresh(t)
			front := db
			if c.bouncer {
				front = dbtest.PgBouncer(t, db, 1)
			}
			bundb := postgres.OpenTenantDB(front.Pool(t, postgres.RoleApp, postgres.PoolConfig{MaxConns: 1, ExecMode: c.mode}), postgres.DBConfig{})
			defer func() { require.NoError(t, bundb.Close()) }()
			tenant := dbtest.TenantID()
			ctx := postgres.WithTenant(t.Context(), tenant)
			jobs, err := river.NewClient(riverpgxv5.New(nil), &river.Config{Schema: postgres.RiverSchema, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)

			insert := func(fail error) error {
				return withTx(ctx, bundb, func(ctx context.Context, _ bun.Tx, px pgx.Tx) error {
					opts := &river.InsertOpts{Tags: []string{tenant.String()}, UniqueOpts: river.UniqueOpts{ByArgs: true}}
					res, err := jobs.InsertTx(ctx, px, greeting{Words: "¡hola! \u0001"}, opts)
					require.NoError(t, err)
					require.False(t, res.UniqueSkippedAsDuplicate)
					res, err = jobs.InsertTx(ctx, px, greeting{Words: "¡hola! \u0001"}, opts)
					require.NoError(t, err)
					require.True(t, res.UniqueSkippedAsDuplicate)
					_, err = jobs.InsertManyTx(ctx, px, []river.InsertManyParams{{Args: greeting{Words: "b"}}, {Args: greeting{Words: "c"}}})
					require.NoError(t, err)
					return fail
				})
			}
			broken := errors.New("broken")
			require.ErrorIs(t, insert(broken), broken)
			require.Zero(t, jobCount(t, db))
			require.NoError(t, insert(nil))
			require.Equal(t, 3, jobCount(t, db))
		})
	}

	t.Run("a worker as strato_queue", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Fresh(t)
		pool := db.Pool(t, postgres.RoleQueue, postgres.PoolConfig{})
		workers := river.NewWorkers()
		worked := make(chan string, 1)
		river.AddWorker(workers, river.WorkFunc(func(_ context.Context, j *river.Job[greeting]) error {
			worked <- j.Args.Words
			return nil
		}))
		client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
			Schema: postgres.RiverSchema, Workers: workers, Logger: slog.New(slog.DiscardHandler),
			Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}},
		})
		require.NoError(t, err)
		events, stop := client.Subscribe(river.EventKindJobCompleted)
		defer stop()
		require.NoError(t, client.Start(t.Context()))
		_, err = client.Insert(t.Context(), greeting{Words: "hi"}, nil)
		require.NoError(t, err)
		require.Equal(t, "hi", <-worked)
		<-events
		require.NoError(t, client.Stop(context.WithoutCancel(t.Context())))

		_, err = pool.Exec(t.Context(), "select count(*) from crm.contacts")
		require.True(t, postgres.IsDenied(err), "the queue's role sees no tenant's table: %v", err)
		_, err = pool.Exec(t.Context(), "select count(*) from control.tenants")
		require.True(t, postgres.IsDenied(err), "%v", err)
	})

	t.Run("rights of the others", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Fresh(t)
		try := func(r postgres.Role, statement string) error {
			_, err := db.Pool(t, r, postgres.PoolConfig{}).Exec(t.Context(), statement)
			return err
		}
		const ingest = `insert into river.river_job (args, kind, max_attempts, queue, priority, state, scheduled_at, metadata, tags)
			values ('{}', 'k', 5, 'default', 1, 'available', now(), '{}', '{}')`
		require.NoError(t, try(postgres.RoleIngest, ingest))
		for role, statements := range map[postgres.Role][]string{
			postgres.RoleIngest: {
				"select args from river.river_job", ingest + " returning id", "delete from river.river_job", "update river.river_job set kind = 'x'",
				"insert into river.river_job (args, kind, max_attempts, attempted_by) values ('{}', 'k', 1, '{x}')",
				"select 1 from control.tenants", "select 1 from crm.contacts", "select delivery from crm.inbox",
			},
			postgres.RoleApp: {
				"delete from river.river_job", "update river.river_job set args = '{}'", "update river.river_job set state = 'cancelled'",
				"truncate river.river_job", "insert into river.river_queue (name, updated_at) values ('x', now())",
				"create table crm.mine (id int)", "create table public.mine (id int)", "create schema mine", "create temp table mine (id int)",
				"set role strato_owner",
			},
			postgres.RoleQueue: {"truncate river.river_job", "drop table river.river_job", "create table river.mine (id int)"},
			postgres.RoleSys:   {"delete from river.river_job", "create table crm.mine (id int)", "set role strato_owner"},
		} {
			for _, statement := range statements {
				require.True(t, postgres.IsDenied(try(role, statement)), "%s may: %s", role, statement)
			}
		}
	})
}

func jobCount(t *testing.T, db dbtest.DB) (n int) {
	t.Helper()
	require.NoError(t, db.Admin(t).QueryRow(t.Context(), "select count(*) from river.river_job").Scan(&n))
	return n
}
