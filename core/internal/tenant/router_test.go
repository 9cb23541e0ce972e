package tenant_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

// place makes a tenant in a database that is reached in a way of its own.
func place(t *testing.T, pool *tenant.Pool, d tenant.Database) tenant.Tenant {
	t.Helper()
	d, err := pool.AddDatabase(t.Context(), d)
	require.NoError(t, err)
	slug := "t" + uuid.NewString()[:13]
	agency, err := pool.Create(t.Context(), tenant.CreateInput{Slug: slug, Name: slug, Database: d.ID}, nothing)
	require.NoError(t, err)
	return agency
}

func nothing(context.Context, tenant.Scope) error { return nil }

// clients counts the connections of a role to a database.
func clients(t *testing.T, admin *pgx.Conn, database, role string) int {
	t.Helper()
	return count(t, admin, "select count(*) from pg_stat_activity where datname = $1 and usename = $2", database, role)
}

func TestDedicatedDatabase(t *testing.T) {
	t.Parallel()

	shared, own := dbtest.Fresh(t), dbtest.Fresh(t)
	pool := tenanttest.Open(t, shared, nil)
	acme := tenanttest.Create(t, pool, shared.Name)
	file := filepath.Join(t.TempDir(), "dsn")
	require.NoError(t, os.WriteFile(file, []byte(own.AdminURL+"\n"), 0o600))
	norte := place(t, pool, tenant.Database{Name: "norte", Kind: "dedicated", DSNRef: "file:" + file})

	add(t, pool, acme, "Ana")
	add(t, pool, norte, "Eva")
	require.Equal(t, []string{"Ana"}, names(t, pool, acme))
	require.Equal(t, []string{"Eva"}, names(t, pool, norte))
	const people = "select count(*) from crm.contacts where tenant_id = $1"
	inShared, inOwn := shared.Admin(t), own.Admin(t)
	require.Equal(t, 1, count(t, inShared, people, acme.ID.UUID))
	require.Zero(t, count(t, inShared, people, norte.ID.UUID))
	require.Equal(t, 1, count(t, inOwn, people, norte.ID.UUID))
	require.Zero(t, count(t, inOwn, people, acme.ID.UUID))

	at, err := pool.DatabaseOf(t.Context(), norte.ID)
	require.NoError(t, err)
	list, err := pool.Databases(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, at, list[0].ID, "by name: norte comes before the other")
}

// Pools connect when they are first used, and never beyond their caps.
func TestPools(t *testing.T) {
	t.Parallel()

	shared, own := dbtest.Fresh(t), dbtest.Fresh(t)
	pool := tenanttest.Open(t, shared, func(c *tenant.Config) { c.MaxConns = 3 })
	admin := own.Admin(t)
	d, err := pool.AddDatabase(t.Context(), tenant.Database{Name: "own", Kind: "dedicated", DSNRef: "same:" + own.Name})
	require.NoError(t, err)
	// The look at a database's version leaves its connection behind for a moment.
	settles := func(role string, n int) {
		require.Eventually(t, func() bool { return clients(t, admin, own.Name, role) == n }, 10*time.Second, 5*time.Millisecond, role)
	}
	none := func() {
		for _, role := range []string{"strato_app", "strato_sys", "strato_ingest", "strato_queue"} {
			settles(role, 0)
		}
	}
	none()
	for _, open := range []func(context.Context, tenant.DatabaseID) error{
		func(ctx context.Context, i tenant.DatabaseID) error { _, err := pool.Queue(ctx, i); return err },
		func(ctx context.Context, i tenant.DatabaseID) error { _, err := pool.Ingest(ctx, i); return err },
	} {
		require.NoError(t, open(t.Context(), d.ID))
	}
	none()
	agency := place(t, pool, d)
	add(t, pool, agency, "Ana")
	settles("strato_app", 1)

	const lock = 4711
	for name, tt := range map[string]struct {
		role string
		most int
		wait func(ctx context.Context) error
	}{
		"tenants": {"strato_app", 3, func(ctx context.Context) error {
			return pool.Do(ctx, agency.ID, func(ctx context.Context, s tenant.Scope) error {
				_, err := s.Exec(ctx, "select pg_advisory_xact_lock_shared($1)", lock)
				return err
			})
		}},
		"system": {"strato_sys", 4, func(ctx context.Context) error {
			return pool.System(ctx, d.ID, "a test", func(ctx context.Context, s tenant.Sys) error {
				_, err := s.Exec(ctx, "select pg_advisory_xact_lock_shared($1)", lock)
				return err
			})
		}},
		"webhooks": {"strato_ingest", 4, func(ctx context.Context) error {
			p, err := pool.Ingest(ctx, d.ID)
			if err != nil {
				return err
			}
			_, err = p.Exec(ctx, "select pg_advisory_xact_lock_shared($1)", lock)
			return err
		}},
		"jobs": {"strato_queue", 8, func(ctx context.Context) error {
			p, err := pool.Queue(ctx, d.ID)
			if err != nil {
				return err
			}
			_, err = p.Exec(ctx, "select pg_advisory_xact_lock_shared($1)", lock)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			// All wait for a lock that is held here, so that all want a connection at once.
			_, err := admin.Exec(t.Context(), "select pg_advisory_lock($1)", lock)
			require.NoError(t, err)
			const workers = 20
			errs := make(chan error, workers)
			for range workers {
				go func() { errs <- tt.wait(t.Context()) }()
			}
			require.Eventually(t, func() bool { return clients(t, admin, own.Name, tt.role) == tt.most }, 10*time.Second, 5*time.Millisecond)
			_, err = admin.Exec(t.Context(), "select pg_advisory_unlock($1)", lock)
			require.NoError(t, err)
			for range workers {
				require.NoError(t, <-errs)
				require.LessOrEqual(t, clients(t, admin, own.Name, tt.role), tt.most)
			}
		})
	}

	t.Run("a database's own cap", func(t *testing.T) {
		small := dbtest.Fresh(t)
		agency := place(t, pool, tenant.Database{Name: "small", Kind: "dedicated", DSNRef: "same:" + small.Name, MaxConns: 1})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { _ = pool.Do(t.Context(), agency.ID, nothing) })
		}
		all.Wait()
		add(t, pool, agency, "Ana")
		beside := small.Admin(t)
		require.Eventually(t, func() bool { return clients(t, beside, small.Name, "strato_app") == 1 }, 10*time.Second, 5*time.Millisecond)
	})
}

func TestUnknownPlaces(t *testing.T) {
	t.Parallel()

	db := dbtest.Fresh(t)
	pool := tenanttest.Open(t, db, nil)
	acme := tenanttest.Create(t, pool, db.Name)
	for name, run := range ways(pool) {
		require.ErrorIs(t, run(t.Context(), tenant.ID{}, nothing), tenant.ErrNotFound, name)
		require.ErrorIs(t, run(t.Context(), id.New[tenant.Tenant](), nothing), tenant.ErrNotFound, name)
	}
	_, err := pool.BySlug(t.Context(), "nadie")
	require.ErrorIs(t, err, tenant.ErrNotFound)
	_, err = pool.ByDomain(t.Context(), "nadie.example")
	require.ErrorIs(t, err, tenant.ErrNotFound)
	require.Error(t, pool.System(t.Context(), id.New[tenant.Database](), "a test", func(context.Context, tenant.Sys) error { return nil }))

	for name, tt := range map[string]struct {
		d    tenant.Database
		want string
	}{
		"no such file": {tenant.Database{Name: "x", DSNRef: "file:/nowhere/dsn"}, "read its URL"},
		"no scheme":    {tenant.Database{Name: "x", DSNRef: "postgres://u:secret@h/x"}, "must begin with"},
	} {
		_, err := tt.d.AdminURL(db.AdminURL)
		require.ErrorContains(t, err, tt.want, name)
		require.NotContains(t, err.Error(), "secret", name)
	}

	// One that is switched off is not opened, and not listed.
	off := dbtest.Fresh(t)
	norte := place(t, pool, tenant.Database{Name: "off", Kind: "dedicated", DSNRef: "same:" + off.Name})
	_, err = db.Admin(t).Exec(t.Context(), "update control.databases set state = 'off' where name = 'off'")
	require.NoError(t, err)
	again := tenanttest.Open(t, db, nil) // remembers nothing
	require.ErrorIs(t, again.Do(t.Context(), norte.ID, nothing), tenant.ErrUnavailable)
	list, err := again.Databases(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NoError(t, again.Do(t.Context(), acme.ID, nothing))

	// A pool that was closed opens nothing any more.
	closed := tenanttest.Open(t, db, nil)
	closed.Close()
	require.Error(t, closed.Do(t.Context(), acme.ID, nothing))
}

// What is remembered of a tenant holds until it is forgotten.
func TestForget(t *testing.T) {
	t.Parallel()

	db, other := dbtest.Fresh(t), dbtest.Fresh(t)
	pool := tenanttest.Open(t, db, nil)
	acme := tenanttest.Create(t, pool, db.Name)
	d, err := pool.AddDatabase(t.Context(), tenant.Database{Name: "other", Kind: "shared", DSNRef: "same:" + other.Name})
	require.NoError(t, err)
	admin := db.Admin(t)
	domain := acme.Slug + ".example"
	_, err = admin.Exec(t.Context(), "insert into control.tenant_domains (domain, tenant_id) values ($1, $2)", domain, acme.ID.UUID)
	require.NoError(t, err)
	lookups := map[string]func() (tenant.Tenant, error){
		"by name":   func() (tenant.Tenant, error) { return pool.BySlug(t.Context(), acme.Slug) },
		"by domain": func() (tenant.Tenant, error) { return pool.ByDomain(t.Context(), domain) },
		"by id":     func() (tenant.Tenant, error) { return pool.Get(t.Context(), acme.ID) },
	}

	add(t, pool, acme, "Ana")
	_, err = admin.Exec(t.Context(), "update control.placements set database_id = $1, epoch = 2 where tenant_id = $2", d.ID.UUID, acme.ID.UUID)
	require.NoError(t, err)
	require.Equal(t, []string{"Ana"}, names(t, pool, acme), "remembered")
	pool.Forget(acme.ID)
	require.Empty(t, names(t, pool, acme), "the other database has nothing")

	for name, look := range lookups {
		for _, active := range []bool{true, false, true} {
			_, err := admin.Exec(t.Context(), "update control.tenants set active = $1 where id = $2", active, acme.ID.UUID)
			require.NoError(t, err)
			pool.Forget(acme.ID)
			got, err := look()
			if active {
				require.NoError(t, err, name)
				require.Equal(t, acme.ID, got.ID, name)
			} else {
				require.ErrorIs(t, err, tenant.ErrInactive, name)
			}
			// Without a word, what is remembered stays.
			_, err = admin.Exec(t.Context(), "update control.tenants set active = not active where id = $1", acme.ID.UUID)
			require.NoError(t, err)
			_, later := look()
			require.Equal(t, err != nil || !active, later != nil, name)
		}
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()

	db := dbtest.Fresh(t)
	pool := tenanttest.Open(t, db, nil)
	d, err := pool.AddDatabase(t.Context(), tenant.Database{Name: "shared", Kind: "shared", DSNRef: "same:" + db.Name})
	require.NoError(t, err)
	again, err := pool.AddDatabase(t.Context(), tenant.Database{Name: "shared", Kind: "shared", DSNRef: "same:elsewhere"})
	require.NoError(t, err)
	require.Equal(t, d, again, "the one of that name")

	// seed adds a row unless one is there, as real seeds do.
	seed := func(ctx context.Context, s tenant.Scope) error {
		if n, err := s.Select((*contact.Contact)(nil)).Count(ctx); err != nil || n > 0 {
			return err
		}
		_, err := s.Insert(person(s, "Ana")).Exec(ctx)
		return err
	}
	crash := errors.New("killed")

	t.Run("what was cut off is finished", func(t *testing.T) {
		t.Parallel()

		for name, cut := range map[string]func(cancel func()) func(context.Context, tenant.Scope) error{
			"before the seed": func(func()) func(context.Context, tenant.Scope) error {
				return func(context.Context, tenant.Scope) error { return crash }
			},
			"in the seed": func(func()) func(context.Context, tenant.Scope) error {
				return func(ctx context.Context, s tenant.Scope) error { return errors.Join(seed(ctx, s), crash) }
			},
			"after the seed": func(cancel func()) func(context.Context, tenant.Scope) error {
				return func(ctx context.Context, s tenant.Scope) error {
					s.AfterCommit(func(context.Context) { cancel() })
					return seed(ctx, s)
				}
			},
		} {
			in := tenant.CreateInput{Slug: "c" + uuid.NewString()[:8], Name: "Cut", Database: d.ID}
			ctx, cancel := context.WithCancel(t.Context())
			_, err := pool.Create(ctx, in, cut(cancel))
			cancel()
			require.Error(t, err, name)
			_, err = pool.BySlug(t.Context(), in.Slug)
			require.ErrorIs(t, err, tenant.ErrInactive, name)

			made, err := pool.Create(t.Context(), in, seed)
			require.NoError(t, err, name)
			require.True(t, made.Active, name)
			require.Equal(t, []string{"Ana"}, names(t, pool, made), name)
			got, err := pool.BySlug(t.Context(), in.Slug)
			require.NoError(t, err, name)
			require.Equal(t, made.ID, got.ID, name)

			_, err = pool.Create(t.Context(), in, seed)
			require.ErrorIs(t, err, tenant.ErrSlugTaken, name)
		}
	})

	t.Run("at the same time", func(t *testing.T) {
		t.Parallel()

		in := tenant.CreateInput{Slug: "race", Name: "Race", Database: d.ID}
		errs := make([]error, 8)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				_, errs[i] = pool.Create(t.Context(), in, seed)
			})
		}
		all.Wait()
		require.Contains(t, errs, nil)
		admin := db.Admin(t)
		require.Equal(t, 1, count(t, admin, "select count(*) from control.tenants where slug = 'race' and active"))
		require.Equal(t, 1, count(t, admin, "select count(*) from control.placements p join control.tenants t on t.id = p.tenant_id where t.slug = 'race'"))
	})

	t.Run("defaults", func(t *testing.T) {
		t.Parallel()

		made, err := pool.Create(t.Context(), tenant.CreateInput{Slug: "defaults", Name: "Defaults", Database: d.ID}, nothing)
		require.NoError(t, err)
		require.Equal(t, tenant.PlanBasic, made.Plan)
		require.Equal(t, []string{"es-AR", "America/Argentina/Buenos_Aires", "USD"}, []string{made.Locale, made.TimeZone, made.BaseCurrency})
	})

	t.Run("refused", func(t *testing.T) {
		t.Parallel()

		before := count(t, db.Admin(t), "select count(*) from control.tenants where slug not in ('race', 'defaults') and slug !~ '^c[0-9a-f]{8}$'")
		for _, slug := range []string{"", "-a", "a-", "A", "a_b", "á", "a.b", "a b", "a/b", "../x", "x\x00", "0123456789012345678901234567890123456789x"} {
			_, err := pool.Create(t.Context(), tenant.CreateInput{Slug: slug, Name: "X", Database: d.ID}, nothing)
			require.ErrorIs(t, err, tenant.ErrSlug, slug)
		}
		_, err := pool.Create(t.Context(), tenant.CreateInput{Slug: "nameless", Database: d.ID}, nothing)
		require.Error(t, err)
		_, err = pool.Create(t.Context(), tenant.CreateInput{Slug: "nowhere", Name: "X", Database: id.New[tenant.Database]()}, nothing)
		require.Error(t, err, "there is no such database")
		require.Equal(t, before, count(t, db.Admin(t), "select count(*) from control.tenants where slug not in ('race', 'defaults') and slug !~ '^c[0-9a-f]{8}$'"))
	})
}

// System sees every tenant of a database, and says why in the log.
func TestSystem(t *testing.T) {
	t.Parallel()

	db := dbtest.Fresh(t)
	log := &journal{}
	pool := tenanttest.Open(t, db, func(c *tenant.Config) { c.Logger = slog.New(log) })
	a, b := tenanttest.Create(t, pool, db.Name), tenanttest.Create(t, pool, db.Name)
	add(t, pool, a, "Ana")
	add(t, pool, b, "Eva")
	at, err := pool.DatabaseOf(t.Context(), a.ID)
	require.NoError(t, err)

	var seen []string
	require.NoError(t, pool.System(t.Context(), at, "counting people", func(ctx context.Context, s tenant.Sys) error {
		return s.Query(ctx, func(scan func(...any) error) error {
			var name string
			defer func() { seen = append(seen, name) }()
			return scan(&name)
		}, "select name from crm.contacts where tenant_id = any($1) order by name", []uuid.UUID{a.ID.UUID, b.ID.UUID})
	}))
	require.Equal(t, []string{"Ana", "Eva"}, seen)
	require.Contains(t, log.records, map[string]string{"message": "system access", "reason": "counting people", "database": at.String()})

	failed := errors.New("no")
	err = pool.System(t.Context(), at, "undone", func(ctx context.Context, s tenant.Sys) error {
		n, err := s.Exec(ctx, "delete from crm.contacts where tenant_id = $1", a.ID.UUID)
		require.NoError(t, err)
		require.Equal(t, int64(1), n)
		return failed
	})
	require.ErrorIs(t, err, failed)
	require.Equal(t, []string{"Ana"}, names(t, pool, a))
}
