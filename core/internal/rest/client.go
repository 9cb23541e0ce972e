package rest

import (
	"net/netip"

	"github.com/stratohub/strato/core/internal/tenant"
)

// Client is who calls a use case that is open to everybody.
type Client struct {
	Address   netip.Addr // as far as trusted proxies tell; zero if unknown
	UserAgent string     // at most 256 bytes
	Secure    bool       // whether the client used HTTPS
	Tenant    tenant.ID  // that the host or the path names, zero if none
	Token     string     // access token that came along, not verified; empty if none
}
