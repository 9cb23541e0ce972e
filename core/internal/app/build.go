package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/pprof"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stratohub/strato/core/internal/admission"
	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/core/internal/hostservice"
	"github.com/stratohub/strato/core/internal/httpapi"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/live"
	"github.com/stratohub/strato/core/internal/outbox"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/secret"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
)

// parts is what build puts together, in the order of its making.
type parts struct {
	*App

	ring      *secret.Ring
	metrics   *telemetry.Metrics
	cache     *cache.Cache
	bus       *cache.Bus
	hub       *live.Hub
	host      *host.Host
	registry  *pluginhost.Registry
	directory *installation.Directory
	auth      *auth.Service
	webhooks  *ingress.Handler
	receiver  *ingress.Receiver
	outbox    *outbox.Outbox
}

// build makes the parts, opens the gate and starts the workers.
func (a *App) build(ctx context.Context) error {
	p := &parts{App: a}
	for _, step := range []func(context.Context) error{
		p.observe, p.startRedis, p.openTenants, p.openInbox, p.startPlugins, p.openAccess, p.takeEvents, p.serveAPI, p.serveMetrics, p.work,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *parts) observe(context.Context) (err error) {
	if p.ring, err = p.Config.Ring(); err != nil {
		return err
	}
	tenants := telemetry.NewTenants(p.Config.MetricsTenants, p.labelOf)
	p.metrics = telemetry.NewMetrics(tenants)
	p.run(func(ctx context.Context) { tenants.Run(ctx, time.Minute) })
	return nil
}

// labelOf is a tenant's metric label: its short name.
func (p *parts) labelOf(t uuid.UUID) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	slug, err := p.Pool.SlugOf(ctx, id.From[tenant.Tenant](t))
	if err != nil {
		return t.String()
	}
	return slug
}

func (p *parts) startRedis(context.Context) error {
	url := p.Config.RedisURL.Reveal()
	if p.Config.EmbeddedRedis() {
		server, err := embedded.StartRedis()
		if err != nil {
			return err
		}
		p.later(func(context.Context) error { server.Stop(); return nil })
		url = server.URL()
	}
	c, err := cache.Open(url, p.log.With("component", "cache"))
	if err != nil {
		return err
	}
	p.cache, p.bus = c, cache.NewBus(c)
	p.later(func(context.Context) error { return c.Close() })
	p.run(p.bus.Run)
	return nil
}

func (p *parts) openTenants(ctx context.Context) error {
	seconds := p.metrics.Tenants.NewHistogram(p.metrics.Registry, prometheus.HistogramOpts{
		Name: "strato_tenant_query_seconds", Help: "Time of tenants' database statements.",
		Buckets: []float64{.001, .005, .025, .1, .5, 2.5},
	})
	cfg := tenant.Config{
		AdminURL: p.admin, RoleKey: p.roleKey, MaxConns: int32(p.Config.DatabaseMaxConns),
		Statements: postgres.DBConfig{
			StatementTimeout: 30 * time.Second,
			Hook:             func(_ context.Context, q postgres.Query) { seconds.Observe(q.Tenant, q.Duration.Seconds()) },
		},
		Announce: func(ctx context.Context, t tenant.ID, changes []tenant.Change) { p.hub.Announce(ctx, t, changes) },
		Logger:   p.log.With("component", "tenant"),
	}
	if p.Config.DatabaseExecMode == config.ExecPlain {
		cfg.ExecMode = pgx.QueryExecModeExec
	}
	pool, err := tenant.Open(ctx, cfg)
	if err != nil {
		return err
	}
	p.Pool = pool
	p.later(func(context.Context) error { pool.Close(); return nil })
	if _, err := Shared(ctx, pool, p.admin); err != nil {
		return err
	}
	return p.checkDatabases(ctx)
}

// checkDatabases brings the other databases to this version's schema, or says
// which are not there yet. One that does not answer does not keep the others
// from being served.
func (p *parts) checkDatabases(ctx context.Context) error {
	list, err := p.Pool.Databases(ctx)
	if err != nil {
		return err
	}
	for _, d := range list {
		admin, err := d.AdminURL(p.admin)
		if err != nil || admin == p.admin {
			continue
		}
		if p.options.Migrate || p.Config.EmbeddedDatabase() {
			err = Migrate(ctx, admin, p.roleKey, p.options.Progress, postgres.SetTenant)
		}
		if err != nil {
			p.log.ErrorContext(ctx, "a database is not ready; its agencies are not served", "database", d.Name, "error", err)
		}
	}
	return nil
}

func (p *parts) startPlugins(ctx context.Context) error {
	dir, err := p.Config.Plugins()
	if err != nil {
		return err
	}
	store, err := p.Config.Store()
	if err != nil {
		return err
	}
	node, err := p.Config.Node()
	if err != nil {
		return err
	}
	configured, err := p.Config.OperatorSettings()
	if err != nil {
		return err
	}
	overrides, err := admission.ReadOverrides(p.Config.PluginLimits)
	if err != nil {
		return fmt.Errorf("STRATO_PLUGIN_LIMITS: %w", err)
	}
	uid, gid, err := p.Config.PluginAccount()
	if err != nil {
		return err
	}
	log := p.log.With("component", "plugins")
	watcher, err := pluginhost.NewWatcher(ctx, pluginhost.WatcherConfig{
		DB: p.Pool.Control(), Node: node, Store: store, Log: log, Listen: p.listenForPlugins,
	})
	if err != nil {
		return err
	}
	h, err := host.New(host.Config{
		Store: store, Pins: watcher.Pinned,
		Dir: dir, RuntimeDir: filepath.Join(p.Config.Data, "plugins"), Logger: log,
		NodeID: node, HostVersion: p.options.Version, User: host.User{UID: uid, GID: gid}, Cgroup: p.Config.PluginCgroup,
		OperatorSettings: func(plugin string) map[string]string {
			out := map[string]string{}
			for k, v := range configured[plugin] {
				out[k] = v.Reveal()
			}
			if p.options.PluginSettings != nil {
				maps.Copy(out, p.options.PluginSettings(plugin))
			}
			return out
		},
		OnExit: func(i host.Incident) {
			p.log.Error("plugin ended", "plugin", i.Plugin, "version", i.Version, "summary", i.Summary(), "next", i.Next.String())
			watcher.OnExit(i)
		},
		OnState: func(s host.Status) {
			p.log.Info("plugin state", "plugin", s.Plugin, "state", s.State.String(), "reason", s.Reason)
			watcher.OnState(s)
		},
		Services: p.services().Register,
		OnCall:   pluginhost.Observe(p.metrics),
	})
	if err != nil {
		return fmt.Errorf("start the plugin host: %w", err)
	}
	p.metrics.MustRegister(pluginhost.Collector(h), pluginhost.NewOwn(h))
	p.host = h
	p.later(watcher.Leave)
	p.later(h.Stop)
	watcher.Attach(h)
	if err := watcher.Round(ctx); err != nil { // what is wrong with one plugin does not keep the others
		log.WarnContext(ctx, "plugins are not as they are pinned", "error", err)
	}
	p.run(watcher.Run)
	p.registry = pluginhost.New(h, admission.New(overrides, pluginhost.Admissions(p.metrics)))
	p.checkLimits(ctx, overrides)
	p.later(func(context.Context) error { p.registry.Close(); return nil })
	p.webhooks.Registry = p.registry
	p.run(func(ctx context.Context) { p.registry.Mend(ctx, log) })
	return nil
}

// checkLimits warns of the operator's limits that limit nothing.
func (p *parts) checkLimits(ctx context.Context, overrides admission.Overrides) {
	for name := range overrides {
		release, err := p.registry.Known(name)
		if err != nil {
			p.log.WarnContext(ctx, "STRATO_PLUGIN_LIMITS names a plugin that is not there", "plugin", name)
			continue
		}
		if unknown := overrides.Unknown(release.Manifest); len(unknown) > 0 {
			p.log.WarnContext(ctx, "STRATO_PLUGIN_LIMITS names rate limits that the plugin does not have", "plugin", name, "limits", unknown)
		}
	}
}

// listenForPlugins opens the connection on which commands and other nodes tell
// that plugins changed. Through a pooler that cannot notify, nothing arrives and
// the change is seen half a minute later.
func (p *parts) listenForPlugins(ctx context.Context) (*pgx.Conn, error) {
	url, err := postgres.RoleURL(p.admin, postgres.RoleApp, p.roleKey)
	if err != nil {
		return nil, err
	}
	return pgx.Connect(ctx, url)
}

// services are what the core does for plugins. They are used once a plugin runs,
// when all parts that they need are there.
func (p *parts) services() *hostservice.Services {
	return &hostservice.Services{
		Pool: p.Pool, Directory: p.directory, Publish: p.webhooks.Publish, Changed: p.changed,
		Secrets: func(plugin string) ([]string, error) { return p.registry.Secrets(plugin) },
		Blobs:   filepath.Join(p.Config.Data, "blobs"), Log: p.log.With("component", "host services"),
	}
}

// forgetKey is the channel on which nodes tell each other that an installation
// changed.
func forgetKey() cache.Key { return cache.GlobalKey("installation", "changed") }

// changed makes every node forget what it remembers of an installation.
func (p *parts) changed(ctx context.Context, t installation.Target) {
	p.directory.Forget(t)
	payload, err := json.Marshal(t)
	if err != nil {
		return
	}
	p.bus.Publish(ctx, forgetKey(), payload)
}

func (p *parts) openAccess(ctx context.Context) error {
	policy, err := rbac.New()
	if err != nil {
		return err
	}
	p.auth = auth.New(auth.Options{
		DB: p.Pool.Control(), Ring: p.ring, Limits: cache.NewLimiter(p.cache), Bus: p.bus, Policy: policy,
		Log: p.log.With("component", "auth"), Secure: p.Config.SecureCookies(),
	})
	p.Accounts = p.auth.Accounts
	p.run(p.auth.Run)
	p.hub = live.New(live.Options{
		Bus: p.bus, Policy: policy, Log: p.log.With("component", "live"), Metrics: p.metrics.Registry, Holds: p.auth.Holds,
	})
	p.run(p.hub.Run)
	p.run(func(ctx context.Context) {
		sub := p.bus.Subscribe(ctx, forgetKey(), func(m cache.Message) {
			var t installation.Target
			if m.Lost {
				p.directory.ForgetAll()
			} else if json.Unmarshal(m.Payload, &t) == nil {
				p.directory.Forget(t)
			}
		})
		defer sub.Close()
		<-ctx.Done()
	})
	p.router, err = httpapi.New(httpapi.Options{
		Pool: p.Pool, Policy: policy, Log: p.log.With("component", "api"), HTTP: telemetry.NewHTTP(p.metrics.Registry),
		Authenticate: p.authenticate,
		Cookie:       auth.AccessCookie, BaseDomain: p.Config.BaseDomain, PublicURL: p.publicURL(), Proxies: p.Config.Proxies(),
		Version: p.options.Version,
	})
	return err
}

func (p *parts) publicURL() string {
	if p.Config.PublicURL != "" {
		return p.Config.PublicURL
	}
	return p.URL()
}

// openInbox makes the way in of events, which webhooks and plugins use.
func (p *parts) openInbox(context.Context) error {
	p.directory = installation.NewDirectory(p.Pool, secret.NewBox(p.ring, secret.NewTable(p.Pool.Control())))
	inbox := ingress.NewInbox(p.Pool, p.log.With("component", "inbox"))
	p.later(func(context.Context) error { inbox.Close(); return nil })
	p.webhooks = &ingress.Handler{
		Pool: p.Pool, Directory: p.directory, Inbox: inbox, Metrics: ingress.NewMetrics(p.metrics), Log: p.log.With("component", "ingress"),
		Client: func(r *http.Request) string { return r.RemoteAddr },
	}
	return nil
}

func (p *parts) takeEvents(context.Context) error {
	p.receiver = &ingress.Receiver{
		Pool: p.Pool, Directory: p.directory, Registry: p.registry, Metrics: p.webhooks.Metrics, Log: p.log.With("component", "receive"),
	}
	p.outbox = outbox.New(p.Pool, p.directory, p.registry, p.changed, p.metrics, p.log.With("component", "outbox"))
	return nil
}

func (p *parts) serveAPI(context.Context) error {
	p.plugins = &plugins{
		pool: p.Pool, registry: p.registry, directory: p.directory, publicURL: p.publicURL(),
		configurator: &pluginhost.Configurator{Pool: p.Pool, Directory: p.directory, Registry: p.registry, Changed: p.changed},
	}
	routes(p.router, p.auth, p.plugins, p.webhooks, p.hub)
	if p.Config.Has(config.RoleAPI) {
		p.gate.Open(p.router)
		p.later(func(context.Context) error { p.gate.Close(); return nil })
	}
	return nil
}

func (p *parts) serveMetrics(ctx context.Context) error {
	p.ready = httpapi.NewReadiness(p.log,
		httpapi.Check{Name: "database", Required: true, Probe: func(ctx context.Context) error { return p.Pool.Control().PingContext(ctx) }},
		httpapi.Check{Name: "redis", Probe: p.cache.Ping},
	)
	if p.Config.MetricsAddr == "" {
		return nil
	}
	l, err := bind(ctx, p.Config.MetricsAddr, "STRATO_METRICS_ADDR")
	if err != nil {
		return err
	}
	p.App.metrics = l
	mux := http.NewServeMux()
	mux.Handle("/metrics", p.metrics.Handler())
	mux.Handle("/healthz", httpapi.Alive())
	mux.Handle("/readyz", p.ready)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	p.serve(l, &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second})
	return nil
}

// work starts the workers, where this process has that role.
func (p *parts) work(ctx context.Context) error {
	if !p.Config.Has(config.RoleWorker) {
		return nil
	}
	node, err := p.Config.Node()
	if err != nil {
		return err
	}
	workers, sweeps := jobs(p)
	runner := queue.NewRunner(queue.Config{
		Pool: p.Pool, Workers: workers, Sweeps: sweeps, NodeID: node,
		PollOnly: p.Config.DatabaseExecMode == config.ExecPlain, Logger: p.log,
	})
	if err := runner.Start(ctx); err != nil {
		return fmt.Errorf("start the workers: %w", err)
	}
	p.later(runner.Stop)
	p.run(p.webhooks.RunSpool)
	p.run(p.webhooks.WatchWaiting)
	p.run(p.pruneSessions)
	return nil
}
