package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
)

// TenantSetting is the PostgreSQL setting that row security reads.
const TenantSetting = "app.tenant_id"

// Errors about the tenant of a statement. Nothing has been sent when they come.
var (
	// ErrNoTenant means that the context names no tenant.
	ErrNoTenant = errors.New("postgres: no tenant in the context; use WithTenant")
	// ErrOtherTenant means that a statement's context names another tenant than
	// its transaction runs as.
	ErrOtherTenant = errors.New("postgres: the context names another tenant than its transaction")
)

type tenantKey struct{}

// WithTenant returns a context whose statements run as tenant t. The zero UUID
// is no tenant.
func WithTenant(ctx context.Context, t uuid.UUID) context.Context {
	return context.WithValue(ctx, tenantKey{}, t)
}

// TenantFrom returns the tenant of ctx, and false when it names none.
func TenantFrom(ctx context.Context) (uuid.UUID, bool) {
	t, ok := ctx.Value(tenantKey{}).(uuid.UUID)
	return t, ok && t != uuid.Nil
}
