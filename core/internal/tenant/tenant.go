// Package tenant keeps agencies apart. It alone holds database handles: a
// query can be built only from a [Scope], and a Scope sees one tenant's rows.
// It also knows in which database a tenant lives and opens pools as needed.
package tenant

import (
	"time"

	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/id"
)

// ID identifies a tenant. The zero value is no tenant and opens nothing.
type ID = id.Of[Tenant]

// Plan is what a tenant pays for.
type Plan string

// The plans.
const (
	PlanBasic      Plan = "basic"
	PlanPro        Plan = "pro"
	PlanEnterprise Plan = "enterprise"
)

// Tenant is an agency.
type Tenant struct {
	bun.BaseModel `bun:"table:control.tenants,alias:t"`

	ID           ID        `bun:",pk"`
	Slug         string    // lower case, unique; part of host names and paths
	Name         string    `bun:",notnull"`
	Email        string    `bun:",notnull"`
	Phone        string    `bun:",notnull"`
	Plan         Plan      `bun:",notnull"`
	Active       bool      `bun:",notnull"`
	Locale       string    `bun:",notnull"` // BCP 47
	TimeZone     string    `bun:",notnull"` // IANA name
	BaseCurrency string    `bun:",notnull"` // ISO 4217
	CreatedAt    time.Time `bun:",notnull"`
	UpdatedAt    time.Time `bun:",notnull"`
}

// Faults of this package.
var (
	ErrNotFound    = fault.New(fault.NotFound, "tenant.not_found", "There is no such agency.")
	ErrSlugTaken   = fault.New(fault.Conflict, "tenant.slug_taken", "Another agency has this short name already.")
	ErrInactive    = fault.New(fault.Forbidden, "tenant.inactive", "This agency is switched off. Ask the operator of this Strato.")
	ErrUnavailable = fault.New(fault.Unavailable, "tenant.database_unavailable", "The agency's database does not answer. Try again shortly.")
)

// Row is embedded by every model that belongs to a tenant.
type Row struct {
	TenantID ID `bun:"tenant_id,pk" json:"-"`
}

func (r *Row) own(t ID)  { r.TenantID = t }
func (r *Row) owner() ID { return r.TenantID }

// Model is satisfied only by pointers to structs that embed [Row].
type Model interface {
	own(ID)
	owner() ID
}
