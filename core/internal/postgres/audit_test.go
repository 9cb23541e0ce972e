package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
)

// The product's own tables keep the rules.
func TestAuditMigrations(t *testing.T) {
	t.Parallel()
	found, err := postgres.AuditRLS(t.Context(), dbtest.Fresh(t).Admin(t), "crm")
	require.NoError(t, err)
	require.Empty(t, found)
}

// The audit notices each violation, on a schema that is fine without it.
func TestAuditRLS(t *testing.T) {
	t.Parallel()

	const fine = `
create schema audited authorization strato_owner;
set role strato_owner;
create table audited.parents (
	tenant_id uuid not null, id uuid not null, code text not null,
	primary key (tenant_id, id), unique (tenant_id, code));
create table audited.children (
	tenant_id uuid not null, id uuid not null, parent_id uuid not null,
	primary key (tenant_id, id), foreign key (tenant_id, parent_id) references audited.parents);
create table audited.untouched (id int primary key);
create function audited.isolate(tab regclass) returns void language plpgsql as $$
begin
	execute format('alter table %s enable row level security', tab);
	execute format('alter table %s force row level security', tab);
	execute format('create policy tenant on %s
		using (tenant_id = (select nullif(current_setting(''app.tenant_id'', true), '''')::uuid))
		with check (tenant_id = (select nullif(current_setting(''app.tenant_id'', true), '''')::uuid))', tab);
end $$;
select audited.isolate('audited.parents'), audited.isolate('audited.children');
grant select, insert, update, delete on all tables in schema audited to strato_app;
create policy ingest on audited.parents for insert to strato_ingest with check (true);
create view audited.list with (security_invoker = true) as select * from audited.parents;
create function audited.search() returns int language sql security definer set search_path = pg_catalog as 'select 1';
revoke all on function audited.search() from public;
`
	for name, c := range map[string]struct {
		change string
		want   []postgres.Finding
	}{
		"nothing":             {"", nil},
		"security disabled":   {"alter table audited.parents disable row level security", []postgres.Finding{{postgres.RuleEnabled, "audited.parents", ""}}},
		"security not forced": {"alter table audited.parents no force row level security", []postgres.Finding{{postgres.RuleForced, "audited.parents", ""}}},
		"no policy":           {"drop policy tenant on audited.children", []postgres.Finding{{postgres.RulePolicy, "audited.children", ""}}},
		"a policy on another setting": {
			"drop policy tenant on audited.children; create policy tenant on audited.children using (tenant_id = current_setting('my.tenant')::uuid)",
			[]postgres.Finding{{postgres.RuleOpen, "audited.children", "tenant"}, {postgres.RulePolicy, "audited.children", ""}},
		},
		"a policy for reading only": {
			"drop policy tenant on audited.children; create policy tenant on audited.children for select using (tenant_id = current_setting('app.tenant_id')::uuid)",
			[]postgres.Finding{{postgres.RulePolicy, "audited.children", ""}},
		},
		"a policy that lets everybody write": {
			"drop policy tenant on audited.children; create policy tenant on audited.children using (tenant_id = current_setting('app.tenant_id')::uuid) with check (true)",
			[]postgres.Finding{{postgres.RuleOpen, "audited.children", "tenant"}, {postgres.RulePolicy, "audited.children", ""}},
		},
		"an open policy beside": {
			"create policy open on audited.children for select to strato_app using (true)",
			[]postgres.Finding{{postgres.RuleOpen, "audited.children", "open"}},
		},
		"tenant_id may be null": {
			"create table audited.loose (tenant_id uuid, id uuid unique, check (id is not null)); select audited.isolate('audited.loose')",
			[]postgres.Finding{
				{postgres.RuleKey, "audited.loose", "audited.loose_id_key"},
				{postgres.RuleKey, "audited.loose", "no primary key"},
				{postgres.RuleColumn, "audited.loose", ""},
			},
		},
		"primary key without tenant_id": {
			"create table audited.loose (tenant_id uuid not null, id uuid primary key); select audited.isolate('audited.loose')",
			[]postgres.Finding{{postgres.RuleKey, "audited.loose", "audited.loose_pkey"}},
		},
		"tenant_id second": {
			"create table audited.loose (tenant_id uuid not null, id uuid, primary key (id, tenant_id)); select audited.isolate('audited.loose')",
			[]postgres.Finding{{postgres.RuleKey, "audited.loose", "audited.loose_pkey"}},
		},
		"unique index without tenant_id": {
			"create unique index by_code on audited.parents (code)",
			[]postgres.Finding{{postgres.RuleKey, "audited.parents", "audited.by_code"}},
		},
		"unique index on an expression": {
			"create unique index by_code on audited.parents (lower(code), tenant_id)",
			[]postgres.Finding{{postgres.RuleKey, "audited.parents", "audited.by_code"}},
		},
		"foreign key without tenant_id": {
			"alter table audited.children add constraint loose foreign key (id) references audited.elsewhere",
			[]postgres.Finding{{postgres.RuleForeign, "audited.children", "loose"}},
		},
		"foreign key that crosses": {
			"alter table audited.children add constraint loose foreign key (id, tenant_id) references audited.parents",
			[]postgres.Finding{{postgres.RuleForeign, "audited.children", "loose"}},
		},
		"another owner": {
			"reset role; alter table audited.parents owner to strato_app",
			[]postgres.Finding{
				{postgres.RuleOwner, "audited.parents", "strato_app"},
				{postgres.RuleGrant, "audited.parents", "references"},
				{postgres.RuleGrant, "audited.parents", "trigger"},
				{postgres.RuleGrant, "audited.parents", "truncate"},
			},
		},
		"truncate granted": {
			"grant truncate on audited.parents to strato_app",
			[]postgres.Finding{{postgres.RuleGrant, "audited.parents", "truncate"}},
		},
		"a partition left open": {
			`create table audited.days (tenant_id uuid not null, day date not null, primary key (tenant_id, day)) partition by range (day);
			select audited.isolate('audited.days'); create table audited.today partition of audited.days default`,
			[]postgres.Finding{
				{postgres.RulePolicy, "audited.today", ""}, {postgres.RuleEnabled, "audited.today", ""}, {postgres.RuleForced, "audited.today", ""},
			},
		},
		"a view of its owner's rights": {
			"create view audited.leak as select * from audited.parents",
			[]postgres.Finding{{postgres.RuleView, "audited.leak", "v"}},
		},
		"a materialised view": {
			"create materialized view audited.leak as select 1",
			[]postgres.Finding{{postgres.RuleView, "audited.leak", "m"}},
		},
		"a definer's function without search_path": {
			"alter function audited.search() reset search_path",
			[]postgres.Finding{{postgres.RuleFunction, "audited.search()", ""}},
		},
		"a definer's function for everybody": {
			"grant execute on function audited.search() to public",
			[]postgres.Finding{{postgres.RuleFunction, "audited.search()", ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := dbtest.Empty(t)
			admin := db.Admin(t)
			_, err := admin.Exec(t.Context(), fine+"create table audited.elsewhere (id uuid primary key);"+c.change)
			require.NoError(t, err)
			found, err := postgres.AuditRLS(t.Context(), admin, "audited")
			require.NoError(t, err)
			require.ElementsMatch(t, c.want, found)
			for _, f := range found {
				require.Contains(t, f.String(), f.Object)
				require.Contains(t, f.String(), string(f.Rule))
			}
		})
	}

	t.Run("a schema that is not there", func(t *testing.T) {
		t.Parallel()
		found, err := postgres.AuditRLS(t.Context(), dbtest.Empty(t).Admin(t), "audited")
		require.NoError(t, err)
		require.Empty(t, found)
	})
}
