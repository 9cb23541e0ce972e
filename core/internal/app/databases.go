package app

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/secret"
	"github.com/stratohub/strato/core/internal/tenant"
)

// ControlDatabase is the name of the embedded control database. It is the shared
// database of tenants too.
const ControlDatabase = "strato"

// RoleKey is the key from which the passwords of the database roles are derived.
func RoleKey(ring *secret.Ring) []byte { return ring.DeriveKey("postgres-roles").Bytes() }

// databases starts PostgreSQL unless one is given, and brings it to this
// version's schema where that was asked for.
func (a *App) databases(ctx context.Context) error {
	ring, err := a.Config.Ring()
	if err != nil {
		return err
	}
	a.roleKey = RoleKey(ring)
	a.admin = a.Config.DatabaseURL.Reveal()
	if a.Config.EmbeddedDatabase() {
		if err := a.startPostgres(ctx); err != nil {
			return err
		}
	}
	if !a.options.Migrate && !a.Config.EmbeddedDatabase() {
		return CheckSchema(ctx, a.admin)
	}
	return Migrate(ctx, a.admin, a.roleKey, a.options.Progress, postgres.SetControl, postgres.SetTenant)
}

func (a *App) startPostgres(ctx context.Context) error {
	a.options.Progress("starting PostgreSQL")
	server, err := embedded.StartPostgres(ctx, embedded.Options{
		Data: a.Config.Data, Binaries: a.Config.PostgresBin, Packages: Packages(a.Config),
		Progress: a.options.Progress, Log: a.log.With("component", "postgres"),
	})
	if err != nil {
		return err
	}
	a.later(server.Stop)
	a.admin, err = embedded.EnsureDatabase(ctx, server.URL("postgres"), ControlDatabase)
	return err
}

// Migrate makes roles and brings sets of a database to this version's schema.
func Migrate(ctx context.Context, admin string, key []byte, progress func(string), sets ...postgres.Set) error {
	if err := postgres.Bootstrap(ctx, admin, key); err != nil {
		return err
	}
	applied, err := postgres.Migrate(ctx, admin, sets...)
	if len(applied) > 0 {
		progress(fmt.Sprintf("applied %d migrations to database %s", len(applied), nameOf(admin)))
	}
	return err
}

// CheckSchema refuses a control database whose schema is not this version's.
func CheckSchema(ctx context.Context, admin string) error {
	versions, err := postgres.Versions(ctx, admin, postgres.SetControl, postgres.SetTenant)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Behind() {
			return fmt.Errorf("the schema of database %s is older than this program (%s at %d, want %d): run \"strato migrate\"",
				nameOf(admin), v.Set, v.Current, v.Newest)
		}
	}
	return nil
}

// Shared records the control database as the shared database of tenants.
func Shared(ctx context.Context, pool *tenant.Pool, admin string) (tenant.Database, error) {
	return pool.AddDatabase(ctx, tenant.Database{Name: "shared", Kind: "shared", DSNRef: "same:" + nameOf(admin)})
}

// nameOf is the name of the database in a URL.
func nameOf(admin string) string {
	u, err := url.Parse(admin)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}
