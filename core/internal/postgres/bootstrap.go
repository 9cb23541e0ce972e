package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// bootstrapLock is the advisory lock that bootstraps of one database take.
const bootstrapLock = 0x5354_5241_544f_0001

// bootstrapTries bounds the attempts when another bootstrap, on another
// database of the same server, changes the same roles: roles belong to the
// server, advisory locks to a database.
const bootstrapTries = 20

// role is what Bootstrap makes of a role.
type role struct {
	name      string
	login     bool
	bypassRLS bool
}

func roles() []role {
	return []role{
		{name: roleOwner},
		{name: roleSearch, bypassRLS: true},
		{name: string(RoleApp), login: true},
		{name: string(RoleSys), login: true, bypassRLS: true},
		{name: string(RoleIngest), login: true},
		{name: string(RoleQueue), login: true},
	}
}

// Bootstrap makes the server's roles and lets them into the database of
// adminURL. The passwords of those that log in are derived from key ([RoleURL]).
// It may be run at every start, by several nodes at once; a new key takes effect
// at once. Two installations with different keys cannot share a server.
//
// adminURL has to reach the server itself or a pooler in session mode, as a
// superuser, or from PostgreSQL 16 on as a role with CREATEROLE and BYPASSRLS
// that owns the database.
func Bootstrap(ctx context.Context, adminURL string, key []byte) error {
	conn, err := connectAdmin(ctx, adminURL)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)

	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", bootstrapLock); err != nil {
		return fmt.Errorf("wait for another bootstrap: %w", err)
	}
	for _, r := range roles() {
		if err := again(ctx, func() error { return makeRole(ctx, conn, r, key) }); err != nil {
			return fmt.Errorf("prepare role %s: %w", r.name, err)
		}
	}
	if err := joinOwner(ctx, conn); err != nil {
		return err
	}
	return openDatabase(ctx, conn)
}

func connectAdmin(ctx context.Context, adminURL string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(adminURL)
	if err != nil {
		return nil, fmt.Errorf("read database URL: %w", err)
	}
	cfg.ConnectTimeout = defaultConnectTimeout
	cfg.RuntimeParams["application_name"] = "strato migrate"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", describe(cfg), err)
	}
	return conn, nil
}

// closeConn also gives the session's advisory locks back.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is left to lose
}

// again runs f, and runs it again when another bootstrap interfered.
func again(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || try == bootstrapTries || !interfered(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 10 * time.Millisecond):
		}
	}
}

// interfered reports whether err comes from a concurrent change of the same
// role: it exists by now, or "tuple concurrently updated".
func interfered(err error) bool {
	switch Code(err) {
	case codeDuplicateObject, codeUniqueViolation, codeInternal:
		return true
	}
	return false
}

// makeRole creates a role, or adjusts the one that is there.
func makeRole(ctx context.Context, conn *pgx.Conn, r role, key []byte) error {
	var super, login, bypass bool
	err := conn.QueryRow(ctx, "select rolsuper, rolcanlogin, rolbypassrls from pg_roles where rolname = $1", r.name).
		Scan(&super, &login, &bypass)
	var words []string
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		words = append(words, "create role", r.name, option("login", r.login), option("bypassrls", r.bypassRLS))
	case err != nil:
		return err
	case super:
		return errors.New("it is a superuser, which row security does not bind; take that away with ALTER ROLE … NOSUPERUSER")
	default:
		words = append(words, "alter role", r.name)
		if login != r.login {
			words = append(words, option("login", r.login))
		}
		if bypass != r.bypassRLS {
			words = append(words, option("bypassrls", r.bypassRLS))
		}
	}
	if r.login {
		password, err := rolePassword(Role(r.name), key)
		if err != nil {
			return err
		}
		verifier, err := scramVerifier(password)
		if err != nil {
			return err
		}
		words = append(words, "password '"+verifier+"'") // base64 and $ only
	}
	if len(words) == 2 {
		return nil // exists as wanted
	}
	_, err = conn.Exec(ctx, strings.Join(words, " "))
	return err
}

func option(word string, yes bool) string {
	if yes {
		return word
	}
	return "no" + word
}

// joinOwner lets the admin act as the owner, which a superuser may anyway, and
// the owner give functions to the search role.
func joinOwner(ctx context.Context, conn *pgx.Conn) error {
	// From PostgreSQL 16 on, who made a role is its member without being allowed
	// to act as it.
	var admin, right string
	if err := conn.QueryRow(ctx, `select quote_ident(current_user), case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end`).
		Scan(&admin, &right); err != nil {
		return fmt.Errorf("ask who the admin is: %w", err)
	}
	for _, g := range []struct{ role, member string }{{roleOwner, admin}, {roleSearch, roleOwner}} {
		var is bool
		if err := conn.QueryRow(ctx, "select pg_has_role($1::text::regrole, $2, $3)", g.member, g.role, right).Scan(&is); err != nil {
			return fmt.Errorf("look for member %s of %s: %w", g.member, g.role, err)
		}
		if is {
			continue
		}
		if err := again(ctx, func() error {
			_, err := conn.Exec(ctx, "grant "+g.role+" to "+g.member)
			return err
		}); err != nil {
			return fmt.Errorf("make %s a member of %s: %w", g.member, g.role, err)
		}
	}
	return nil
}

// openDatabase lets the roles, and nobody else, into the database.
func openDatabase(ctx context.Context, conn *pgx.Conn) error {
	db := pgx.Identifier{conn.Config().Database}.Sanitize()
	_, err := conn.Exec(ctx, fmt.Sprintf(`
revoke all on database %[1]s from public;
grant connect on database %[1]s to strato_app, strato_sys, strato_ingest, strato_queue;
grant connect, create on database %[1]s to strato_owner;
revoke create on schema public from public`, db))
	if err != nil {
		return fmt.Errorf("grant access to database %s: %w", db, err)
	}
	var may bool
	err = conn.QueryRow(ctx, "select has_database_privilege($1, current_database(), 'create')", roleOwner).Scan(&may)
	if err != nil {
		return fmt.Errorf("check rights on database %s: %w", db, err)
	}
	if !may {
		return fmt.Errorf("database %s: the admin role may not grant CREATE on it; make the admin role its owner", db)
	}
	return nil
}
