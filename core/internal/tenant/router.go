package tenant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/uptrace/bun"
)

// routeTTL bounds how long a node may act on an old placement when the word
// that it changed got lost. Correctness never rests on it.
const routeTTL = 30 * time.Second

// Placement says in which database a tenant lives. Epoch grows with every move.
type Placement struct {
	bun.BaseModel `bun:"table:control.placements,alias:p"`

	TenantID   ID `bun:",pk"`
	DatabaseID DatabaseID
	Epoch      int64
	State      string // "active", "copying", "frozen" or "cutover"
}

// routes remembers placements in the process; the control plane has the truth.
type routes struct {
	control    *bun.DB
	placements *otter.Cache[ID, Placement]
	slugs      *otter.Cache[string, Tenant]
	tenants    *otter.Cache[ID, Tenant]
}

func newRoutes(control *bun.DB) *routes {
	return &routes{
		control:    control,
		placements: remembering[ID, Placement](),
		slugs:      remembering[string, Tenant](),
		tenants:    remembering[ID, Tenant](),
	}
}

func remembering[K comparable, V any]() *otter.Cache[K, V] {
	return otter.Must(&otter.Options[K, V]{
		MaximumSize:      100_000,
		ExpiryCalculator: otter.ExpiryWriting[K, V](routeTTL),
	})
}

func (r *routes) lookup(ctx context.Context, tenant ID) (Placement, error) {
	return r.placements.Get(ctx, tenant, otter.LoaderFunc[ID, Placement](func(ctx context.Context, tenant ID) (Placement, error) {
		var p Placement
		err := r.control.NewSelect().Model(&p).Where("tenant_id = ?", tenant).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return p, ErrNotFound
		}
		if err != nil {
			return p, fmt.Errorf("look up where tenant %s lives: %w", tenant, err)
		}
		return p, nil
	}))
}

// BySlug returns an active tenant by its short name, remembered for up to 30
// seconds.
func (p *Pool) BySlug(ctx context.Context, slug string) (Tenant, error) {
	t, err := p.routes.slugs.Get(ctx, slug, otter.LoaderFunc[string, Tenant](func(ctx context.Context, slug string) (Tenant, error) {
		return p.tenantWhere(ctx, "slug = ?", slug)
	}))
	return usable(t, p.explain(err))
}

// ByDomain returns an active tenant by a host name of its own, remembered for
// up to 30 seconds.
func (p *Pool) ByDomain(ctx context.Context, domain string) (Tenant, error) {
	t, err := p.routes.slugs.Get(ctx, "@"+domain, otter.LoaderFunc[string, Tenant](func(ctx context.Context, _ string) (Tenant, error) {
		return p.tenantWhere(ctx, "id = (select tenant_id from control.tenant_domains where domain = ?)", domain)
	}))
	return usable(t, p.explain(err))
}

// Get returns an active tenant, remembered for up to 30 seconds.
func (p *Pool) Get(ctx context.Context, tenant ID) (Tenant, error) {
	t, err := p.routes.tenants.Get(ctx, tenant, otter.LoaderFunc[ID, Tenant](func(ctx context.Context, tenant ID) (Tenant, error) {
		return p.tenantWhere(ctx, "id = ?", tenant)
	}))
	return usable(t, p.explain(err))
}

// SlugOf returns the short name of a tenant, active or not.
func (p *Pool) SlugOf(ctx context.Context, tenant ID) (string, error) {
	t, err := p.tenantWhere(ctx, "id = ?", tenant)
	return t.Slug, err
}

func usable(t Tenant, err error) (Tenant, error) {
	if err != nil {
		return Tenant{}, err
	}
	if !t.Active {
		return Tenant{}, ErrInactive
	}
	return t, nil
}

func (p *Pool) tenantWhere(ctx context.Context, where string, arg any) (Tenant, error) {
	var t Tenant
	err := p.control.NewSelect().Model(&t).Where(where, arg).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return t, ErrNotFound
	}
	if err != nil {
		return t, fmt.Errorf("look up tenant: %w", err)
	}
	return t, nil
}

// Forget drops what this node remembers of a tenant and where it lives. Call it
// when another node says that the tenant changed.
func (p *Pool) Forget(tenant ID) {
	p.routes.placements.Invalidate(tenant)
	p.routes.tenants.Invalidate(tenant)
	for name, t := range p.routes.slugs.All() { // few tenants change, and seldom
		if t.ID == tenant {
			p.routes.slugs.Invalidate(name)
		}
	}
}
