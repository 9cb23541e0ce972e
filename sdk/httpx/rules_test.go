package httpx

import (
	"net/http"
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublic(t *testing.T) {
	t.Parallel()

	for _, a := range []string{"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "0.1.2.3",
		"192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "fec0::1"} {
		require.False(t, public(netip.MustParseAddr(a)), a)
	}
	for _, a := range []string{"157.240.1.1", "8.8.8.8", "172.32.0.1", "2a03:2880::1", "::ffff:8.8.8.8"} {
		require.True(t, public(netip.MustParseAddr(a)), a)
	}
}

func TestListedHosts(t *testing.T) {
	t.Parallel()

	r, err := newRules([]string{"API.example.com", "*.cdn.example.com", "x.example.com:8443"}, "http://[::1]:9000/base")
	require.NoError(t, err)
	for _, u := range []string{"https://api.example.com/a", "https://API.EXAMPLE.COM.:443/", "https://a.cdn.example.com/", "https://a.b.cdn.example.com/",
		"https://x.example.com:8443/", "http://[::1]:9000/other", "https://[::1]:9000/"} {
		parsed, err := url.Parse(u)
		require.NoError(t, err)
		require.NoError(t, r.allow(parsed), u)
	}
}

func TestAnotherHostGetsNoSecrets(t *testing.T) {
	t.Parallel()

	c, err := New(Config{Hosts: []string{"api.example.com", "files.example.com"}})
	require.NoError(t, err)
	get := func(url string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		for _, name := range []string{"Accept", "User-Agent", "Authorization", "X-Api-Key", "Referer"} {
			r.Header.Set(name, "x")
		}
		return r
	}
	first := get("https://api.example.com/media")
	for url, want := range map[string]int{"https://api.example.com/file": 5, "https://files.example.com/file": 2} {
		next := get(url)
		require.NoError(t, c.checkRedirect(next, []*http.Request{first}))
		require.Len(t, next.Header, want, url)
		require.Equal(t, "x", next.Header.Get("Accept"))
		require.Equal(t, "x", next.UserAgent())
	}
}
