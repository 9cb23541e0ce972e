package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/stratohub/strato/core/internal/secret"
)

// Invalid is the error of a configuration that cannot be used.
type Invalid struct {
	Faults []string // each begins with the variable's name
}

// Error lists all faults, a line each.
func (e *Invalid) Error() string {
	return "the configuration is not valid:\n  " + strings.Join(e.Faults, "\n  ")
}

var (
	domain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	nodeID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// Validate returns an [Invalid] with everything that is wrong, or nil.
func (c Config) Validate() error {
	if faults := c.faults(); len(faults) > 0 {
		return &Invalid{Faults: faults}
	}
	return nil
}

func (c Config) faults() []string {
	var faults []string
	say := func(name, format string, args ...any) {
		faults = append(faults, Prefix+name+": "+fmt.Sprintf(format, args...))
	}
	check := func(name string, err error) {
		if err != nil {
			say(name, "%v", err)
		}
	}

	check("ADDR", address(c.Addr))
	if c.MetricsAddr != "" {
		check("METRICS_ADDR", address(c.MetricsAddr))
		if c.MetricsAddr == c.Addr && !strings.HasSuffix(c.Addr, ":0") {
			say("METRICS_ADDR", "must differ from STRATO_ADDR: metrics are not for the public")
		}
	}
	if c.Data == "" {
		say("DATA", "name a folder")
	}
	check("DATABASE_URL", serverURL(c.DatabaseURL, "postgres", "postgresql"))
	check("REDIS_URL", serverURL(c.RedisURL, "redis", "rediss", "unix"))
	if c.DatabaseMaxConns < 2 || c.DatabaseMaxConns > 1000 {
		say("DATABASE_MAX_CONNS", "want 2 to 1000, got %d", c.DatabaseMaxConns)
	}
	check("DATABASE_EXEC_MODE", oneOf(c.DatabaseExecMode, ExecCache, ExecPlain))
	if c.PublicURL != "" {
		check("PUBLIC_URL", publicURL(c.PublicURL))
	}
	if !domain.MatchString(strings.ToLower(strings.TrimSuffix(c.BaseDomain, "."))) {
		say("BASE_DOMAIN", "want a domain name without port, got %q", c.BaseDomain)
	}
	for _, s := range c.TrustedProxies {
		_, err := parseNetwork(s)
		check("TRUSTED_PROXIES", err)
	}
	check("COOKIE_SECURE", oneOf(c.CookieSecure, CookieAuto, CookieAlways, CookieNever))
	switch {
	case !c.SecretKeys.IsZero():
		_, err := secret.ParseRing(c.SecretKeys.Reveal())
		check("SECRET_KEYS", err)
	case !c.EmbeddedDatabase():
		say("SECRET_KEYS", "needed with STRATO_DATABASE_URL, the same on all nodes, as k1:KEY; make the key with: openssl rand -base64 32")
	}
	if len(c.Roles) == 0 {
		say("ROLES", "want api, worker or both")
	}
	for _, r := range c.Roles {
		check("ROLES", oneOf(r, RoleAPI, RoleWorker))
	}
	if c.NodeID != "" && !nodeID.MatchString(c.NodeID) {
		say("NODE_ID", "want 1 to 64 letters, digits, dots, - and _")
	}
	check("LOG_FORMAT", oneOf(c.LogFormat, LogJSON, LogText))
	if c.MetricsTenants < 0 || c.MetricsTenants > 1000 {
		say("METRICS_TENANTS", "want 0 to 1000, got %d", c.MetricsTenants)
	}
	return faults
}

func address(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("want host:port, got %q", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	} else if n > 65535 {
		return fmt.Errorf("port %d is too large", n)
	}
	return nil
}

// serverURL never repeats the value: it may hold a password.
func serverURL(s secret.String, schemes ...string) error {
	if s.IsZero() {
		return nil
	}
	u, err := url.Parse(s.Reveal())
	if err != nil || u.Scheme == "" {
		return fmt.Errorf("want a URL that begins with %s://", schemes[0])
	}
	if !slices.Contains(schemes, u.Scheme) {
		return fmt.Errorf("want a URL that begins with %s://, got %s://", schemes[0], u.Scheme)
	}
	return nil
}

func publicURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("want http://host or https://host, got %q", s)
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("want no path, query or user, got %q", u.Redacted())
	}
	return nil
}

func oneOf[T ~string](got T, want ...T) error {
	if slices.Contains(want, got) {
		return nil
	}
	words := make([]string, len(want))
	for i, w := range want {
		words[i] = string(w)
	}
	return fmt.Errorf("want %s, got %q", strings.Join(words, " or "), string(got))
}

// unknown finds misspelt variables, which would otherwise do nothing.
func unknown(vars map[string]string) []string {
	// The others are read by plugins' simulators and by tests' helpers.
	known := map[string]bool{Prefix + "SIMULATOR": true, Prefix + "POSTGRES_PACKAGES": true}
	for _, v := range Vars() {
		known[v.Name] = true
	}
	var faults []string
	for name := range vars {
		if strings.HasPrefix(name, Prefix) && !strings.HasPrefix(name, Prefix+"TEST_") && !known[name] {
			faults = append(faults, name+": no such setting; `strato config` lists them")
		}
	}
	slices.Sort(faults)
	return faults
}

// wording turns the parser's errors, which speak of Go, into ours.
func wording(err error) []string {
	if err == nil {
		return nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []string{err.Error()}
	}
	var faults []string
	for _, e := range all.Errors {
		var parse env.ParseError
		if !errors.As(e, &parse) {
			faults = append(faults, e.Error())
			continue
		}
		name := parse.Name
		if f, ok := reflect.TypeFor[Config]().FieldByName(parse.Name); ok {
			name = Prefix + variable(f)
		}
		faults = append(faults, fmt.Sprintf("%s: not a valid %s", name, kindOf(parse.Type)))
	}
	return faults
}

func kindOf(t reflect.Type) string {
	switch {
	case t == nil:
		return "value"
	case t.Kind() == reflect.Int && t.PkgPath() == "":
		return "number"
	default:
		return strings.ToLower(t.Name())
	}
}
