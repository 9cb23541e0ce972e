package app_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/stratohub/strato/core/internal/postgres"
)

// The answers of PostgreSQL that the checker expects.
const (
	refused  = "42501" // no right, or row security
	orphaned = "23503" // foreign key to nothing
	garbled  = "22P02" // not a uuid
)

// checker tries to reach one tenant's rows as another, in every table that the
// catalogue knows, and reports what it finds. It knows nothing of policies: it
// looks at what PostgreSQL does.
type checker struct {
	admin *pgx.Conn // as a superuser, past any pooler
	// app are two of the application's connections: one sets tenants, the other
	// never does. Behind a pooler both may be the same connection of the server.
	app, unset *pgx.Conn
	// ingest and queue are those of the roles that serve all tenants.
	ingest, queue *pgx.Conn
	// session sets the tenant for the session, as one must not.
	session bool

	tables   []table
	a, b     uuid.UUID
	rows     map[uuid.UUID]map[string]row // by tenant and table
	findings []string
}

// check reports every way that it finds from b to a's rows, and every table that
// is closed to its own tenant.
func (k *checker) check(ctx context.Context) ([]string, error) {
	k.a, k.b = uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	var err error
	if k.tables, err = catalogue(ctx, k.admin); err != nil {
		return nil, err
	}
	if err := k.seed(ctx); err != nil {
		return nil, err
	}
	for _, t := range k.tables {
		k.reads(ctx, t)
		k.writes(ctx, t)
		k.withoutTenant(ctx, t)
		k.asOwner(ctx, t)
		k.asIngest(ctx, t)
	}
	if err := k.asServants(ctx); err != nil {
		return nil, err
	}
	return k.findings, k.intact(ctx)
}

func (k *checker) report(t table, format string, args ...any) {
	k.findings = append(k.findings, t.name+": "+fmt.Sprintf(format, args...))
}

// seed gives both tenants a row in every table. Past row security, so that a
// table that is closed to its tenant is found by what follows.
func (k *checker) seed(ctx context.Context) error {
	k.rows = map[uuid.UUID]map[string]row{k.a: {}, k.b: {}}
	for _, t := range k.tables {
		if t.partition {
			continue
		}
		if err := k.put(ctx, t, k.a); err != nil {
			return err
		}
		k.refers(ctx, t) // while nothing of b's own is in the way
		if err := k.put(ctx, t, k.b); err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) put(ctx context.Context, t table, tenant uuid.UUID) error {
	r, err := t.fill(tenant, k.rows[tenant])
	if err != nil {
		return err
	}
	if _, err := k.admin.Exec(ctx, t.insert(r)); err != nil {
		return fmt.Errorf("no row for table %s; teach the generator its rules: %w", t.name, err)
	}
	k.rows[tenant][t.name] = r
	return nil
}

// as runs one statement as a tenant and undoes it. It returns how many rows the
// statement returned or touched.
func (k *checker) as(ctx context.Context, tenant, statement string) (int64, error) {
	set := "select set_config('app.tenant_id', " + quote(tenant, "text") + ", %s)"
	if !k.session {
		return undone(ctx, k.app, fmt.Sprintf(set, "true"), statement)
	}
	if _, err := k.app.Exec(ctx, fmt.Sprintf(set, "false")); err != nil {
		return 0, err
	}
	return undone(ctx, k.app, "select", statement)
}

// undone runs a statement after another, in a transaction that is given up, in
// one message to the server.
func undone(ctx context.Context, conn *pgx.Conn, first, statement string) (int64, error) {
	results, err := conn.PgConn().Exec(ctx, "begin;"+first+";"+statement+";rollback").ReadAll()
	if err != nil {
		_, _ = conn.Exec(ctx, "rollback") // what it returns matters less than err
		return 0, err
	}
	return results[2].CommandTag.RowsAffected(), nil
}

func (k *checker) mine(tenant uuid.UUID) string {
	return "tenant_id = " + quote(tenant.String(), "uuid")
}

func (k *checker) reads(ctx context.Context, t table) {
	n, err := k.as(ctx, k.b.String(), "select 1 from "+t.name+" where "+k.mine(k.a))
	switch {
	case err != nil && postgres.Code(err) == refused && t.partition: // only through its parent
		return
	case err != nil:
		k.report(t, "cannot be read: %v", err)
	case n > 0:
		k.report(t, "another tenant's rows can be read")
	}
	if t.partition {
		return
	}
	if n, err = k.as(ctx, k.b.String(), "select 1 from "+t.name); err == nil && n != 1 {
		k.report(t, "a tenant sees %d rows instead of its own one", n)
	}
	if _, err := k.as(ctx, "nobody", "select 1 from "+t.name); postgres.Code(err) != garbled {
		k.report(t, "a tenant that is no id is answered: %v", err)
	}
}

func (k *checker) writes(ctx context.Context, t table) {
	for what, statement := range map[string]string{
		"changed": "update " + t.name + " set tenant_id = tenant_id where " + k.mine(k.a),
		"deleted": "delete from " + t.name + " where " + k.mine(k.a),
	} {
		if n, err := k.as(ctx, k.b.String(), statement); n > 0 || err != nil && postgres.Code(err) != refused {
			k.report(t, "another tenant's rows can be %s: %d, %v", what, n, err)
		}
	}
	if n, err := k.as(ctx, k.b.String(), "update "+t.name+" set tenant_id = "+quote(k.a.String(), "uuid")); n > 0 || err != nil && postgres.Code(err) != refused {
		k.report(t, "rows can be given to another tenant: %d, %v", n, err)
	}
	if _, err := k.as(ctx, k.b.String(), "truncate "+t.name); postgres.Code(err) != refused {
		k.report(t, "can be truncated: %v", err)
	}
	if t.partition {
		return
	}
	foreign, err := t.fill(k.a, k.rows[k.a])
	if err != nil {
		k.report(t, "%v", err)
		return
	}
	if _, err := k.as(ctx, k.b.String(), t.insert(foreign)); postgres.Code(err) != refused {
		k.report(t, "takes rows for another tenant: %v", err)
	}
}

// refers inserts a tenant's own row, and tries each foreign key with the row of
// another tenant.
func (k *checker) refers(ctx context.Context, t table) {
	own, err := t.fill(k.b, k.rows[k.b])
	if err != nil {
		k.report(t, "%v", err)
		return
	}
	if _, err := k.as(ctx, k.b.String(), t.insert(own)); err != nil {
		k.report(t, "refuses a tenant's own row: %v", err)
	}
	for _, f := range t.foreign {
		r := maps.Clone(own)
		r.point(f, k.rows[k.a][f.to])
		if _, err := k.as(ctx, k.b.String(), t.insert(r)); postgres.Code(err) != orphaned {
			k.report(t, "foreign key %s leads to another tenant's row: %v", f.name, err)
		}
	}
}

// withoutTenant uses the connection that sets none.
func (k *checker) withoutTenant(ctx context.Context, t table) {
	for _, form := range []string{"select 1 from %s", "update %s set tenant_id = tenant_id", "delete from %s"} {
		statement := fmt.Sprintf(form, t.name)
		if n, err := undone(ctx, k.unset, "select", statement); n > 0 || err != nil && postgres.Code(err) != refused {
			k.report(t, "without a tenant, %q reaches %d rows, %v", statement, n, err)
		}
	}
	if r := k.rows[k.b][t.name]; r != nil {
		fresh, err := t.fill(k.b, k.rows[k.b])
		if err == nil {
			_, err = undone(ctx, k.unset, "select", t.insert(fresh))
		}
		if postgres.Code(err) != refused {
			k.report(t, "takes rows without a tenant: %v", err)
		}
	}
}

// asOwner looks as the role that owns the tables: only FORCE binds it.
func (k *checker) asOwner(ctx context.Context, t table) {
	for _, tenant := range []string{k.b.String(), ""} {
		be := "select set_config('role', 'strato_owner', true), set_config('app.tenant_id', " + quote(tenant, "text") + ", true)"
		n, err := undone(ctx, k.admin, be, "select 1 from "+t.name+" where "+k.mine(k.a))
		if n > 0 || err != nil {
			k.report(t, "the owner as tenant %q reaches %d rows of another, %v", tenant, n, err)
		}
	}
}

// asIngest tries what the role of the webhooks must not: it may insert into the
// inbox, for any tenant, and read nothing back.
func (k *checker) asIngest(ctx context.Context, t table) {
	if t.partition {
		return
	}
	r, err := t.fill(k.b, k.rows[k.b])
	if err != nil {
		k.report(t, "%v", err)
		return
	}
	_, err = undone(ctx, k.ingest, "select", t.insert(r))
	if inbox := t.name == "crm.inbox"; inbox && err != nil || !inbox && postgres.Code(err) != refused {
		k.report(t, "strato_ingest inserts: %v", err)
	}
	for _, c := range t.columns {
		if _, err := undone(ctx, k.ingest, "select", t.insert(r)+" returning "+c.name); postgres.Code(err) != refused {
			k.report(t, "strato_ingest reads back %s: %v", c.name, err)
		}
	}
}

// asServants looks for any table outside their own that the roles without a
// tenant can touch, in the whole database.
func (k *checker) asServants(ctx context.Context) error {
	rows, err := k.admin.Query(ctx, `
		select c.oid::regclass::text, n.nspname,
			array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not like 'pg\_%' and n.nspname <> 'information_schema'
		order by 1`)
	if err != nil {
		return err
	}
	type relation struct {
		Name, Schema string
		Columns      []string
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[relation])
	if err != nil {
		return err
	}
	for _, r := range list {
		for who, conn := range map[string]*pgx.Conn{"strato_ingest": k.ingest, "strato_queue": k.queue} {
			if who == "strato_queue" && r.Schema == "river" {
				continue
			}
			// Rights are looked at before rows: no row is needed, nor harmed.
			statements := []string{"delete from " + r.Name + " where false"}
			for _, c := range r.Columns {
				statements = append(statements,
					"select "+c+" from "+r.Name+" where false", "update "+r.Name+" set "+c+" = "+c+" where false")
			}
			if who == "strato_queue" {
				statements = append(statements, "insert into "+r.Name+" select * from "+r.Name+" where false")
			}
			for _, statement := range statements {
				if _, err := conn.Exec(ctx, statement); postgres.Code(err) != refused {
					k.report(table{name: r.Name}, "%s may %q: %v", who, statement, err)
				}
			}
		}
	}
	return nil
}

// intact makes sure that the rows of a outlived it all.
func (k *checker) intact(ctx context.Context) error {
	for _, t := range k.tables {
		if k.rows[k.a][t.name] == nil {
			continue
		}
		var n int
		if err := k.admin.QueryRow(ctx, "select count(*) from "+t.name+" where "+k.mine(k.a)).Scan(&n); err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("table %s has %d rows of the other tenant after the check, want 1", t.name, n)
		}
	}
	slices.Sort(k.findings)
	return nil
}
