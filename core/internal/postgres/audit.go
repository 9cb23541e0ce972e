package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Rule is what a table, view or function of a tenants' schema has to keep.
type Rule string

// The rules that [AuditRLS] checks.
const (
	RuleEnabled  Rule = "row security is enabled"
	RuleForced   Rule = "row security is forced"
	RulePolicy   Rule = "a policy compares tenant_id with the setting, for reading and for writing"
	RuleOpen     Rule = "no policy for the application ignores the setting"
	RuleColumn   Rule = "tenant_id is a uuid and not null"
	RuleKey      Rule = "every key starts with tenant_id"
	RuleForeign  Rule = "every foreign key starts with tenant_id on both sides"
	RuleOwner    Rule = "it belongs to strato_owner"
	RuleGrant    Rule = "the application may not truncate, refer to it or attach triggers"
	RuleView     Rule = "a view runs with its reader's rights, and none is materialised"
	RuleFunction Rule = "a function with its owner's rights fixes its search_path and is not everybody's"
)

// Finding is a rule that something breaks.
type Finding struct {
	Rule   Rule
	Object string // schema and name
	Detail string // the key, policy or right; may be empty
}

// String says it in a line.
func (f Finding) String() string {
	if f.Detail == "" {
		return fmt.Sprintf("%s: broken rule: %s", f.Object, f.Rule)
	}
	return fmt.Sprintf("%s (%s): broken rule: %s", f.Object, f.Detail, f.Rule)
}

// Querier is a connection, a pool or a transaction of pgx.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// AuditRLS looks in the catalogue for anything in a schema by which one tenant
// could reach another's rows, and returns what it finds, nothing when all is
// well. A table counts when it has a column tenant_id; partitions count as
// tables, since they can be read directly and do not inherit row security.
// [RoleIngest] may have a policy of its own to insert for any tenant.
func AuditRLS(ctx context.Context, db Querier, schema string) ([]Finding, error) {
	rows, err := db.Query(ctx, auditSQL, schema)
	if err != nil {
		return nil, fmt.Errorf("audit schema %s: %w", schema, err)
	}
	findings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Finding])
	if err != nil {
		return nil, fmt.Errorf("audit schema %s: %w", schema, err)
	}
	return findings, nil
}

// auditSQL: indkey and conkey are vectors of column numbers, an expression
// counting as 0, so that a key on an expression never starts with tenant_id.
// A policy is for everybody where polroles holds 0.
const auditSQL = `
with tab as (
	select c.oid, c.oid::regclass::text as name, c.relrowsecurity, c.relforcerowsecurity, c.relowner, a.attnum, a.attnotnull, a.atttypid
	from pg_class c
	join pg_namespace n on n.oid = c.relnamespace
	join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
	where n.nspname = $1 and c.relkind in ('r', 'p', 'f')
), pol as (
	select p.*, coalesce(pg_get_expr(polqual, polrelid), '') as reads, coalesce(pg_get_expr(polwithcheck, polrelid), '') as writes,
		polroles @> '{0}' or polroles @> array(select oid from pg_roles where rolname = 'strato_app') as ours
	from pg_policy p
), safe as (
	select *,
		reads ~ 'tenant_id = .*current_setting\(''app\.tenant_id''' as reads_safely,
		case when writes = '' then reads else writes end ~ 'tenant_id = .*current_setting\(''app\.tenant_id''' as writes_safely
	from pol
)
select 'row security is enabled', name, '' from tab where not relrowsecurity
union all
select 'row security is forced', name, '' from tab where not relforcerowsecurity
union all
select 'tenant_id is a uuid and not null', name, '' from tab where not attnotnull or atttypid <> 'uuid'::regtype
union all
select 'a policy compares tenant_id with the setting, for reading and for writing', name, '' from tab
where not exists (select from safe p where p.polrelid = tab.oid and ours and polpermissive and polcmd = '*' and reads_safely and writes_safely)
union all
select 'no policy for the application ignores the setting', name, polname from tab join safe p on p.polrelid = tab.oid
where ours and polpermissive
	and not (case polcmd when 'a' then writes_safely when 'r' then reads_safely when 'd' then reads_safely else reads_safely and writes_safely end)
union all
select 'every key starts with tenant_id', name, i.indexrelid::regclass::text from tab join pg_index i on i.indrelid = tab.oid
where i.indisunique and i.indkey[0] <> tab.attnum
union all
select 'every key starts with tenant_id', name, 'no primary key' from tab
where not exists (select from pg_index i where i.indrelid = tab.oid and i.indisprimary)
union all
select 'every foreign key starts with tenant_id on both sides', tab.name, con.conname
from pg_constraint con join tab on tab.oid = con.conrelid
left join pg_attribute far on far.attrelid = con.confrelid and far.attnum = con.confkey[1]
where con.contype = 'f' and (con.conkey[1] <> tab.attnum or far.attname <> 'tenant_id')
union all
select 'it belongs to strato_owner', name, relowner::regrole::text from tab where relowner::regrole::text <> 'strato_owner'
union all
select 'the application may not truncate, refer to it or attach triggers', name, right_ from tab, unnest(array['truncate', 'references', 'trigger']) right_
where has_table_privilege('strato_app', tab.oid, right_)
union all
select 'a view runs with its reader''s rights, and none is materialised', c.oid::regclass::text, c.relkind::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and (c.relkind = 'm' or c.relkind = 'v'
	and not coalesce('security_invoker=true' = any(c.reloptions) or 'security_invoker=on' = any(c.reloptions), false))
union all
select 'a function with its owner''s rights fixes its search_path and is not everybody''s', p.oid::regprocedure::text, ''
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = $1 and p.prosecdef and (
	not exists (select from unnest(p.proconfig) s where s like 'search_path=%')
	or exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0 and a.privilege_type = 'EXECUTE'))
order by 2, 1, 3`
