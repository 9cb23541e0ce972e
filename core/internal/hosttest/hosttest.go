// Package hosttest gives tests real plugins: their programs, built and under the
// real host, and the simulator of a provider, which is a program of its own.
package hosttest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/admission"
	"github.com/stratohub/strato/core/internal/hostservice"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/secret"
	"github.com/stratohub/strato/core/internal/simulation"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/simulator"
)

// patience is how long a test waits for a program to stop.
const patience = 20 * time.Second

// AppSecret is the operator's, which signs the simulator's webhooks of a shared app.
const AppSecret = "the operator's own app secret"

// World is what stands around the parts under test: an agency, plugins and the
// core's side of them.
type World struct {
	Pool         *tenant.Pool
	Agency       tenant.Tenant
	Registry     *pluginhost.Registry
	Directory    *installation.Directory
	Configurator *pluginhost.Configurator
	// Limits are the operator's. Change them before the first call of a plugin.
	Limits admission.Overrides
	// Log holds what was logged, by the core's side and by the plugins.
	Log *Log

	base string
	data string
	sim  *simulation.Simulator
	host *host.Host

	mu   sync.Mutex
	pins map[string]host.Pin
}

// New returns a world with a new agency in the test database. Processes start
// when they are asked something and end with the test. timing may be zero.
func New(t testing.TB, timing host.Timing) *World {
	t.Helper()
	pool, agency := tenanttest.New(t)
	return On(t, pool, agency, timing)
}

// On is [New] around an agency of the caller's.
func On(t testing.TB, pool *tenant.Pool, agency tenant.Tenant, timing host.Timing) *World {
	t.Helper()
	w := &World{Pool: pool, Agency: agency, Log: &Log{}, Limits: admission.Overrides{}}
	dir := plugins(t)
	runtime, err := os.MkdirTemp("", "st") // sockets have short paths
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	w.data = runtime
	w.Directory = installation.NewDirectory(w.Pool, Box(t, w.Pool))
	forget := func(_ context.Context, target installation.Target) { w.Directory.Forget(target) }
	inbox := ingress.NewInbox(w.Pool, w.Log.Logger())
	t.Cleanup(inbox.Close)
	in := &ingress.Handler{
		Pool: w.Pool, Directory: w.Directory, Inbox: inbox, Log: w.Log.Logger(),
		Metrics: ingress.NewMetrics(telemetry.NewMetrics(telemetry.NewTenants(10, uuid.UUID.String))),
	}
	services := &hostservice.Services{
		Pool: w.Pool, Directory: w.Directory, Publish: in.Publish, Changed: forget, Blobs: filepath.Join(runtime, "blobs"), Log: w.Log.Logger(),
		Secrets: func(plugin string) ([]string, error) { return w.Registry.Secrets(plugin) },
	}
	h, err := host.New(host.Config{
		Services: services.Register,
		Dir:      dir, RuntimeDir: filepath.Join(runtime, "p"), Timing: timing, Logger: w.Log.Logger(),
		Store: filepath.Join(runtime, "store"), Pins: w.pinned,
		OperatorSettings: func(string) map[string]string {
			return map[string]string{"base_url": w.base, "app_secret": AppSecret, "verify_token": "the operator's token"}
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, h.Stop(ctx))
	})
	w.host, w.Registry = h, pluginhost.New(h, admission.New(w.Limits, admission.Observer{}))
	t.Cleanup(w.Registry.Close)
	w.Configurator = &pluginhost.Configurator{
		Pool: w.Pool, Directory: w.Directory, Registry: w.Registry,
		Changed: forget,
	}
	return w
}

// Host is what runs the plugins.
func (w *World) Host() *host.Host { return w.host }

func (w *World) pinned() map[string]host.Pin {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.pins)
}

// Canary has the next version of the plugin [Echo] serve the agency alone.
func (w *World) Canary(t testing.TB) {
	t.Helper()
	folder := Release(t, "v2")
	r := host.Look(folder, Echo)
	require.Empty(t, r.Problem)
	require.NoError(t, os.MkdirAll(filepath.Join(w.data, "store", Echo), 0o750))
	require.NoError(t, os.Rename(folder, filepath.Join(w.data, "store", Echo, r.SHA256)))
	w.mu.Lock()
	w.pins = map[string]host.Pin{Echo: {Canary: r.SHA256, CanaryTenants: []string{w.Agency.ID.String()}}}
	w.mu.Unlock()
	require.NoError(t, w.host.Upgrade(t.Context()))
}

// Box seals with a key of the tests.
func Box(t testing.TB, pool *tenant.Pool) *secret.Box {
	t.Helper()
	ring, err := secret.ParseRing("test:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32)))
	require.NoError(t, err)
	return secret.NewBox(ring, secret.NewTable(pool.Control()))
}

// Simulator starts the provider's simulator, once. Call it before the provider's
// plugin is used.
func (w *World) Simulator(t testing.TB) *simulation.Simulator {
	t.Helper()
	if w.sim != nil {
		return w.sim
	}
	release, err := w.Registry.Plugin(Provider)
	require.NoError(t, err)
	w.sim, err = simulation.Start(t.Context(), Provider, release.Path, w.data, w.Log.Logger())
	require.NoError(t, err)
	t.Cleanup(w.sim.Stop)
	w.base = w.sim.BaseURL
	return w.sim
}

// Install makes a draft of a plugin's installation, for the agency.
func (w *World) Install(t testing.TB, plugin string) installation.Target {
	t.Helper()
	return Install(t, w.Pool, w.Agency, plugin)
}

// Install makes a draft of a plugin's installation.
func Install(t testing.TB, pool *tenant.Pool, agency tenant.Tenant, plugin string) installation.Target {
	t.Helper()
	target := installation.Target{Tenant: agency.ID}
	tenanttest.Do(t, pool, agency, func(ctx context.Context, s tenant.Scope) error {
		n := installation.New(s, plugin, plugin)
		target.Installation = n.ID
		return installation.Create(ctx, s, n)
	})
	return target
}

// Save gives an installation settings, on top of its newest version.
func (w *World) Save(t testing.TB, target installation.Target, settings any) *installation.Installation {
	t.Helper()
	submitted, err := json.Marshal(settings)
	require.NoError(t, err)
	n, err := w.Configurator.Save(t.Context(), target, submitted, w.Get(t, target).Version)
	require.NoError(t, err)
	return n
}

// Get reads an installation as an API would show it.
func (w *World) Get(t testing.TB, target installation.Target) *installation.Installation {
	t.Helper()
	var n *installation.Installation
	require.NoError(t, w.Pool.Read(t.Context(), target.Tenant, func(ctx context.Context, s tenant.Scope) (err error) {
		n, err = installation.Get(ctx, s, target.Installation)
		return err
	}))
	return n
}

// Connect makes an active installation of the simulated provider, whose webhooks
// go to url. The label names the account at the provider.
func (w *World) Connect(t testing.TB, label, url string) installation.Target {
	t.Helper()
	target := w.Install(t, Provider)
	w.Save(t, target, w.Account(t, label, url))
	return target
}

// Account opens an account at the simulated provider and returns its settings.
// Labels are the world's own: no two worlds share an account.
func (w *World) Account(t testing.TB, label, url string) map[string]string {
	t.Helper()
	account, err := w.Simulator(t).Account(t.Context(), simulator.AccountRequest{Label: w.Label(label), WebhookURL: url})
	require.NoError(t, err)
	return account.Settings
}

// Label is what the simulator knows an account by.
func (w *World) Label(label string) string { return label + "-" + w.Agency.Slug[:16] }

// Echo makes an active installation of the plugin [Echo].
func (w *World) Echo(t testing.TB) installation.Target {
	t.Helper()
	return w.EchoOf(t, w.Agency, "a", "a token of the tests")
}

// EchoOf is [World.Echo] of an agency with settings of its own. An account whose
// name begins with @ is confirmed as a routing key.
func (w *World) EchoOf(t testing.TB, agency tenant.Tenant, account, token string) installation.Target {
	t.Helper()
	target := Install(t, w.Pool, agency, Echo)
	w.Save(t, target, map[string]string{"account": account, "token": token})
	return target
}

// Live opens an installation for a call.
func (w *World) Live(t testing.TB, target installation.Target) *installation.Live {
	t.Helper()
	live, err := w.Directory.Load(t.Context(), target)
	require.NoError(t, err)
	return live
}

// Log collects log lines. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String is everything that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Logger writes into the log, from debug on.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
