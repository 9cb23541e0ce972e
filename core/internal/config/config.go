// Package config reads Strato's configuration from the environment, once. Every
// variable begins with STRATO_; each field of [Config] says what its variable
// is for in its help tag.
package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/stratohub/strato/core/internal/secret"
)

// Prefix begins the name of every variable.
const Prefix = "STRATO_"

// Role is a part of the work that a process may take.
type Role string

// The roles of a process.
const (
	RoleAPI    Role = "api"    // answers HTTP
	RoleWorker Role = "worker" // runs jobs and plugins' background work
)

// Config is the whole configuration. The zero Config is not useful; make one
// with [Load]. It is a plain value and never changes after start.
type Config struct {
	Addr        string `env:"ADDR" envDefault:"127.0.0.1:8080" help:"Address of the API and the dashboard."`
	MetricsAddr string `env:"METRICS_ADDR" envDefault:"127.0.0.1:9090" help:"Address of /metrics, /healthz and /readyz. Keep it private. Empty serves no metrics."`
	Data        string `env:"DATA" envDefault:"./.strato" help:"Folder for what Strato itself keeps: the embedded servers' data, the key file, the demo's state."`

	DatabaseURL      secret.String `env:"DATABASE_URL" show:"url" help:"URL of the control PostgreSQL database, as a role that may create roles and migrate. Empty starts PostgreSQL under STRATO_DATA."`
	DatabaseMaxConns int           `env:"DATABASE_MAX_CONNS" envDefault:"16" help:"Most connections this process opens to one database."`
	DatabaseExecMode ExecMode      `env:"DATABASE_EXEC_MODE" envDefault:"cache" help:"cache prepares statements; exec does not, for PgBouncer older than 1.21 in transaction mode."`
	PostgresBin      string        `env:"POSTGRES_BIN" help:"Folder with initdb and postgres for the embedded database. Empty looks for the system's."`
	RedisURL         secret.String `env:"REDIS_URL" show:"url" help:"URL of Redis. Empty runs one inside the process, which suits a single node only."`

	PublicURL      string     `env:"PUBLIC_URL" help:"Where browsers and providers reach Strato, without a path. Empty is http:// and STRATO_ADDR."`
	BaseDomain     string     `env:"BASE_DOMAIN" envDefault:"localhost" help:"Domain whose subdomains are the agencies: acme.<domain>."`
	TrustedProxies []string   `env:"TRUSTED_PROXIES" help:"Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by commas."`
	CookieSecure   CookieMode `env:"COOKIE_SECURE" envDefault:"auto" help:"Whether cookies need HTTPS: auto (if STRATO_PUBLIC_URL is https), always, never."`

	SecretKeys secret.String `env:"SECRET_KEYS" show:"keys" help:"Master keys as id:base64,id:base64 of 32 bytes each; the first seals, all open. Needed with STRATO_DATABASE_URL; without it the file keys under STRATO_DATA is made."`

	PluginDir      string `env:"PLUGIN_DIR" help:"Folder of plugins, one folder each. Empty is the folder plugins beside the program."`
	PluginStore    string `env:"PLUGIN_STORE" help:"Folder of installed plugin releases, on each node. Empty is plugin-store under STRATO_DATA."`
	PluginKeys     string `env:"PLUGIN_KEYS" help:"Keys of whom plugins are accepted from, as name:base64,name:base64 of Ed25519 public keys."`
	PluginUnsigned bool   `env:"PLUGIN_UNSIGNED" help:"Whether plugins that nobody signed may be installed. For development only."`
	PluginSettings string `env:"PLUGIN_SETTINGS" help:"Path of a JSON file with the operator's settings for plugins: {\"plugin\":{\"key\":\"value\"}}."`
	PluginLimits   string `env:"PLUGIN_LIMITS" help:"Path of a JSON file with the operator's limits for calls of plugins: {\"plugin\":{\"sends\":24,\"rates\":{\"name\":{\"per_second\":10}}}}."`
	PluginUser     string `env:"PLUGIN_USER" help:"User, by name or number, that plugins run as where Strato runs as root. Empty is Strato's own."`
	PluginCgroup   string `env:"PLUGIN_CGROUP" help:"Folder of a delegated cgroup v2 without processes of its own; plugins get groups below it. Empty uses none."`

	Roles  []Role `env:"ROLES" envDefault:"api,worker" help:"What this process does: api, worker or both, separated by commas."`
	NodeID string `env:"NODE_ID" help:"Name of this node, unique among nodes. Empty makes one and keeps it in the file node-id under STRATO_DATA."`

	LogLevel       slog.Level `env:"LOG_LEVEL" envDefault:"INFO" help:"Least level that is logged: DEBUG, INFO, WARN or ERROR."`
	LogFormat      LogFormat  `env:"LOG_FORMAT" envDefault:"json" help:"How logs are written: json or text."`
	MetricsTenants int        `env:"METRICS_TENANTS" envDefault:"50" help:"How many tenants get metrics of their own; the others share one."`
}

// ExecMode is how statements reach PostgreSQL.
type ExecMode string

// The execution modes.
const (
	ExecCache ExecMode = "cache"
	ExecPlain ExecMode = "exec"
)

// LogFormat is how log lines look.
type LogFormat string

// The log formats.
const (
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)

// CookieMode says when cookies carry the Secure attribute.
type CookieMode string

// The cookie modes.
const (
	CookieAuto   CookieMode = "auto"
	CookieAlways CookieMode = "always"
	CookieNever  CookieMode = "never"
)

// Load reads the configuration from lines of the form NAME=value, such as
// os.Environ returns. Other variables are ignored, unknown ones that begin with
// STRATO_ are refused. The error names everything that is wrong, a line each.
func Load(environ []string) (Config, error) {
	vars := env.ToMap(environ)
	c, err := env.ParseAsWithOptions[Config](env.Options{Environment: vars, Prefix: Prefix})
	if addr, set := vars[Prefix+"METRICS_ADDR"]; set && addr == "" {
		c.MetricsAddr = "" // env takes the default for an empty value
	}
	faults := wording(err)
	faults = append(faults, unknown(vars)...)
	if len(faults) == 0 {
		faults = c.faults()
	}
	if len(faults) > 0 {
		return Config{}, &Invalid{Faults: faults}
	}
	return c.derived(), nil
}

// derived fills in what follows from other values.
func (c Config) derived() Config {
	if c.PublicURL == "" {
		c.PublicURL = "http://" + c.Addr
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	c.BaseDomain = strings.ToLower(strings.TrimSuffix(c.BaseDomain, "."))
	return c
}

// Has reports whether this process takes a part of the work.
func (c Config) Has(r Role) bool { return slices.Contains(c.Roles, r) }

// EmbeddedDatabase reports whether the process starts its own PostgreSQL.
func (c Config) EmbeddedDatabase() bool { return c.DatabaseURL.IsZero() }

// EmbeddedRedis reports whether the process runs its own Redis.
func (c Config) EmbeddedRedis() bool { return c.RedisURL.IsZero() }

// SecureCookies reports whether cookies need HTTPS.
func (c Config) SecureCookies() bool {
	switch c.CookieSecure {
	case CookieAlways:
		return true
	case CookieNever:
		return false
	default:
		return strings.HasPrefix(c.PublicURL, "https://")
	}
}

// Proxies are the trusted proxies' networks.
func (c Config) Proxies() []netip.Prefix {
	var networks []netip.Prefix
	for _, s := range c.TrustedProxies {
		if p, err := parseNetwork(s); err == nil {
			networks = append(networks, p)
		}
	}
	return networks
}

func parseNetwork(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network", s)
	}
	return p, nil
}
