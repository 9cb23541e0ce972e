package auth

import (
	"net/http"
	"time"

	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Session is a sign-in as its owner sees it.
type Session struct {
	AccessToken string          `json:"access_token,omitempty" doc:"For the header Authorization: Bearer. Only when it is new."`
	TokenType   string          `json:"token_type,omitempty" example:"Bearer"`
	ExpiresIn   int             `json:"expires_in" example:"600" doc:"Seconds until the access token ends."`
	User        SessionUser     `json:"user"`
	Tenant      *SessionTenant  `json:"tenant" doc:"The agency, null for an operator outside all."`
	Role        rbac.Role       `json:"role" example:"owner"`
	Permissions []string        `json:"permissions" example:"[\"lead:read\"]" nullable:"false" doc:"What the role may do."`
	Memberships []SessionMember `json:"memberships" nullable:"false" doc:"All agencies of the user."`

	cookies []*http.Cookie
}

// Cookies are set with the answer.
func (s *Session) Cookies() []*http.Cookie { return s.cookies }

// SessionUser is who is signed in.
type SessionUser struct {
	ID       rbac.UserID `json:"id" format:"uuid"`
	Email    string      `json:"email"`
	Name     string      `json:"name"`
	Locale   string      `json:"locale" example:"es-AR"`
	Operator bool        `json:"operator"`
}

// SessionTenant is an agency by its names.
type SessionTenant struct {
	ID   tenant.ID `json:"id" format:"uuid"`
	Slug string    `json:"slug" example:"acme"`
	Name string    `json:"name"`
}

// SessionMember is an agency and what the user is there.
type SessionMember struct {
	Tenant SessionTenant `json:"tenant"`
	Role   rbac.Role     `json:"role" example:"agent"`
}

// Goodbye is the answer to signing out.
type Goodbye struct {
	SignedOut bool `json:"signed_out"`

	cookies []*http.Cookie
}

// Cookies take those of the session away.
func (g *Goodbye) Cookies() []*http.Cookie { return g.cookies }

// issue makes the answer with both tokens.
func (s *Service) issue(c rest.Client, u User, m Membership, members []Membership, row session, refresh refreshToken) (*Session, error) {
	a := rbac.Actor{User: u.ID, Tenant: m.Tenant, Role: m.Role, Version: m.Version, Operator: u.Operator, Session: row.ID}
	now := time.Now()
	token, expires, err := s.signer.signAccess(a, now)
	if err != nil {
		return nil, err
	}
	out := s.describe(u, m, members)
	out.AccessToken, out.TokenType, out.ExpiresIn = token, "Bearer", int(expires.Sub(now).Seconds())
	out.cookies = []*http.Cookie{
		s.cookie(c, AccessCookie, token, "/", accessLife),
		s.cookie(c, RefreshCookie, s.signer.encode(refresh), refreshPath, refreshLife),
	}
	return out, nil
}

func (s *Service) describe(u User, m Membership, members []Membership) *Session {
	out := &Session{
		User: SessionUser{u.ID, u.Email, u.Name, u.Locale, u.Operator}, Role: m.Role, Memberships: shown(members), Permissions: []string{},
	}
	if !m.Tenant.IsZero() {
		out.Tenant = &SessionTenant{m.Tenant, m.Slug, m.Name}
	} else if u.Operator {
		out.Role = rbac.RoleOperator
	}
	for _, p := range s.policy.Permissions(rbac.Actor{Tenant: m.Tenant, Role: m.Role, Operator: u.Operator}) {
		out.Permissions = append(out.Permissions, p.String())
	}
	return out
}

func shown(members []Membership) []SessionMember {
	list := make([]SessionMember, len(members))
	for i, m := range members {
		list[i] = SessionMember{SessionTenant{m.Tenant, m.Slug, m.Name}, m.Role}
	}
	return list
}

// cookie makes one that scripts cannot read and other websites do not send.
func (s *Service) cookie(c rest.Client, name, value, path string, life time.Duration) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure wherever the site is; over plain HTTP browsers would drop it
		Name: name, Value: value, Path: path, MaxAge: int(life.Seconds()),
		HttpOnly: true, Secure: s.secure || c.Secure, SameSite: http.SameSiteLaxMode,
	}
}
