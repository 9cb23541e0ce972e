package host

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/settings"
)

// process is one running plugin.
type process struct {
	host       *Host
	supervisor *supervisor
	disk       Release // what it was started from
	child      *child
	client     *plugin.Client
	clients    *Clients
	calls      *calls
	kills      atomic.Int64 // of the machine for want of memory, when last looked at
	output     *output
	services   *services // nil while none are offered
	sockets    string
	startedAt  time.Time
	startup    time.Duration    // from the request to the first call it can take
	instances  atomic.Int64     // as its health told
	letGo      atomic.Bool      // we want it to end
	hung       atomic.Bool      // it was killed for not answering
	connected  bool             // the client has a connection to close
	attached   bool             // its developer started it, and may be debugging it
	conn       *grpc.ClientConn // of an attached process alone

	mu     sync.Mutex
	refs   int
	unused chan struct{}

	burial   sync.Once
	incident Incident
}

// refusal is a start that must not be tried again before something changes.
type refusal struct{ reason string }

// Error implements error.
func (r *refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// startFailure is a process that did not come up.
type startFailure struct{ incident Incident }

// Error implements error.
func (f *startFailure) Error() string { return f.incident.Summary() }

// launch starts a process and returns it when it is ready for calls. The error
// is a *refusal, a *startFailure, or the system's.
func (h *Host) launch(ctx context.Context, s *supervisor, r Release) (*process, error) {
	began := time.Now()
	if r.Problem != "" {
		return nil, refuse("%s", r.Problem)
	}
	if at, ok := h.config.Reattach[r.Name]; ok {
		return h.attach(ctx, s, r, at)
	}
	binary, problem := openBinary(r.Path)
	if problem != "" {
		return nil, refuse("%s", problem)
	}
	defer func() { _ = binary.Close() }()
	sum, err := digest(binary)
	if err != nil {
		return nil, refuse("its binary cannot be read: %s", plain(err))
	}
	if sum != r.SHA256 {
		return nil, refuse("its binary's checksum is %s, but it was %s when it was looked at; scan the plugins again", short(sum), short(r.SHA256))
	}
	if problem := h.checkPin(r.Name, sum); problem != "" {
		return nil, refuse("%s", problem)
	}
	sockets, err := newSocketDir(h.config.RuntimeDir, h.config.User)
	if err != nil {
		return nil, fmt.Errorf("make the folder of its sockets: %w", err)
	}
	p := &process{
		host: h, supervisor: s, disk: r, sockets: sockets, startedAt: time.Now(),
		output: newOutput(h.log.With("plugin", r.Name, "version", r.Manifest.Version), s.secrets),
	}
	p.calls = newCalls(p)
	p.kills.Store(int64(memoryKills()))
	ctx, cancel := context.WithTimeout(ctx, h.timing.Start)
	defer cancel()
	err = p.comeUp(ctx, binary)
	if err == nil {
		p.startup = time.Since(began)
		return p, nil
	}
	if p.child == nil || p.child.pid == 0 {
		_ = os.RemoveAll(sockets)
		if errors.Is(err, syscall.ENOEXEC) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOENT) {
			return nil, refuse("its binary does not run on this machine: %s", plain(err))
		}
		return nil, fmt.Errorf("start its process: %s", plain(err))
	}
	p.letGo.Store(true)
	p.end(0)
	incident := p.bury()
	if _, ok := errors.AsType[*refusal](err); ok {
		return nil, err
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("it was not ready within %s: %w", h.timing.Start, err)
	}
	incident.Cause, incident.Detail = CauseStart, s.secrets.String(err.Error())
	return nil, &startFailure{incident}
}

// comeUp starts the process, shakes hands, tells it who we are, and compares
// what it says with what is on disk.
func (p *process) comeUp(ctx context.Context, binary *os.File) error {
	unwatch := func() bool { return true }
	defer func() { unwatch() }()
	config := &plugin.ClientConfig{
		HandshakeConfig:  handshake.Config(),
		VersionedPlugins: map[int]plugin.PluginSet{handshake.Version: {handshake.Name: &handshake.Glue{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		Logger:           hclog.NewNullLogger(),
		StartTimeout:     p.host.timing.Start,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: p.sockets, Group: p.host.config.User.group()},
		SyncStdout:       p.output.stray("stdout"),
		SyncStderr:       p.output.stray("stderr"),
		GRPCDialOptions:  p.dialOptions(),
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			c, err := newChild(p.host, p.disk, binary, spec)
			if err != nil {
				return nil, err
			}
			c.started = func(pid int) {
				p.startedAt = time.Now()
				// Not all that follows has a deadline of its own.
				unwatch = context.AfterFunc(ctx, c.kill)
				writeRecord(p.host.config.RuntimeDir, pid, p.sockets)
				p.host.work.Go(func() { p.output.read(c.stderr, pid) })
			}
			p.child = c
			return c, nil
		},
	}
	p.client = plugin.NewClient(config)
	if _, err := p.client.Start(); err != nil {
		return fmt.Errorf("shake hands: %w", explain(err))
	}
	protocol, err := p.client.Client()
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	p.connected = true
	raw, err := protocol.Dispense(handshake.Name)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	conn := raw.(*handshake.Conn)
	p.clients = newClients(conn.ClientConn, p.disk.Manifest.Version, p.child.pid)
	p.clients.process = p
	return p.introduce(ctx, func(start *pluginv1.StartRequest) error {
		start.HostBrokerId = p.offer(conn.Broker)
		return nil
	})
}

// explain turns go-plugin's words for a version it does not share into a refusal.
func explain(err error) error {
	if strings.Contains(err.Error(), "ncompatible API version") || strings.Contains(err.Error(), "ncompatible core API version") {
		return refuse("it speaks another version of the plugin protocol than this core (%d); install one built for it", handshake.Version)
	}
	return err
}

// introduce tells the process who we are and compares what it says with what is
// on disk. Where services are offered, offer opens the way to them.
func (p *process) introduce(ctx context.Context, offer func(*pluginv1.StartRequest) error) error {
	c := p.host.config
	start := &pluginv1.StartRequest{HostVersion: c.HostVersion, NodeId: c.NodeID, LogLevel: c.LogLevel}
	if c.OperatorSettings != nil {
		start.OperatorSettings = c.OperatorSettings(p.disk.Name)
	}
	// An address is wanted in the log; everything else may be a secret.
	hidden := map[string]string{}
	for k, v := range start.GetOperatorSettings() {
		if k != "base_url" {
			hidden[k] = v
		}
	}
	p.supervisor.secrets.Add("", 1, hidden)
	d, err := p.clients.Provider.Describe(ctx, &pluginv1.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("ask what it is: %w", err)
	}
	if err := p.disk.compare(d); err != nil {
		return err
	}
	// The process has a few seconds to find the way to the host's services.
	if c.Services != nil {
		if err := offer(start); err != nil {
			return fmt.Errorf("offer it the host's services: %w", err)
		}
		start.HostFeatures = p.services.names
	}
	if _, err := p.clients.Provider.Start(ctx, start); err != nil {
		return fmt.Errorf("tell it to start: %w", err)
	}
	return nil
}

// compare refuses a process that is not what the catalogue says.
func (r Release) compare(d *pluginv1.DescribeResponse) error {
	m := r.Manifest
	schema, err := m.Schema()
	if err != nil {
		return refuse("%s", err)
	}
	sum := hex.EncodeToString(d.GetManifestSha256())
	switch {
	case d.GetPluginId() != m.ID:
		return refuse("its binary says it is %q, its manifest %q", d.GetPluginId(), m.ID)
	case d.GetVersion() != m.Version:
		return refuse("its binary is version %q, its manifest %q", d.GetVersion(), m.Version)
	case sum != r.ManifestSHA256 || !bytes.Equal(d.GetManifestJson(), r.ManifestJSON):
		return refuse("its binary was built with another manifest (%s) than the one beside it (%s)", short(sum), short(r.ManifestSHA256))
	case d.GetSettingsVersion() != m.SettingsVersion:
		return refuse("its binary has settings version %d, its manifest %d", d.GetSettingsVersion(), m.SettingsVersion)
	case !slices.Equal(slices.Sorted(slices.Values(d.GetCapabilities())), capabilities(m)):
		return refuse("its binary does not have the capabilities of its manifest")
	case !slices.Equal(slices.Sorted(slices.Values(d.GetSecretPointers())), schema.Secrets()):
		return refuse("its binary has other secret settings than its manifest")
	}
	return nil
}

// capabilities of a manifest, as numbers, sorted.
func capabilities(m *settings.Manifest) []pluginv1.Capability {
	out := make([]pluginv1.Capability, 0, len(m.Capabilities))
	for _, c := range m.Capabilities {
		out = append(out, pluginv1.Capability(pluginv1.Capability_value["CAPABILITY_"+strings.ToUpper(string(c))]))
	}
	slices.Sort(out)
	return out
}

// bury cleans up after a process that is gone, and tells how it went. All
// callers get the same.
func (p *process) bury() Incident {
	p.burial.Do(func() {
		<-p.child.done
		<-p.output.finished
		p.incident = p.postMortem()
		// The process is gone, so go-plugin's Kill finds nothing to wait for; it
		// closes the connection and collects the goroutines. It would dial anew
		// if there was no connection.
		p.child.group.remove()
		p.services.stop()
		if p.connected {
			p.client.Kill()
		}
		_ = os.RemoveAll(p.sockets)
		if p.attached {
			p.disconnect()
			return
		}
		_ = os.Remove(recordPath(p.host.config.RuntimeDir, p.child.pid))
	})
	return p.incident
}

// healthLoop asks the process how it is, and kills it when it has not answered
// several times in a row.
func (p *process) healthLoop(t Timing) {
	tick := time.NewTicker(t.HealthEvery)
	defer tick.Stop()
	for misses := 0; ; {
		select {
		case <-p.child.done:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), t.HealthDeadline)
		health, err := p.clients.Provider.Health(ctx, &pluginv1.HealthRequest{})
		cancel()
		if err == nil {
			p.instances.Store(int64(health.GetInstances()))
			misses = 0
			p.kills.Store(int64(memoryKills()))
			continue
		}
		if misses++; misses >= t.HealthMisses {
			p.hung.Store(true)
			p.child.kill()
			return
		}
	}
}
