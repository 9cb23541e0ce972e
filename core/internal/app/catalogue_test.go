package app_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// table is a table with tenant_id as the catalogue describes it.
type table struct {
	name      string // with its schema
	partition bool   // its rows are filled in through its parent
	columns   []column
	foreign   []foreignKey
}

type column struct {
	name, kind string
	nullable   bool
	checks     []string // definitions of the constraints on it
}

// foreignKey leads from columns to those of another table, in order.
type foreignKey struct {
	name     string
	columns  []string
	to       string
	toColumn []string
}

// catalogue reads every table of schema crm that has tenant_id, those first that
// others refer to.
func catalogue(ctx context.Context, conn *pgx.Conn) ([]table, error) {
	rows, err := conn.Query(ctx, `
		select c.oid::regclass::text, c.relispartition from pg_class c
		where c.relnamespace = 'crm'::regnamespace and c.relkind in ('r', 'p', 'f')
			and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
		order by 1`)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t table, err error) {
		return t, row.Scan(&t.name, &t.partition)
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		if err := list[i].read(ctx, conn); err != nil {
			return nil, fmt.Errorf("read the catalogue of %s: %w", list[i].name, err)
		}
	}
	return inOrder(list)
}

func (t *table) read(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		select a.attname, format_type(a.atttypid, null), not a.attnotnull, coalesce(array(
			select pg_get_constraintdef(k.oid) from pg_constraint k
			where k.conrelid = a.attrelid and k.contype = 'c' and a.attnum = any(k.conkey)), '{}')
		from pg_attribute a
		where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = ''
		order by a.attnum`, t.name)
	if err != nil {
		return err
	}
	t.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c column, err error) {
		return c, row.Scan(&c.name, &c.kind, &c.nullable, &c.checks)
	})
	if err != nil {
		return err
	}
	rows, err = conn.Query(ctx, `
		select k.conname, k.confrelid::regclass::text,
			array(select a.attname::text from unnest(k.conkey) with ordinality n(num, pos)
				join pg_attribute a on a.attrelid = k.conrelid and a.attnum = n.num order by n.pos),
			array(select a.attname::text from unnest(k.confkey) with ordinality n(num, pos)
				join pg_attribute a on a.attrelid = k.confrelid and a.attnum = n.num order by n.pos)
		from pg_constraint k where k.conrelid = $1::regclass and k.contype = 'f' and k.conparentid = 0 order by 1`, t.name)
	if err != nil {
		return err
	}
	t.foreign, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f foreignKey, err error) {
		return f, row.Scan(&f.name, &f.to, &f.columns, &f.toColumn)
	})
	return err
}

// inOrder puts tables after those that they refer to.
func inOrder(list []table) ([]table, error) {
	var out []table
	placed := map[string]bool{}
	for len(out) < len(list) {
		before := len(out)
		for _, t := range list {
			ready := !slices.ContainsFunc(t.foreign, func(f foreignKey) bool { return f.to != t.name && !placed[f.to] })
			if ready && !placed[t.name] {
				placed[t.name] = true
				out = append(out, t)
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("tables refer to each other in a circle, or to one without tenant_id; taken so far: %v", placed)
		}
	}
	return out, nil
}

// row is a row by column; the values are SQL.
type row map[string]string

func (t table) insert(r row) string {
	var names, values []string
	for _, c := range t.columns {
		names, values = append(names, c.name), append(values, r[c.name])
	}
	return fmt.Sprintf("insert into %s (%s) values (%s)", t.name, strings.Join(names, ", "), strings.Join(values, ", "))
}

// fill makes a row of a tenant. Foreign keys lead to the rows given, by table.
func (t table) fill(tenant uuid.UUID, rows map[string]row) (row, error) {
	r := row{}
	for _, c := range t.columns {
		value, err := c.value()
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
		r[c.name] = value
	}
	r["tenant_id"] = quote(tenant.String(), "uuid")
	for _, f := range t.foreign {
		r.point(f, rows[f.to])
	}
	return r, nil
}

// point makes a foreign key lead to a row; to none if there is no such row.
func (r row) point(f foreignKey, to row) {
	for i, name := range f.columns {
		if name == "tenant_id" {
			continue
		}
		if r[name] = "null"; to != nil {
			r[name] = to[f.toColumn[i]]
		}
	}
}

var (
	oneOf  = regexp.MustCompile(`= ANY \(\(?ARRAY\['([^']*)'`)
	equals = regexp.MustCompile(`^CHECK \(\(\w+ = '([^']*)'`)
)

// value makes up a value that the column takes.
func (c column) value() (string, error) {
	u := uuid.New()
	switch c.kind {
	case "uuid":
		return quote(u.String(), c.kind), nil
	case "text", "character varying":
		for _, check := range c.checks {
			for _, form := range []*regexp.Regexp{oneOf, equals} {
				if m := form.FindStringSubmatch(check); m != nil {
					return quote(m[1], c.kind), nil
				}
			}
		}
		return quote("x"+u.String()[:8], c.kind), nil
	case "smallint", "integer", "bigint", "numeric", "real", "double precision":
		return fmt.Sprint(1 + u.ID()%1000), nil
	case "boolean":
		return "false", nil
	case "timestamp with time zone", "timestamp without time zone", "date":
		return "now()::" + c.kind, nil
	case "json", "jsonb":
		return quote("{}", c.kind), nil
	case "bytea":
		return quote(`\x00`, c.kind), nil
	case "inet":
		return quote("192.0.2.1", c.kind), nil
	}
	if strings.HasSuffix(c.kind, "[]") {
		return quote("{}", c.kind), nil
	}
	return "", fmt.Errorf("no value for column %s of type %s: teach it to column.value", c.name, c.kind)
}

func quote(text, kind string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'::" + kind
}
