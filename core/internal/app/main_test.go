package app_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/secret"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// masterKeys are those of every app of these tests: the passwords of the
// database's roles come from them, and the roles belong to the server.
const masterKeys = "k1:Sy9yYXRvJ3MgdGVzdHMgYW5kIG5vdGhpbmcgZWxzZSE="

// base are the migrated databases that others are cloned from, and how many were.
var base struct {
	control, dedicated template
	count              atomic.Int64
}

type template struct {
	sync.Once
	err error
}

// database returns a migrated database of this test alone, whose roles have the
// passwords that an app with masterKeys derives. It is dropped at the test's end.
func database(t *testing.T) dbtest.DB {
	t.Helper()
	return clone(t, &base.control, "app_template", postgres.SetControl, postgres.SetTenant)
}

// dedicatedDatabase is one for the tenants' data alone.
func dedicatedDatabase(t *testing.T) dbtest.DB {
	t.Helper()
	return clone(t, &base.dedicated, "app_dedicated_template", postgres.SetTenant)
}

func clone(t *testing.T, from *template, source string, sets ...postgres.Set) dbtest.DB {
	t.Helper()
	cluster := dbtest.StartedCluster(t)
	ring, err := secret.ParseRing(masterKeys)
	require.NoError(t, err)
	key := app.RoleKey(ring)
	from.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var url string
		if url, from.err = embedded.EnsureDatabase(ctx, cluster.AdminURL(), source); from.err == nil {
			from.err = app.Migrate(ctx, url, key, func(string) {}, sets...)
		}
	})
	require.NoError(t, from.err)

	name := fmt.Sprintf("app_%d", base.count.Add(1))
	require.NoError(t, execute(cluster.AdminURL(), "create database "+name+" template "+source))
	t.Cleanup(func() { require.NoError(t, execute(cluster.AdminURL(), "drop database "+name+" with (force)")) })
	db := dbtest.DB{Name: name, AdminURL: cluster.DatabaseURL(name), Key: key}
	require.NoError(t, postgres.Bootstrap(t.Context(), db.AdminURL, key))
	return db
}

// execute runs a statement on a connection of its own, also when the test's
// context has ended.
func execute(url, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
