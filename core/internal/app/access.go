package app

import (
	"context"

	"github.com/stratohub/strato/core/internal/rbac"
)

// authenticate returns who holds an access token. The token outlives its
// agency's being switched off, so that is looked at too; the pool remembers
// agencies, and hardly ever asks the database.
func (p *parts) authenticate(ctx context.Context, token string) (rbac.Actor, error) {
	a, err := p.auth.Authenticate(ctx, token)
	if err != nil || a.Tenant.IsZero() {
		return a, err
	}
	if _, err := p.Pool.Get(ctx, a.Tenant); err != nil {
		return rbac.Actor{}, err
	}
	return a, nil
}
