// Package auth knows who may sign in: users, their memberships of agencies,
// passwords and sessions. A session is an access token of ten minutes, checked
// without a database, and a refresh token that changes each time it is used.
package auth

import (
	"context"
	"log/slog"
	"time"

	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/secret"
)

// Faults of sessions.
var (
	ErrCredentials = fault.New(fault.Unauthenticated, "session.credentials", "The e-mail address or the password is wrong.")
	ErrSession     = fault.New(fault.Unauthenticated, "session.expired", "The session has ended. Sign in again.")
	ErrToken       = fault.New(fault.Unauthenticated, "session.token", "The access token is not valid or has expired. Renew it.")
	ErrThrottled   = fault.New(fault.Throttled, "session.throttled", "Too many wrong attempts. Wait before you try again.")
	ErrNotMember   = fault.New(fault.Forbidden, "session.not_member", "You do not belong to that agency.")
	ErrNoAgency    = fault.New(fault.Forbidden, "session.no_agency", "You belong to no agency. Ask your administrator.")
	ErrWhichTenant = fault.New(fault.Conflict, "session.tenant_required", "You belong to several agencies. Say which one.")
)

// Options is what a [Service] needs.
type Options struct {
	DB     *bun.DB // the control plane
	Ring   *secret.Ring
	Limits *cache.Limiter
	Bus    *cache.Bus // nil keeps revocations on this node
	Policy *rbac.Policy
	Log    *slog.Logger
	Secure bool // whether cookies always need HTTPS
}

// Service signs people in and out. It is safe for concurrent use.
type Service struct {
	*Accounts

	bus     *cache.Bus
	limits  *cache.Limiter
	policy  *rbac.Policy
	log     *slog.Logger
	secure  bool
	signer  *signer
	hasher  *hasher
	revoked *revocations
}

// New returns a service. Run [Service.Run] beside it.
func New(o Options) *Service {
	s := &Service{
		Accounts: &Accounts{db: o.DB}, bus: o.Bus, limits: o.Limits, policy: o.Policy, log: o.Log, secure: o.Secure,
		signer: newSigner(o.Ring), hasher: newHasher(), revoked: newRevocations(),
	}
	s.Accounts.revoked = s.announce
	return s
}

// Authenticate returns who holds an access token, or [ErrToken]. It asks no
// database.
func (s *Service) Authenticate(_ context.Context, token string) (rbac.Actor, error) {
	a, err := s.signer.readAccess(token, time.Now())
	if err != nil {
		return rbac.Actor{}, ErrToken.With(err)
	}
	if !s.revoked.holds(a) {
		return rbac.Actor{}, ErrToken
	}
	return a, nil
}

// Holds reports whether an actor that was authenticated earlier still is, for
// connections that stay open.
func (s *Service) Holds(a rbac.Actor) bool {
	return (a.Expires.IsZero() || time.Now().Before(a.Expires)) && s.revoked.holds(a)
}
