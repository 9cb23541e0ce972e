package tenant_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestHot(t *testing.T) {
	t.Parallel()

	db := dbtest.Database(t)
	pool := tenanttest.Open(t, db, func(c *tenant.Config) { c.MaxConns = 1 })
	mine, theirs := tenanttest.Create(t, pool, db.Name), tenanttest.Create(t, pool, db.Name)
	ana, foreign := add(t, pool, mine, "Ana"), add(t, pool, theirs, "Eva")

	byID := tenant.NewHot[contact.Contact](func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("c.id = $2") })
	all := tenant.NewHot[contact.Contact](func(q *bun.SelectQuery) *bun.SelectQuery { return q.Order("c.id") })
	require.Contains(t, byID.String(), "tenant_id = $1")
	require.Contains(t, byID.String(), "c.id = $2")
	for name, run := range ways(pool) {
		require.NoError(t, run(t.Context(), mine.ID, func(ctx context.Context, s tenant.Scope) error {
			for range 5 {
				c, err := byID.One(ctx, s, ana.ID)
				require.NoError(t, err, name)
				require.Equal(t, "Ana", c.Name)
			}
			for _, i := range []contact.ID{foreign.ID, id.New[contact.Contact](), {}} {
				_, err := byID.One(ctx, s, i)
				require.ErrorIs(t, err, sql.ErrNoRows, name)
			}
			list, err := all.All(ctx, s)
			require.NoError(t, err, name)
			require.Len(t, list, 1)
			list, err = byID.All(ctx, s, foreign.ID)
			require.NoError(t, err, name)
			require.NotNil(t, list)
			require.Empty(t, list)
			// The one connection has the statement prepared, once.
			var prepared int
			require.NoError(t, s.Query(ctx, &prepared, "select count(*)::int from pg_prepared_statements where statement like $1", "%"+byID.String()))
			require.Equal(t, 1, prepared, name)
			return nil
		}))
	}
}
