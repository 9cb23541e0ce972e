package tenant_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

// Many tenants read through one connection of the server, in every way there is
// and all at once. Nobody ever gets another's row.
func TestThroughAPooler(t *testing.T) {
	t.Parallel()

	const (
		tenants = 37 // a prime, so that tenants and workers do not fall into step
		workers = 24
		reads   = 4000
	)
	db := dbtest.Fresh(t)
	agencies := make([]tenant.Tenant, tenants)
	direct := tenanttest.Open(t, db, nil)
	for i := range agencies {
		agencies[i] = place(t, direct, tenant.Database{Name: "shared", Kind: "shared", DSNRef: "same:" + db.Name})
		for n := range 3 {
			add(t, direct, agencies[i], fmt.Sprintf("%s %d", agencies[i].Slug, n))
		}
	}
	pool := tenanttest.Open(t, dbtest.PgBouncer(t, db, 1), func(c *tenant.Config) {
		c.ExecMode, c.MaxConns = pgx.QueryExecModeExec, 16
	})

	everybody := tenant.NewHot[contact.Contact](func(q *bun.SelectQuery) *bun.SelectQuery { return q })
	own := func(s tenant.Scope, list []uuid.UUID, err error) error {
		if err == nil && len(list) != 3 {
			return fmt.Errorf("tenant %s sees %d rows, want 3", s.Tenant(), len(list))
		}
		for _, u := range list {
			if u != s.Tenant().UUID {
				return fmt.Errorf("tenant %s sees a row of %s", s.Tenant(), u)
			}
		}
		return err
	}
	of := func(list []contact.Contact) []uuid.UUID {
		out := make([]uuid.UUID, len(list))
		for i, c := range list {
			out[i] = c.TenantID.UUID
		}
		return out
	}
	// Statements without a word of the tenant: only its setting tells them apart.
	ways := []func(ctx context.Context, s tenant.Scope) error{
		func(ctx context.Context, s tenant.Scope) error {
			list := []uuid.UUID{}
			err := s.Query(ctx, &list, "select tenant_id from crm.contacts")
			return own(s, list, err)
		},
		func(ctx context.Context, s tenant.Scope) error {
			list := []uuid.UUID{}
			err := s.Query(ctx, &list, "select tenant_id from crm.contacts where name <> $1", "nadie")
			return own(s, list, err)
		},
		func(ctx context.Context, s tenant.Scope) error {
			list, err := everybody.All(ctx, s)
			return own(s, of(list), err)
		},
		func(ctx context.Context, s tenant.Scope) error {
			list := []contact.Contact{}
			err := s.Select(&list).Scan(ctx)
			return own(s, of(list), err)
		},
	}
	var next atomic.Int64
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for n := int(next.Add(1)); n <= reads && errs[w] == nil; n = int(next.Add(1)) {
				run := pool.Read
				if n%3 == 0 {
					run = pool.Do
				}
				errs[w] = run(t.Context(), agencies[n%tenants].ID, func(ctx context.Context, s tenant.Scope) error {
					return errors.Join(ways[n%len(ways)](ctx, s), ways[(n/7)%len(ways)](ctx, s))
				})
			}
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
}
