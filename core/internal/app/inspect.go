package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/stratohub/strato/core/internal/assistant"
	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/httpapi"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/live"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
)

// Document is the API's OpenAPI 3.1 document. It needs nothing to be running.
func Document(version string) ([]byte, error) {
	policy, err := rbac.New()
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	r, err := httpapi.New(httpapi.Options{Policy: policy, Log: log, Version: version})
	if err != nil {
		return nil, err
	}
	routes(r, &auth.Service{}, &plugins{}, &ingress.Handler{}, live.New(live.Options{Policy: policy, Log: log}))
	return r.Document()
}

// Seed fills a new tenant's first rows.
func Seed(agency string) func(context.Context, tenant.Scope) error {
	return func(ctx context.Context, s tenant.Scope) error {
		if err := lead.Seed(ctx, s); err != nil {
			return err
		}
		return assistant.Seed(ctx, s, agency)
	}
}

// Packages is the folder in which make lets npm put PostgreSQL's binaries.
func Packages(cfg config.Config) string { return filepath.Join(filepath.Dir(cfg.Data), ".cache") }

// ScanPlugins lists the plugins on disk without starting one.
func ScanPlugins(ctx context.Context, cfg config.Config) ([]host.Release, error) {
	dir, err := cfg.Plugins()
	if err != nil {
		return nil, err
	}
	runtime, err := os.MkdirTemp("", "strato-scan-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(runtime) }()
	h, err := host.New(host.Config{Dir: dir, RuntimeDir: runtime})
	if err != nil {
		return nil, err
	}
	list := h.Catalogue()
	return list, h.Stop(ctx)
}

// CheckRedis reports whether Redis answers.
func CheckRedis(ctx context.Context, url string) error {
	c, err := cache.Open(url, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing is left to lose
	return c.Ping(ctx)
}

// AuditDatabase reports whether row-level security of a tenants' database is
// whole.
func AuditDatabase(ctx context.Context, admin string) error {
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is left to lose
	findings, err := postgres.AuditRLS(ctx, conn, "crm")
	if err != nil {
		return err
	}
	var all error
	for _, f := range findings {
		all = errors.Join(all, fmt.Errorf("%s", f))
	}
	return all
}

// AdminURL is that of the control database's admin role.
func (a *App) AdminURL() string { return a.admin }

// RoleKey is the key from which this installation's role passwords are derived.
func (a *App) RoleKey() []byte { return a.roleKey }

// Install switches a plugin on for a tenant, as a draft with its webhook address.
func (a *App) Install(ctx context.Context, t tenant.ID, plugin, name string) (*installation.Installation, error) {
	return a.plugins.install(ctx, t, plugin, name)
}

// SaveSettings takes settings for an installation as its form would; see
// [pluginhost.Configurator.Save].
func (a *App) SaveSettings(ctx context.Context, t installation.Target, submitted json.RawMessage, version int) (*installation.Installation, error) {
	return a.plugins.configurator.Save(ctx, t, submitted, version)
}
