package auth

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
	"github.com/stratohub/strato/core/internal/tenant"
)

// The names of the cookies. The refresh token is sent only where it is used.
const (
	AccessCookie  = "strato_access"
	RefreshCookie = "strato_refresh"
	refreshPath   = "/api/session"
)

// Wrong attempts that are answered, for an address and for a user. A right one
// costs nothing.
var (
	perAddress = cache.Limit{Rate: 30, Per: time.Minute, Burst: 50}
	perEmail   = cache.Limit{Rate: 2, Per: time.Minute, Burst: 10}
)

func addressKey(a netip.Addr) cache.Key { return cache.GlobalKey("login", "address", a.String()) }

// LoginInput is what somebody signs in with.
type LoginInput struct {
	Body struct {
		Email    string `json:"email" maxLength:"254" example:"owner@acme.example"`
		Password string `json:"password" maxLength:"1024" example:"strato-demo"`
		Tenant   string `json:"tenant,omitempty" maxLength:"40" example:"acme" doc:"Short name of the agency; needed only by members of several."`
	}
}

// RefreshInput is how a session is renewed or ended.
type RefreshInput struct {
	Refresh string `cookie:"strato_refresh" maxLength:"256" doc:"The refresh token, as the cookie has it."`
}

// CurrentInput asks for the session that the request belongs to.
type CurrentInput struct{}

// Login signs somebody in with a password.
func (s *Service) Login(ctx context.Context, c rest.Client, in *LoginInput) (*Session, error) {
	u, err := s.identify(ctx, c, strings.ToLower(strings.TrimSpace(in.Body.Email)), in.Body.Password)
	if err != nil {
		return nil, err
	}
	members, err := s.Memberships(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	m, err := choose(u, members, c.Tenant, in.Body.Tenant)
	if err != nil {
		return nil, err
	}
	row, token, err := s.open(ctx, u.ID, m.Tenant, c)
	if err != nil {
		return nil, err
	}
	return s.issue(c, u, m, members, row, token)
}

// identify checks a password. An unknown user takes as long as a wrong password
// and is told the same.
func (s *Service) identify(ctx context.Context, c rest.Client, email, password string) (User, error) {
	release, err := s.hasher.acquire(ctx)
	if err != nil {
		return User{}, ErrUnavailable.With(err)
	}
	defer release()
	// Asked only now, so that a flood of attempts cannot all look before the first
	// is counted.
	keys := map[cache.Key]cache.Limit{addressKey(c.Address): perAddress, cache.GlobalKey("login", "email", email): perEmail}
	for k, limit := range keys {
		if wait, ok := s.limits.Look(ctx, k, limit); !ok {
			return User{}, ErrThrottled.After(wait)
		}
	}
	u, err := s.UserByEmail(ctx, email)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return User{}, err
	}
	stored := u.PasswordHash
	if stored == "" {
		stored = s.hasher.decoy
	}
	ok, renew := verify(stored, password)
	if !ok || u.PasswordHash == "" || !u.Active {
		for k, limit := range keys {
			s.limits.Take(ctx, k, limit)
		}
		return User{}, ErrCredentials
	}
	if renew {
		if err := s.storeHash(ctx, u.ID, hash(password)); err != nil {
			return User{}, err
		}
	}
	return u, nil
}

// choose finds the agency to sign in to. The address and the body must agree if
// both name one. Only whoever knows the password gets here, so the choice may be
// shown.
func choose(u User, members []Membership, byAddress tenant.ID, bySlug string) (Membership, error) {
	if byAddress.IsZero() && bySlug == "" {
		switch {
		case len(members) == 1:
			return members[0], nil
		case len(members) > 1:
			return Membership{}, ErrWhichTenant.Adding("memberships", shown(members))
		case u.Operator:
			return Membership{}, nil
		default:
			return Membership{}, ErrNoAgency
		}
	}
	for _, m := range members {
		if (byAddress.IsZero() || m.Tenant == byAddress) && (bySlug == "" || m.Slug == bySlug) {
			return m, nil
		}
	}
	f := ErrNotMember
	if bySlug != "" {
		f = f.At("/tenant", "is no agency of yours, or not the one this address belongs to")
	}
	return Membership{}, f
}

// Refresh renews a session with its refresh token, which it replaces.
func (s *Service) Refresh(ctx context.Context, c rest.Client, in *RefreshInput) (*Session, error) {
	presented, err := s.signer.decode(in.Refresh)
	if err != nil {
		return nil, ErrSession.With(err)
	}
	row, token, err := s.rotate(ctx, presented, c.Tenant)
	if err != nil {
		return nil, err
	}
	u, m, members, err := s.standing(ctx, row.UserID, row.TenantID)
	if errors.Is(err, ErrSession) {
		if err := s.endSession(ctx, row.ID, "no longer a member"); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return s.issue(c, u, m, members, row, token)
}

// Current describes the actor's session.
func (s *Service) Current(ctx context.Context, a rbac.Actor, _ *CurrentInput) (*Session, error) {
	u, m, members, err := s.standing(ctx, a.User, a.Tenant)
	if err != nil {
		return nil, err
	}
	out := s.describe(u, m, members)
	out.ExpiresIn = max(0, int(time.Until(a.Expires).Seconds()))
	return out, nil
}

// standing reads what a user is today, or returns ErrSession if that is nothing.
func (s *Service) standing(ctx context.Context, user rbac.UserID, t tenant.ID) (User, Membership, []Membership, error) {
	u, err := s.userWhere(ctx, "u.id = ?", user)
	if errors.Is(err, ErrUserNotFound) {
		err = ErrSession
	}
	if err != nil {
		return User{}, Membership{}, nil, err
	}
	members, err := s.Memberships(ctx, user)
	if err != nil {
		return User{}, Membership{}, nil, err
	}
	if !u.Active {
		return User{}, Membership{}, nil, ErrSession
	}
	if t.IsZero() && u.Operator {
		return u, Membership{}, members, nil
	}
	for _, m := range members {
		if m.Tenant == t {
			return u, m, members, nil
		}
	}
	return User{}, Membership{}, nil, ErrSession
}

// Logout ends the session that the refresh or the access token belongs to. It
// succeeds without one, too, and takes the cookies away.
func (s *Service) Logout(ctx context.Context, c rest.Client, in *RefreshInput) (*Goodbye, error) {
	if t, err := s.signer.decode(in.Refresh); err == nil {
		if err := s.endSession(ctx, t.session, "signed out"); err != nil {
			return nil, err
		}
	}
	if a, err := s.Authenticate(ctx, c.Token); err == nil {
		if err := s.endSession(ctx, a.Session, "signed out"); err != nil {
			return nil, err
		}
	}
	return &Goodbye{SignedOut: true, cookies: []*http.Cookie{
		s.cookie(c, AccessCookie, "", "/", -time.Second), s.cookie(c, RefreshCookie, "", refreshPath, -time.Second),
	}}, nil
}
