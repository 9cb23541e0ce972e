package httpx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// errForbidden is in every refusal to go somewhere.
var errForbidden = errors.New("address not allowed")

// private are the ranges, beyond those that net/netip knows, that no provider
// lives in: shared, benchmarking, reserved, and IPv6 forms that embed IPv4.
var private = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4",
	"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2002::/16", "fec0::/10")

func prefixes(s ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(s))
	for i := range s {
		out[i] = netip.MustParsePrefix(s[i])
	}
	return out
}

// rules decide where a client may go. They do not change.
type rules struct {
	exact    map[string]bool // "host:port"
	suffixes []string        // ".example.com:443"
	override string          // "host:port" of the operator's base URL
}

func newRules(hosts []string, baseURL string) (rules, error) {
	r := rules{exact: map[string]bool{}}
	for _, h := range hosts {
		host, port, err := net.SplitHostPort(h)
		if err != nil {
			host, port = h, "443"
		}
		host = strings.ToLower(host)
		name, wild := strings.CutPrefix(host, "*.")
		if _, err := strconv.ParseUint(port, 10, 16); err != nil || name == "" || strings.ContainsAny(name, "*/ @:") || wild && !strings.Contains(name, ".") {
			return rules{}, fmt.Errorf("egress host %q is not a host name, nor *.name.tld", h)
		}
		if wild {
			r.suffixes = append(r.suffixes, "."+name+":"+port)
			continue
		}
		r.exact[name+":"+port] = true
	}
	if baseURL == "" {
		return r, nil
	}
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return rules{}, errors.New("the operator's base_url is not an http or https URL")
	}
	r.override = authority(u)
	return r, nil
}

// authority is the lower-case host with its port, the scheme's if none is named.
func authority(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port)
}

// allow reports whether u may be asked for.
func (r rules) allow(u *url.URL) error {
	at := authority(u)
	if at == r.override && (u.Scheme == "http" || u.Scheme == "https") {
		return nil
	}
	if u.Scheme != "https" {
		return fmt.Errorf("%w: %s is not reached by https", errForbidden, at)
	}
	if !r.listed(at) {
		return fmt.Errorf("%w: %s is not in the manifest's egress list", errForbidden, at)
	}
	return nil
}

func (r rules) listed(at string) bool {
	if r.exact[at] {
		return true
	}
	for _, s := range r.suffixes {
		if strings.HasSuffix(at, s) {
			return true
		}
	}
	return false
}

// dial resolves a name once and connects to an address that was checked, so
// that a second answer of the name server cannot lead elsewhere.
func (r rules) dial(ctx context.Context, network, at string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return nil, err
	}
	at = net.JoinHostPort(strings.ToLower(strings.TrimSuffix(host, ".")), port)
	if at != r.override && !r.listed(at) {
		return nil, fmt.Errorf("%w: %s", errForbidden, at)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if at != r.override {
		for _, a := range addrs {
			if !public(a) {
				return nil, fmt.Errorf("%w: %s leads to a private address", errForbidden, host)
			}
		}
	}
	d := net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	var errs []error
	for _, a := range addrs {
		c, err := d.DialContext(ctx, network, net.JoinHostPort(a.Unmap().String(), port))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// public reports whether an address is on the open internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range private {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
