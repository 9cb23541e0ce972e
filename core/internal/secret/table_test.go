package secret_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/secret"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestTable(t *testing.T) {
	t.Parallel()

	ctx := t.Context()
	db := postgres.OpenDB(dbtest.Database(t).Pool(t, postgres.RoleApp, postgres.PoolConfig{}), postgres.DBConfig{})
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	table := secret.NewTable(db)
	acme := dbtest.TenantID()
	_, err := db.ExecContext(ctx, "INSERT INTO control.tenants (id, slug, name) VALUES (?, ?, 'Acme')", acme, "k"+acme.String()[24:])
	require.NoError(t, err)

	none, err := table.Keys(ctx, uuid.New())
	require.NoError(t, err)
	require.Empty(t, none)

	sealed := make([][]byte, 6)
	var group sync.WaitGroup
	for i := range sealed {
		group.Go(func() {
			r, err := secret.ParseRing("a:" + key(1))
			if err == nil {
				sealed[i], _ = secret.NewBox(r, table).Seal(ctx, acme, "p", []byte("EAAG\x00\xff"))
			}
		})
	}
	group.Wait()
	stored, err := table.Keys(ctx, acme)
	require.NoError(t, err)
	require.Len(t, stored, 1, "nodes that start together agree on one key")

	n, err := secret.NewBox(ring(t, "b:"+key(2)+",a:"+key(1)), table).Rewrap(ctx, acme)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for _, s := range sealed {
		plain, err := secret.NewBox(ring(t, "b:"+key(2)), table).Open(ctx, acme, "p", s)
		require.NoError(t, err)
		require.Equal(t, "EAAG\x00\xff", string(plain))
	}
}
