package tenant

import (
	"context"
	"fmt"
	"regexp"

	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/postgres"
)

var slugForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// ErrSlug refuses a short name of the wrong form.
var ErrSlug = fault.New(fault.Invalid, "tenant.slug", "A short name has 1 to 40 lower-case letters, digits and inner hyphens.")

// CreateInput describes a new tenant. Empty fields take the schema's defaults:
// plan basic, locale es-AR, Buenos Aires time, US dollars.
type CreateInput struct {
	Slug, Name, Email, Phone string
	Plan                     Plan
	Database                 DatabaseID
}

// Create makes a tenant and places it in a database. seed fills the tenant's
// first rows in a transaction there; the tenant becomes active only when that
// has been committed, so that a crash leaves an inactive tenant and running
// Create again with the same slug finishes the work.
func (p *Pool) Create(ctx context.Context, in CreateInput, seed func(context.Context, Scope) error) (Tenant, error) {
	if !slugForm.MatchString(in.Slug) {
		return Tenant{}, ErrSlug.At("/slug", "")
	}
	if in.Name == "" {
		return Tenant{}, fault.New(fault.Invalid, "tenant.name", "An agency needs a name.").At("/name", "")
	}
	t, err := p.insert(ctx, in)
	if err != nil {
		return Tenant{}, p.explain(err)
	}
	if t.Active {
		return Tenant{}, ErrSlugTaken.At("/slug", "")
	}
	if err := p.Do(ctx, t.ID, seed); err != nil {
		return Tenant{}, fmt.Errorf("seed tenant %s: %w", t.Slug, err)
	}
	_, err = p.control.NewUpdate().Model(&t).Set("active = true").WherePK().Exec(ctx)
	if err != nil {
		return Tenant{}, p.explain(fmt.Errorf("activate tenant %s: %w", t.Slug, err))
	}
	t.Active = true
	p.Forget(t.ID)
	return t, nil
}

// insert adds the tenant, inactive, with its placement, or returns what a run
// before left.
func (p *Pool) insert(ctx context.Context, in CreateInput) (Tenant, error) {
	at := now()
	t := Tenant{
		ID: id.New[Tenant](), Slug: in.Slug, Name: in.Name, Email: in.Email, Phone: in.Phone, Plan: in.Plan,
		Locale: "es-AR", TimeZone: "America/Argentina/Buenos_Aires", BaseCurrency: "USD", CreatedAt: at, UpdatedAt: at,
	}
	if t.Plan == "" {
		t.Plan = PlanBasic
	}
	err := p.control.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&t).Exec(ctx); err != nil {
			return err
		}
		at := Placement{TenantID: t.ID, DatabaseID: in.Database, Epoch: 1, State: "active"}
		_, err := tx.NewInsert().Model(&at).Exec(ctx)
		return err
	})
	if postgres.IsUnique(err, "tenants_slug_key") {
		return p.tenantWhere(ctx, "slug = ?", in.Slug)
	}
	if err != nil {
		return Tenant{}, fmt.Errorf("create tenant %s: %w", in.Slug, err)
	}
	return t, nil
}

// AddDatabase records a database where tenants can live, or returns the one of
// that name. Its schema must have been migrated.
func (p *Pool) AddDatabase(ctx context.Context, d Database) (Database, error) {
	d.ID = id.New[Database]()
	if d.MaxConns == 0 {
		d.MaxConns = 16
	}
	if d.State == "" {
		d.State = "active"
	}
	_, err := p.control.NewInsert().Model(&d).On("conflict (name) do nothing").Exec(ctx)
	if err != nil {
		return Database{}, p.explain(fmt.Errorf("add database %s: %w", d.Name, err))
	}
	var have Database
	if err := p.control.NewSelect().Model(&have).Where("name = ?", d.Name).Scan(ctx); err != nil {
		return Database{}, p.explain(fmt.Errorf("read database %s: %w", d.Name, err))
	}
	return have, nil
}
