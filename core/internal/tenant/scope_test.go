package tenant_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestZeroScope(t *testing.T) {
	t.Parallel()

	var s tenant.Scope
	for name, use := range map[string]func(){
		"select":     func() { s.Select(&contact.Contact{}) },
		"insert":     func() { s.Insert(&contact.Contact{}) },
		"insert all": func() { _ = tenant.InsertAll(t.Context(), s, []contact.Contact{{}}) },
		"update":     func() { s.Update(&contact.Contact{}) },
		"delete":     func() { s.Delete(&contact.Contact{}) },
		"exec":       func() { _, _ = s.Exec(t.Context(), "select 1") },
		"query":      func() { _ = s.Query(t.Context(), new(int), "select 1") },
		"tx":         func() { _, _ = s.Tx(t.Context()) },
	} {
		require.PanicsWithValue(t, "tenant: use of a zero Scope", use, name)
	}
	require.Panics(t, func() { s.AfterCommit(func(context.Context) {}) })
	require.Panics(t, func() { s.Announce(tenant.Change{}) })
}

// ways are the two ways to open a scope.
func ways(pool *tenant.Pool) map[string]func(context.Context, tenant.ID, func(context.Context, tenant.Scope) error) error {
	return map[string]func(context.Context, tenant.ID, func(context.Context, tenant.Scope) error) error{"do": pool.Do, "read": pool.Read}
}

// The context that came with a scope carries its tenant. With any other, such as
// that of a scope around it, nothing of another tenant's is reached.
func TestScopeWantsItsContext(t *testing.T) {
	t.Parallel()

	pool, agency := tenanttest.New(t)
	other := tenanttest.Create(t, pool, dbtest.Database(t).Name)
	add(t, pool, other, "de otra")
	none, foreign := t.Context(), postgres.WithTenant(t.Context(), other.ID.UUID)

	for name, run := range ways(pool) {
		for what, wrong := range map[string]context.Context{"none": none, "foreign": foreign} {
			open := func(t *testing.T, use func(s tenant.Scope)) {
				t.Helper()
				_ = run(t.Context(), agency.ID, func(_ context.Context, s tenant.Scope) error {
					use(s)
					return errors.New("undo")
				})
			}
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()

				open(t, func(s tenant.Scope) {
					_, err := s.Exec(wrong, "update crm.contacts set name = 'x'")
					require.ErrorContains(t, err, "context")
				})
				open(t, func(s tenant.Scope) {
					require.ErrorContains(t, s.Query(wrong, &[]string{}, "select name from crm.contacts"), "context")
				})
				open(t, func(s tenant.Scope) {
					n, err := s.Select((*contact.Contact)(nil)).Count(wrong)
					require.Zero(t, n)
					if what == "none" && name == "read" {
						require.ErrorIs(t, err, postgres.ErrNoTenant)
					}
				})
				open(t, func(s tenant.Scope) {
					_, err := s.Insert(person(s, "x")).Exec(wrong)
					if what == "foreign" || name == "read" {
						require.Error(t, err)
					}
				})
			})
		}
	}
}

func TestDo(t *testing.T) {
	t.Parallel()

	failed := errors.New("no")
	t.Run("commits", func(t *testing.T) {
		t.Parallel()

		pool, agency := tenanttest.New(t)
		add(t, pool, agency, "Ana")
		require.Equal(t, []string{"Ana"}, names(t, pool, agency))
	})

	t.Run("rolls back on an error", func(t *testing.T) {
		t.Parallel()

		pool, agency := tenanttest.New(t)
		err := pool.Do(t.Context(), agency.ID, func(ctx context.Context, s tenant.Scope) error {
			_, err := s.Insert(person(s, "Ana")).Exec(ctx)
			require.NoError(t, err)
			return failed
		})
		require.ErrorIs(t, err, failed)
		require.Empty(t, names(t, pool, agency))
	})

	t.Run("rolls back on a panic, and gives the connection back", func(t *testing.T) {
		t.Parallel()

		db := dbtest.Database(t)
		pool := tenanttest.Open(t, db, func(c *tenant.Config) { c.MaxConns = 1 })
		agency := tenanttest.Create(t, pool, db.Name)
		for range 3 {
			require.PanicsWithValue(t, "oops", func() {
				_ = pool.Do(t.Context(), agency.ID, func(ctx context.Context, s tenant.Scope) error {
					_, err := s.Insert(person(s, "Ana")).Exec(ctx)
					require.NoError(t, err)
					panic("oops")
				})
			})
		}
		require.Empty(t, names(t, pool, agency))
	})

	t.Run("rolls back when the caller gives up", func(t *testing.T) {
		t.Parallel()

		pool, agency := tenanttest.New(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := pool.Do(ctx, agency.ID, func(ctx context.Context, s tenant.Scope) error {
			_, err := s.Insert(person(s, "Ana")).Exec(ctx)
			require.NoError(t, err)
			cancel()
			_, err = s.Insert(person(s, "Eva")).Exec(ctx)
			return err
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, names(t, pool, agency))
	})

	t.Run("an error that was passed over is not forgotten", func(t *testing.T) {
		t.Parallel()

		pool, agency := tenanttest.New(t)
		told := false
		err := pool.Do(t.Context(), agency.ID, func(ctx context.Context, s tenant.Scope) error {
			s.AfterCommit(func(context.Context) { told = true })
			_, err := s.Insert(person(s, "Ana")).Exec(ctx)
			require.NoError(t, err)
			_, err = s.Exec(ctx, "select 1/0")
			require.Error(t, err)
			return nil
		})
		require.Error(t, err, "PostgreSQL answers such a COMMIT by rolling back")
		require.False(t, told)
		require.Empty(t, names(t, pool, agency))
	})

	t.Run("without a statement", func(t *testing.T) {
		t.Parallel()

		pool, agency := tenanttest.New(t)
		told := false
		require.NoError(t, pool.Do(t.Context(), agency.ID, func(_ context.Context, s tenant.Scope) error {
			s.AfterCommit(func(context.Context) { told = true })
			return nil
		}))
		require.True(t, told)
	})

	t.Run("one moment for all rows", func(t *testing.T) {
		t.Parallel()

		pool, agency := tenanttest.New(t)
		tenanttest.Do(t, pool, agency, func(_ context.Context, s tenant.Scope) error {
			require.Equal(t, agency.ID, s.Tenant())
			require.Equal(t, time.UTC, s.Now().Location())
			require.Zero(t, s.Now().Nanosecond()%1000)
			require.WithinDuration(t, time.Now(), s.Now(), time.Minute)
			return nil
		})
	})

	t.Run("a pgx transaction is the same one", func(t *testing.T) {
		t.Parallel()

		pool, agency := tenanttest.New(t)
		err := pool.Do(t.Context(), agency.ID, func(ctx context.Context, s tenant.Scope) error {
			tx, err := s.Tx(ctx) // before any statement: BEGIN has not been sent yet
			require.NoError(t, err)
			_, err = tx.Exec(ctx, "insert into crm.contacts (tenant_id, id, name, created_at, updated_at) values ($1, $2, 'Ana', now(), now())",
				s.Tenant().UUID, uuid.New())
			require.NoError(t, err)
			n, err := s.Select((*contact.Contact)(nil)).Count(ctx)
			require.NoError(t, err)
			require.Equal(t, int64(1), int64(n))
			return failed
		})
		require.ErrorIs(t, err, failed)
		require.Empty(t, names(t, pool, agency))
	})
}

func TestAfterCommit(t *testing.T) {
	t.Parallel()

	db := dbtest.Database(t)
	type told struct {
		tenant  tenant.ID
		changes []tenant.Change
		people  int
		alive   bool
	}
	var heard []told
	admin := db.Admin(t)
	pool := tenanttest.Open(t, db, func(c *tenant.Config) {
		c.Announce = func(ctx context.Context, id tenant.ID, changes []tenant.Change) {
			heard = append(heard, told{id, changes, count(t, admin, "select count(*) from crm.contacts where tenant_id = $1", id.UUID), ctx.Err() == nil})
		}
	})
	agency := tenanttest.Create(t, pool, db.Name)

	// It comes after the commit, in order, and outlives a caller who has gone.
	var order []string
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, pool.Do(ctx, agency.ID, func(ctx context.Context, s tenant.Scope) error {
		s.AfterCommit(func(ctx context.Context) {
			order = append(order, "first")
			require.Equal(t, 1, count(t, admin, "select count(*) from crm.contacts where tenant_id = $1", agency.ID.UUID))
			cancel()
		})
		s.AfterCommit(func(ctx context.Context) {
			order = append(order, "second")
			require.NoError(t, ctx.Err())
		})
		s.Announce(tenant.Change{Type: "contact.created"}, tenant.Change{Type: "lead.created"})
		s.Announce(tenant.Change{Type: "lead.updated"})
		_, err := s.Insert(person(s, "Ana")).Exec(ctx)
		require.Empty(t, order)
		return err
	}))
	require.Equal(t, []string{"first", "second"}, order)
	require.Equal(t, []told{{
		agency.ID, []tenant.Change{{Type: "contact.created"}, {Type: "lead.created"}, {Type: "lead.updated"}}, 1, true,
	}}, heard)

	// It does not come when nothing was committed.
	_ = pool.Do(t.Context(), agency.ID, func(_ context.Context, s tenant.Scope) error {
		s.AfterCommit(func(context.Context) { order = append(order, "never") })
		s.Announce(tenant.Change{Type: "contact.created"})
		return errors.New("no")
	})
	require.Len(t, order, 2)
	require.Len(t, heard, 1)

	// A scope that only reads commits nothing.
	require.NoError(t, pool.Read(t.Context(), agency.ID, func(ctx context.Context, s tenant.Scope) error {
		require.Panics(t, func() { s.AfterCommit(func(context.Context) {}) })
		require.Panics(t, func() { s.Announce(tenant.Change{}) })
		_, err := s.Tx(ctx)
		require.ErrorContains(t, err, "only reads")
		return nil
	}))
}

func TestRowsBelongToTheScope(t *testing.T) {
	t.Parallel()

	pool, mine := tenanttest.New(t)
	theirs := tenanttest.Create(t, pool, dbtest.Database(t).Name)
	foreign := add(t, pool, theirs, "Ana")
	own := add(t, pool, mine, "Eva")

	tenanttest.Do(t, pool, mine, func(ctx context.Context, s tenant.Scope) error {
		// Whatever a row says, it becomes the scope's.
		c := person(s, "Uma")
		c.TenantID = theirs.ID
		_, err := s.Insert(c).Exec(ctx)
		require.NoError(t, err)
		list := []contact.Contact{*person(s, "Ida"), *person(s, "Zoe")}
		list[1].TenantID = theirs.ID
		require.NoError(t, tenant.InsertAll(ctx, s, list))
		require.NoError(t, tenant.InsertAll[contact.Contact](ctx, s, nil))

		// By another tenant's key nothing is reached.
		copied := *foreign
		copied.Name = "robada"
		res, err := s.Update(&copied).Column("name").Exec(ctx)
		require.Error(t, tenant.Exactly(1, res, err))
		require.NoError(t, tenant.Exactly(0, res, err))
		res, err = s.Delete(&copied).Exec(ctx)
		require.NoError(t, tenant.Exactly(0, res, err))
		n, err := s.Exec(ctx, "update crm.contacts set name = $1 where id = $2", "robada", foreign.ID)
		require.NoError(t, err)
		require.Zero(t, n)

		own.Name = "Eva María"
		res, err = s.Update(own).Column("name").Exec(ctx)
		require.NoError(t, tenant.Exactly(1, res, err))
		return nil
	})
	require.Equal(t, []string{"Eva María", "Ida", "Uma", "Zoe"}, names(t, pool, mine))
	require.Equal(t, []string{"Ana"}, names(t, pool, theirs))
	require.Error(t, tenant.Exactly(0, nil, sql.ErrConnDone))
}

func TestQuery(t *testing.T) {
	t.Parallel()

	pool, agency := tenanttest.New(t)
	ana := add(t, pool, agency, "Ana")
	for name, run := range ways(pool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			require.NoError(t, run(t.Context(), agency.ID, func(ctx context.Context, s tenant.Scope) error {
				var n int
				require.NoError(t, s.Query(ctx, &n, "select count(*) from crm.contacts where name = $1", "Ana"))
				require.Equal(t, 1, n)
				var c contact.Contact
				require.NoError(t, s.Query(ctx, &c, "select * from crm.contacts where id = $1", ana.ID))
				require.Equal(t, "Ana", c.Name)
				require.Equal(t, agency.ID, c.TenantID)
				list := []contact.Contact{}
				require.NoError(t, s.Query(ctx, &list, "select id, name from crm.contacts where name = any($1)", []string{"Ana", "Eva"}))
				require.Len(t, list, 1)
				require.ErrorIs(t, s.Query(ctx, &c, "select * from crm.contacts where id = $1", uuid.New()), sql.ErrNoRows)
				list = []contact.Contact{}
				require.NoError(t, s.Query(ctx, &list, "select * from crm.contacts where id = $1", uuid.New()))
				require.Empty(t, list)
				return nil
			}))
		})
	}
}

// What has words for the caller keeps them, whatever its cause.
func TestFaultsPassThrough(t *testing.T) {
	t.Parallel()

	pool, agency := tenanttest.New(t)
	f := fault.New(fault.Invalid, "test.words", "That is not right.")
	for name, run := range ways(pool) {
		err := run(t.Context(), agency.ID, func(context.Context, tenant.Scope) error {
			return fmt.Errorf("decode: %w", f.With(io.ErrUnexpectedEOF))
		})
		require.ErrorIs(t, err, f, name)
		require.NotErrorIs(t, err, tenant.ErrUnavailable, name)
		err = run(t.Context(), agency.ID, func(context.Context, tenant.Scope) error { return io.ErrUnexpectedEOF })
		require.ErrorIs(t, err, tenant.ErrUnavailable, name)
	}
}
