// Package demo fills a Strato with two agencies, their people and customers, and
// runs the simulators of all providers, so that a newcomer can play both sides
// without an account anywhere.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/simulation"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Password is that of every demo login. It exists in the demo only.
const Password = "strato-demo"

// StopDeadline is what an orderly stop may take.
const StopDeadline = 30 * time.Second

// norteDatabase is the database of the agency that has one of its own.
const norteDatabase = "strato_norte"

// Login is somebody who can sign in.
type Login struct {
	Email, Name, Who string
	slug             string
	role             rbac.Role
}

// Logins are the demo's people.
var Logins = []Login{
	{"owner@acme.example", "Marina Acuña", "owner of Acme Propiedades (shared database)", "acme", rbac.RoleOwner},
	{"agent@acme.example", "Diego Sosa", "agent of Acme Propiedades", "acme", rbac.RoleAgent},
	{"owner@norte.example", "Paula Quiroga", "owner of Norte Inmuebles (dedicated database)", "norte", rbac.RoleOwner},
	{"operator@strato.example", "Operación Strato", "operator of the platform", "", ""},
}

// agency is one of the demo's tenants.
type agency struct {
	in       tenant.CreateInput
	database string
	greets   []line
}

var agencies = []agency{
	{
		tenant.CreateInput{Slug: "acme", Name: "Acme Propiedades", Email: "hola@acme.example", Phone: "+54 11 4777-0100", Plan: tenant.PlanPro},
		"shared", acmeLines,
	},
	{
		tenant.CreateInput{Slug: "norte", Name: "Norte Inmuebles", Email: "hola@norte.example", Phone: "+54 381 422-0200", Plan: tenant.PlanEnterprise},
		"norte", norteLines,
	},
}

// World is the demo around an app: the simulators and what they stand in for.
type World struct {
	cfg      config.Config
	log      *slog.Logger
	progress func(string)

	mu         sync.Mutex
	simulators []*simulation.Simulator
	// channels are the plugins with simulators by which customers can write.
	channels []string
}

// New returns a world in which nothing runs yet.
func New(cfg config.Config, log *slog.Logger, progress func(string)) *World {
	return &World{cfg: cfg, log: log, progress: progress}
}

// StartSimulators starts the simulator of each plugin that brings one.
func (w *World) StartSimulators(ctx context.Context) error {
	list, err := app.ScanPlugins(ctx, w.cfg)
	if err != nil {
		return err
	}
	for _, r := range list {
		if r.Problem != "" {
			w.progress("plugin " + r.Name + " cannot be used: " + r.Problem)
			continue
		}
		if !r.Manifest.Simulator {
			continue
		}
		w.progress("starting the simulator of " + r.Manifest.Name)
		s, err := simulation.Start(ctx, r.Name, r.Path, w.cfg.Data, w.log)
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.simulators = append(w.simulators, s)
		if r.Manifest.Has("channel") {
			w.channels = append(w.channels, r.Name)
		}
		w.mu.Unlock()
	}
	return nil
}

// nowhere is where a plugin is pointed whose simulator does not run: port 9
// refuses. The demo never speaks to a real provider.
const nowhere = "http://127.0.0.1:9"

// PluginSettings points a plugin at its simulator.
func (w *World) PluginSettings(plugin string) map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.simulators {
		if s.Plugin == plugin {
			return map[string]string{"base_url": s.BaseURL}
		}
	}
	return map[string]string{"base_url": nowhere}
}

// Stop ends the simulators.
func (w *World) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.simulators {
		s.Stop()
	}
	w.simulators = nil
}

// Populate makes what is not there yet: the dedicated database, the agencies,
// their people, the installations of every plugin with a simulator, and the
// first customers. It may be run at every start.
func (w *World) Populate(ctx context.Context, a *app.App) error {
	if err := w.dedicated(ctx, a); err != nil {
		return fmt.Errorf("prepare the dedicated database: %w", err)
	}
	tenants := make([]tenant.Tenant, len(agencies))
	for n, g := range agencies {
		t, err := w.agency(ctx, a, g)
		if err != nil {
			return fmt.Errorf("prepare agency %s: %w", g.in.Slug, err)
		}
		tenants[n] = t
	}
	// People before customers: whoever writes is routed to somebody.
	if err := w.people(ctx, a); err != nil {
		return err
	}
	for n, t := range tenants {
		var fresh []*simulation.Simulator
		for _, s := range w.simulators {
			isNew, err := w.connect(ctx, a, t, s)
			if err != nil {
				return fmt.Errorf("connect agency %s to the simulator of %s: %w", t.Slug, s.Plugin, err)
			}
			if isNew && slices.Contains(w.channels, s.Plugin) {
				fresh = append(fresh, s)
			}
		}
		w.play(ctx, t, fresh, agencies[n].greets)
	}
	return nil
}

// dedicated makes the second database, on the same server.
func (w *World) dedicated(ctx context.Context, a *app.App) error {
	admin, err := embedded.EnsureDatabase(ctx, a.AdminURL(), norteDatabase)
	if err != nil {
		return err
	}
	if err := app.Migrate(ctx, admin, a.RoleKey(), w.progress, postgres.SetTenant); err != nil {
		return err
	}
	_, err = a.Pool.AddDatabase(ctx, tenant.Database{Name: "norte", Kind: "dedicated", DSNRef: "same:" + norteDatabase})
	return err
}

func (w *World) agency(ctx context.Context, a *app.App, g agency) (tenant.Tenant, error) {
	t, err := a.Pool.BySlug(ctx, g.in.Slug)
	if err == nil || !errors.Is(err, tenant.ErrNotFound) && !errors.Is(err, tenant.ErrInactive) {
		return t, err
	}
	list, err := a.Pool.Databases(ctx)
	if err != nil {
		return t, err
	}
	for _, d := range list {
		if d.Name == g.database {
			g.in.Database = d.ID
		}
	}
	w.progress("making agency " + g.in.Name)
	return a.Pool.Create(ctx, g.in, app.Seed(g.in.Name))
}

func (w *World) people(ctx context.Context, a *app.App) error {
	for _, l := range Logins {
		u, err := a.Accounts.UserByEmail(ctx, l.Email)
		if errors.Is(err, auth.ErrUserNotFound) {
			u, err = a.Accounts.CreateUser(ctx, auth.NewUser{Email: l.Email, Name: l.Name, Password: Password, Operator: l.slug == ""})
		}
		if err != nil {
			return fmt.Errorf("make login %s: %w", l.Email, err)
		}
		if l.slug == "" {
			continue
		}
		t, err := a.Pool.BySlug(ctx, l.slug)
		if err != nil {
			return err
		}
		if err := a.Accounts.SetMembership(ctx, u.ID, t.ID, l.role); err != nil {
			return fmt.Errorf("make %s %s of %s: %w", l.Email, l.role, l.slug, err)
		}
	}
	return nil
}

// pathOf is the path of a URL, or empty.
func pathOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Path
}
