package httpapi

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

// identify finds out who asks and on which tenant's address, and refuses when
// the two do not belong together.
func (r *Router) identify(req *http.Request, c *call) error {
	if err := r.locateTenant(req, c); err != nil {
		return err
	}
	token, fromCookie, err := r.token(req)
	if err != nil {
		return err
	}
	if token == "" {
		return ErrUnauthenticated
	}
	if fromCookie {
		if err := r.origins.Check(req); err != nil {
			return ErrCrossOrigin.With(err)
		}
	}
	actor, err := r.Authenticate(req.Context(), token)
	if err != nil {
		return err
	}
	c.actor = actor
	if !c.client.Tenant.IsZero() && c.client.Tenant != actor.Tenant {
		return ErrTenantMismatch
	}
	return nil
}

// permit refuses an actor who does not hold the permission.
func (r *Router) permit(a rbac.Actor, need rbac.Permission) error {
	if r.Policy.Can(a, need) {
		return nil
	}
	if !need.OfPlatform() && a.Tenant.IsZero() {
		return ErrNoTenant
	}
	return ErrForbidden.Adding("permission", need.String())
}

// token returns the access token. A header wins over a cookie, which browsers
// send unasked; a header that is no bearer token is refused rather than passed
// over.
func (r *Router) token(req *http.Request) (token string, fromCookie bool, err error) {
	if header := req.Header.Get("Authorization"); header != "" {
		scheme, value, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(value) == "" {
			return "", false, ErrUnauthenticated.Saying("The Authorization header holds no bearer token.")
		}
		return strings.TrimSpace(value), false, nil
	}
	if cookie, err := req.Cookie(r.Cookie); err == nil && cookie.Value != "" {
		return cookie.Value, true, nil
	}
	return "", false, nil
}

// locateTenant finds the tenant that the address names, if any. Host and path
// must agree.
func (r *Router) locateTenant(req *http.Request, c *call) error {
	byHost, err := r.tenantOfHost(req)
	if err != nil {
		return err
	}
	c.client.Tenant = byHost
	if c.slug == "" {
		return nil
	}
	byPath, err := r.Pool.BySlug(req.Context(), c.slug)
	if err != nil {
		return err
	}
	if !byHost.IsZero() && byHost != byPath.ID {
		return ErrTenantMismatch
	}
	c.client.Tenant = byPath.ID
	return nil
}

// reserved are the subdomains that are no tenants.
var reserved = []string{"www", "app", "api", "admin", "status"}

func (r *Router) tenantOfHost(req *http.Request) (tenant.ID, error) {
	host := strings.ToLower(hostname(req.Host))
	if host == "" || host == r.BaseDomain || host == r.public || host == "localhost" {
		return tenant.ID{}, nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return tenant.ID{}, nil
	}
	if slug, ok := strings.CutSuffix(host, "."+r.BaseDomain); ok {
		if slices.Contains(reserved, slug) {
			return tenant.ID{}, nil
		}
		t, err := r.Pool.BySlug(req.Context(), slug)
		return t.ID, err
	}
	if _, known := r.strangers.GetIfPresent(host); known {
		return tenant.ID{}, nil
	}
	t, err := r.Pool.ByDomain(req.Context(), host)
	if errors.Is(err, tenant.ErrNotFound) {
		// A name by which this server is known, and no tenant's. It comes with every
		// request, which must not ask the database each time.
		r.strangers.Set(host, struct{}{})
		return tenant.ID{}, nil
	}
	return t.ID, err
}

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		hostport = host
	}
	return strings.TrimSuffix(strings.Trim(hostport, "[]"), ".")
}

// origin returns the client's address and whether it used HTTPS. Forwarded
// headers count only from trusted proxies; of the chain, the last address that
// is not itself a trusted proxy is the client.
func (r *Router) origin(req *http.Request) (netip.Addr, bool) {
	peer, _ := netip.ParseAddrPort(req.RemoteAddr)
	address, secure := peer.Addr().Unmap(), req.TLS != nil
	if !r.trusted(address) {
		return address, secure
	}
	if proto := req.Header.Get("X-Forwarded-Proto"); proto != "" {
		secure = strings.EqualFold(proto, "https")
	}
	hops := strings.Split(strings.Join(req.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		address = a.Unmap()
		if !r.trusted(address) {
			break
		}
	}
	return address, secure
}

func (r *Router) trusted(a netip.Addr) bool {
	return slices.ContainsFunc(r.Proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}
