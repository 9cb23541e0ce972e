package pluginhost_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// fleet is a database with releases of a plugin, which nodes share.
type fleet struct {
	db        dbtest.DB
	pool      *tenant.Pool
	store     string
	pins      pluginhost.Pins
	incidents pluginhost.Incidents
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	db := dbtest.Fresh(t)
	pool := tenanttest.Open(t, db, nil)
	return &fleet{db, pool, t.TempDir(), pluginhost.Pins{DB: pool.Control()}, pluginhost.Incidents{DB: pool.Control()}}
}

// add puts a release into the store, and returns its digest.
func (f *fleet) add(t *testing.T, mode string) string {
	t.Helper()
	folder := hosttest.Release(t, mode)
	r := host.Look(folder, hosttest.Echo)
	require.Empty(t, r.Problem)
	require.NoError(t, os.MkdirAll(filepath.Join(f.store, r.Name), 0o750))
	require.NoError(t, os.Rename(folder, filepath.Join(f.store, r.Name, r.SHA256)))
	require.NoError(t, f.pins.Register(t.Context(), pluginhost.Installed{
		Plugin: r.Name, SHA256: r.SHA256, Version: r.Manifest.Version, Manifest: r.ManifestJSON, ManifestSHA256: r.ManifestSHA256,
	}))
	return r.SHA256
}

// node is one of the core's processes.
type node struct {
	host    *host.Host
	watcher *pluginhost.Watcher
	stop    func()
}

// start begins a node, until stop or the test's end.
func (f *fleet) start(t *testing.T, name string) *node {
	t.Helper()
	w, err := pluginhost.NewWatcher(t.Context(), pluginhost.WatcherConfig{
		DB: f.pool.Control(), Node: name, Store: f.store, Log: slog.New(slog.DiscardHandler),
		Listen: func(ctx context.Context) (*pgx.Conn, error) {
			return pgx.Connect(ctx, f.db.URL(t, postgres.RoleApp))
		},
	})
	require.NoError(t, err)
	runtime, err := os.MkdirTemp("", "st") // sockets have short paths
	require.NoError(t, err)
	h, err := host.New(host.Config{
		Dir: t.TempDir(), RuntimeDir: runtime, Store: f.store, Pins: w.Pinned, OnExit: w.OnExit, OnState: w.OnState,
		Timing: host.Timing{Start: 30 * time.Second, BackoffMin: time.Millisecond, BackoffMax: 5 * time.Millisecond, ProbeEvery: time.Hour},
	})
	require.NoError(t, err)
	w.Attach(h)
	require.NoError(t, w.Round(t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	n := &node{host: h, watcher: w}
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-done
		end, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_ = h.Stop(end)
		_ = os.RemoveAll(runtime)
	}
	t.Cleanup(n.stop)
	return n
}

// say sends a message for a tenant, and returns the version that took it.
func (n *node) say(t *testing.T, whose tenant.ID, body string) (string, error) {
	t.Helper()
	c, release, err := n.host.AcquireFor(t.Context(), hosttest.Echo, whose.String())
	if err != nil {
		return "", err
	}
	defer release()
	_, err = c.Channel.Send(t.Context(), &pluginv1.SendRequest{
		Installation: &pluginv1.Installation{
			TenantId: whose.String(), InstallationId: "an installation", Revision: 1, SettingsVersion: 1,
			SettingsJson: []byte(`{"account":"a"}`), Secrets: map[string]string{"/token": "token-of-the-test"},
		},
		IdempotencyKey: "k", Attempt: 1,
		Content: &pluginv1.Content{Kind: &pluginv1.Content_Text{Text: &pluginv1.Text{Body: body}}},
	})
	return c.Version, err
}

func (n *node) runs(t *testing.T, whose tenant.ID, version string) {
	t.Helper()
	require.Eventually(t, func() bool {
		got, err := n.say(t, whose, "hello")
		return err == nil && got == version
	}, 60*time.Second, 20*time.Millisecond, "%s does not run", version)
}

// crash has the plugin end until it is not started any more.
func (n *node) crash(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, _ = n.say(t, tenant.ID{}, "exit")
		s, err := n.host.Status(hosttest.Echo)
		return err == nil && (s.State == host.StateQuarantined || s.Version == "1.2.3")
	}, 60*time.Second, 5*time.Millisecond)
}

func TestPinsReachAllNodes(t *testing.T) {
	t.Parallel()

	f := newFleet(t)
	first, second := f.add(t, ""), f.add(t, "v2")
	nobody := tenant.ID{}
	require.NoError(t, f.pins.Activate(t.Context(), hosttest.Echo, first, "first"))
	a, b := f.start(t, "a"), f.start(t, "b")
	a.runs(t, nobody, "1.2.3")
	b.runs(t, nobody, "1.2.3")

	brave := tenanttest.Create(t, f.pool, f.db.Name)
	require.NoError(t, f.pins.Try(t.Context(), hosttest.Echo, second, []tenant.ID{brave.ID}, "canary"))
	for _, n := range []*node{a, b} {
		n.runs(t, brave.ID, "2.0.0")
		n.runs(t, nobody, "1.2.3")
	}
	require.Eventually(t, func() bool {
		nodes, err := f.incidents.Nodes(t.Context())
		return err == nil && len(nodes) == 4
	}, 30*time.Second, 20*time.Millisecond, "two nodes run two releases each")

	require.NoError(t, f.pins.Activate(t.Context(), hosttest.Echo, second, "for all"))
	a.runs(t, nobody, "2.0.0")
	b.runs(t, nobody, "2.0.0")
	require.NoError(t, f.pins.RollBack(t.Context(), hosttest.Echo, "by hand"))
	a.runs(t, brave.ID, "1.2.3")
	b.runs(t, nobody, "1.2.3")
	changes, err := f.pins.Changes(t.Context(), hosttest.Echo, 10)
	require.NoError(t, err)
	require.Len(t, changes, 4)
	require.NoError(t, f.pins.RollBack(t.Context(), hosttest.Echo, "and forth again"))
	a.runs(t, nobody, "2.0.0")
}

func TestUnpinned(t *testing.T) {
	t.Parallel()

	f := newFleet(t)
	require.ErrorIs(t, f.pins.Unpin(t.Context(), hosttest.Echo, ""), pluginhost.ErrNotPinned)
	sum := f.add(t, "")
	require.NoError(t, f.pins.Activate(t.Context(), hosttest.Echo, sum, "first"))
	a := f.start(t, "a")
	a.runs(t, tenant.ID{}, "1.2.3")
	require.NoError(t, f.pins.Unpin(t.Context(), hosttest.Echo, "by hand"))
	require.Eventually(t, func() bool {
		_, err := a.say(t, tenant.ID{}, "hello")
		return err != nil && strings.Contains(err.Error(), "no such plugin") && len(a.host.Statuses()) == 0
	}, 60*time.Second, 20*time.Millisecond, "it runs from nowhere")
	require.ErrorIs(t, f.pins.RollBack(t.Context(), hosttest.Echo, ""), pluginhost.ErrNotPinned)
	changes, err := f.pins.Changes(t.Context(), hosttest.Echo, 1)
	require.NoError(t, err)
	require.Equal(t, sum, changes[0].Before)
	require.Empty(t, changes[0].After)
	require.NoError(t, f.pins.Activate(t.Context(), hosttest.Echo, sum, "again"))
	a.runs(t, tenant.ID{}, "1.2.3")
}

func TestFreshReleaseThatFailsIsTakenBack(t *testing.T) {
	t.Parallel()

	f := newFleet(t)
	first, second := f.add(t, ""), f.add(t, "v2")
	require.NoError(t, f.pins.Activate(t.Context(), hosttest.Echo, first, "first"))
	require.NoError(t, f.pins.Activate(t.Context(), hosttest.Echo, second, "second"))
	a := f.start(t, "a")
	a.runs(t, tenant.ID{}, "2.0.0")
	a.crash(t)
	a.runs(t, tenant.ID{}, "1.2.3")

	list, err := f.pins.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, first, list[0].SHA256)
	require.Empty(t, list[0].Previous, "the way back leads to what failed")
	require.ErrorIs(t, f.pins.RollBack(t.Context(), hosttest.Echo, ""), pluginhost.ErrNoPrevious)
	changes, err := f.pins.Changes(t.Context(), hosttest.Echo, 1)
	require.NoError(t, err)
	require.True(t, changes[0].Automatic)
	require.Contains(t, changes[0].Reason, "exit code 9")
}

func TestQuarantineSurvivesARestart(t *testing.T) {
	t.Parallel()

	f := newFleet(t)
	require.NoError(t, f.pins.Activate(t.Context(), hosttest.Echo, f.add(t, "v2"), "the only one"))
	a := f.start(t, "a")
	a.runs(t, tenant.ID{}, "2.0.0")
	a.crash(t)
	require.Eventually(t, func() bool {
		open, err := f.incidents.Quarantines(t.Context(), hosttest.Echo, true, 10)
		all, err2 := f.incidents.List(t.Context(), hosttest.Echo, 10)
		return err == nil && err2 == nil && len(open) == 1 && len(all) == 5
	}, 30*time.Second, 10*time.Millisecond)

	all, err := f.incidents.List(t.Context(), hosttest.Echo, 10)
	require.NoError(t, err)
	i := all[0]
	require.Equal(t, "exit", i.Cause)
	require.Equal(t, 9, i.ExitCode)
	require.Equal(t, "a", i.Node)
	require.Equal(t, "quarantined", i.Next)
	require.Positive(t, i.MaxRSS)
	require.NotEmpty(t, i.InFlight)
	require.Equal(t, "Send", i.InFlight[0].Method)
	for _, i := range all {
		lines := strings.Join(i.Stderr, "\n")
		require.Contains(t, lines, "leaving")
		require.NotContains(t, lines, "token-of-the-test")
	}

	a.stop()
	a = f.start(t, "a")
	_, err = a.say(t, tenant.ID{}, "hello")
	require.ErrorContains(t, err, "quarantined", "a restart of the core ended the quarantine")
	// Another node counts what happened on the first one.
	b := f.start(t, "b")
	_, err = b.say(t, tenant.ID{}, "hello")
	require.ErrorContains(t, err, "quarantined")

	require.Eventually(t, func() bool {
		open, err := f.incidents.Quarantines(t.Context(), hosttest.Echo, true, 10)
		return err == nil && len(open) == 2
	}, 30*time.Second, 10*time.Millisecond)
	n, err := f.incidents.Forgive(t.Context(), hosttest.Echo)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	a.runs(t, tenant.ID{}, "2.0.0")
	b.runs(t, tenant.ID{}, "2.0.0")
}

func TestPinsAreChecked(t *testing.T) {
	t.Parallel()

	f := newFleet(t)
	_, err := f.pins.Find(t.Context(), hosttest.Echo, "9.9.9")
	require.ErrorIs(t, err, pluginhost.ErrNoRelease)
	require.ErrorIs(t, f.pins.RollBack(t.Context(), "nothing", ""), pluginhost.ErrNotPinned)
	require.ErrorIs(t, f.pins.Try(t.Context(), "nothing", uuid.NewString(), nil, ""), pluginhost.ErrNotPinned)
}
