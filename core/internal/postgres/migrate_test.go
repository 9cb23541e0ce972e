package postgres_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
)

func TestMigrate(t *testing.T) {
	t.Parallel()

	both := []postgres.Set{postgres.SetControl, postgres.SetTenant}

	t.Run("up, down, up", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Empty(t)
		ctx := t.Context()

		before := objects(t, db)
		applied, err := postgres.Migrate(ctx, db.AdminURL, both...)
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(applied, func(a postgres.Applied) bool { return a.Set == postgres.SetControl }))
		require.True(t, slices.ContainsFunc(applied, func(a postgres.Applied) bool { return a.Set == postgres.SetTenant }))
		first := objects(t, db)
		require.Greater(t, len(first), len(before)+20)

		require.NoError(t, postgres.Down(ctx, db.AdminURL, postgres.SetTenant, 0))
		require.NoError(t, postgres.Down(ctx, db.AdminURL, postgres.SetControl, 0))
		require.Subset(t, append(before,
			"control.goose_control", "control.goose_control_id_seq", "control.goose_control_pkey",
			"crm.goose_tenant", "crm.goose_tenant_id_seq", "crm.goose_tenant_pkey"), objects(t, db), "something was left behind")

		again, err := postgres.Migrate(ctx, db.AdminURL, both...)
		require.NoError(t, err)
		require.Len(t, again, len(applied))
		require.Equal(t, first, objects(t, db))
	})

	t.Run("nothing to do", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Fresh(t)
		applied, err := postgres.Migrate(t.Context(), db.AdminURL, both...)
		require.NoError(t, err)
		require.Empty(t, applied)
	})

	t.Run("a dedicated database has no control plane", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Empty(t)
		_, err := postgres.Migrate(t.Context(), db.AdminURL, postgres.SetTenant)
		require.NoError(t, err)
		require.False(t, slices.ContainsFunc(objects(t, db), func(o string) bool { return o == "control.tenants" }))
	})

	t.Run("several nodes at once", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Empty(t)
		var wg sync.WaitGroup
		counts, errs := make([]int, 3), make([]error, 3)
		for i := range counts {
			wg.Go(func() {
				applied, err := postgres.Migrate(t.Context(), db.AdminURL, both...)
				counts[i], errs[i] = len(applied), err
			})
		}
		wg.Wait()
		working := 0
		for i := range counts {
			require.NoError(t, errs[i])
			if counts[i] > 0 {
				working++
			}
		}
		require.Equal(t, 1, working, "exactly one node has anything to do")
	})

	t.Run("everything belongs to the owner", func(t *testing.T) {
		t.Parallel()
		db := dbtest.Fresh(t)
		var foreign []string
		rows, err := db.Admin(t).Query(t.Context(), `
select c.oid::regclass::text from pg_class c join pg_roles r on r.oid = c.relowner
where c.relnamespace in ('control'::regnamespace, 'crm'::regnamespace, 'river'::regnamespace) and r.rolname <> 'strato_owner'`)
		require.NoError(t, err)
		foreign, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Empty(t, foreign)
	})

	t.Run("without roles it says what to do", func(t *testing.T) {
		t.Parallel()
		// The roles are there, since the cluster is shared; a user who is none of
		// them stands for their absence.
		db := dbtest.Empty(t)
		_, err := postgres.Migrate(t.Context(), db.URL(t, postgres.RoleSys), postgres.SetTenant)
		require.ErrorContains(t, err, "run Bootstrap first")
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()

	db := dbtest.Empty(t)
	vs, err := postgres.Versions(ctx, db.AdminURL, postgres.SetControl, postgres.SetTenant)
	require.NoError(t, err)
	require.Len(t, vs, 2)
	for _, v := range vs {
		require.Zero(t, v.Current)
		require.NotZero(t, v.Newest)
		require.True(t, v.Behind())
	}

	_, err = postgres.Migrate(ctx, db.AdminURL, postgres.SetControl, postgres.SetTenant)
	require.NoError(t, err)
	for _, url := range []string{db.AdminURL, db.URL(t, postgres.RoleApp), db.URL(t, postgres.RoleSys)} {
		vs, err = postgres.Versions(ctx, url, postgres.SetControl, postgres.SetTenant)
		require.NoError(t, err)
		for _, v := range vs {
			require.Equal(t, v.Newest, v.Current)
			require.False(t, v.Ahead() || v.Behind())
		}
	}

	admin := db.Admin(t)
	_, err = admin.Exec(ctx, "insert into control.goose_control (version_id, is_applied) values (99991231000000, true)")
	require.NoError(t, err)
	vs, err = postgres.Versions(ctx, db.AdminURL, postgres.SetControl)
	require.NoError(t, err)
	require.True(t, vs[0].Ahead())

	app, err := pgx.Connect(ctx, db.URL(t, postgres.RoleApp))
	require.NoError(t, err)
	defer func() { require.NoError(t, app.Close(context.WithoutCancel(ctx))) }()
	_, err = app.Exec(ctx, "delete from control.goose_control")
	require.True(t, postgres.IsDenied(err), "the application may not rewrite the history: %v", err)
}

// objects lists the tables, indexes, sequences, functions and policies of the
// schemas that are ours.
func objects(t *testing.T, db dbtest.DB) []string {
	t.Helper()
	rows, err := db.Admin(t).Query(t.Context(), `
select oid::regclass::text from pg_class where relnamespace in (select oid from pg_namespace where nspname in ('control', 'crm', 'river', 'public'))
union all
select oid::regprocedure::text from pg_proc where pronamespace in (select oid from pg_namespace where nspname in ('control', 'crm', 'river', 'public'))
union all
select polrelid::regclass::text || ' policy ' || polname from pg_policy
order by 1`)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}
