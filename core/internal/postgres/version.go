package postgres

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
)

// Version is how far a set of a database has been migrated.
type Version struct {
	Set     Set
	Current int64 // 0 when none of the set was ever applied
	Newest  int64 // newest that this binary has
}

// Ahead reports whether the database was migrated by a newer binary.
func (v Version) Ahead() bool { return v.Current > v.Newest }

// Behind reports whether the database still needs [Migrate].
func (v Version) Behind() bool { return v.Current < v.Newest }

// Versions returns the versions of the given sets, in their order. url may be
// of the admin, [RoleApp] or [RoleSys]. River's own migrations have no entry:
// [Migrate] applies them with the tenant set, and the tenant set's version
// changes when Strato takes a River that needs new ones.
func Versions(ctx context.Context, url string, sets ...Set) ([]Version, error) {
	conn, err := connectAdmin(ctx, url)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)

	vs := make([]Version, 0, len(sets))
	for _, set := range sets {
		v, err := version(ctx, conn, set)
		if err != nil {
			return nil, fmt.Errorf("read version of %s: %w", set, err)
		}
		vs = append(vs, v)
	}
	return vs, nil
}

func version(ctx context.Context, conn *pgx.Conn, set Set) (Version, error) {
	v := Version{Set: set}
	var err error
	if v.Newest, err = newest(set); err != nil {
		return v, err
	}
	var there bool
	// Exec mode: behind a pooler in transaction mode a prepared statement may be
	// another server connection's.
	if err := conn.QueryRow(ctx, "select to_regclass($1) is not null", pgx.QueryExecModeExec, set.table()).Scan(&there); err != nil || !there {
		return v, err
	}
	// goose deletes a migration's row when it is taken back.
	err = conn.QueryRow(ctx, "select coalesce(max(version_id), 0) from "+set.table()+" where is_applied", pgx.QueryExecModeExec).Scan(&v.Current)
	return v, err
}

func newest(set Set) (int64, error) {
	files, err := set.files()
	if err != nil {
		return 0, err
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return 0, err
	}
	var last int64
	for _, name := range names {
		n, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", name, err)
		}
		last = max(last, n)
	}
	return last, nil
}
