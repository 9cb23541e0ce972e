// Package host runs plugins: it finds them on disk, starts each when it is
// first needed, watches over it, restarts it with growing pauses, and lets it
// go without losing a call. A plugin never outlives its host.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/stratohub/strato/sdk/pluginv1"
)

// Config says which plugins a host runs and who hears of them. Dir and
// RuntimeDir are required.
type Config struct {
	// Dir holds a folder for each plugin, with plugin.json and the binary.
	Dir string
	// RuntimeDir is for sockets and records of processes. It is made if it is
	// not there; one host uses it at a time.
	RuntimeDir string
	// Logger gets the host's and the plugins' lines; nil throws them away.
	Logger *slog.Logger
	// NodeID and HostVersion are told to plugins.
	NodeID, HostVersion string
	// LogLevel of the plugins: "debug", "info", "warn" or "error"; empty is "info".
	LogLevel string
	// OperatorSettings gives a plugin its operator's settings. It is asked at
	// every start; nil gives none.
	OperatorSettings func(plugin string) map[string]string
	// Pin gives the SHA-256, in hex, that a plugin's binary must have; empty
	// for what [Host.Scan] found. Nil pins nothing.
	Pin func(plugin string) string
	// Store is the root of the releases that pins name, at STORE/PLUGIN/SHA256/,
	// laid out as in Dir. It is needed with Pins only.
	Store string
	// Pins gives the pins of all plugins; it is asked at each [Host.Scan]. A
	// plugin that it does not name is taken from Dir. Nil pins nothing.
	Pins func() map[string]Pin
	// Dev allows what only a developer's machine may do: Reattach.
	Dev bool
	// Reattach has programs to use in place of a process of the host's own, by
	// plugin: see [ParseReattach]. They are neither verified, encrypted, watched
	// nor ended, and calls of theirs have no deadline. It needs Dev.
	Reattach map[string]Reattach
	// Services registers what the host does for plugins: the services of the
	// package hostv1. It is called for each process, whose requests are served
	// with the caller in their context, see [CallerOf]. Nil offers none.
	Services func(grpc.ServiceRegistrar)
	// User is whom the processes run as; zero is the host's own. Another needs a
	// host that runs as root, on Linux.
	User User
	// Cgroup is a folder of cgroup v2 that was delegated to the host and in which
	// no process is: each plugin's process gets a group below it, with memory and
	// threads limited. Empty leaves it at the process's own limits.
	Cgroup string
	// OnExit hears of each process that ended, or did not start, against the
	// host's will. OnState hears of each change of state. Both are called from
	// one goroutine, in order, and may call the host.
	OnExit  func(Incident)
	OnState func(Status)
	// OnCall hears of each finished call, from the goroutine that made it: it
	// must be quick.
	OnCall func(Call)
	// Timing has the pauses and deadlines; zero fields get their defaults.
	Timing Timing
}

// User is a user and a group of the system, by number.
type User struct{ UID, GID int }

// own reports whether it is the host's own.
func (u User) own() bool { return u == User{} }

// group is what may use the sockets, empty for the user alone.
func (u User) group() string {
	if u.own() {
		return ""
	}
	return strconv.Itoa(u.GID)
}

// Timing are the pauses and deadlines of supervision. A zero field means the
// default that its comment names.
type Timing struct {
	// Start is what a process gets to come up: 10 s.
	Start time.Duration
	// HealthEvery, HealthDeadline and HealthMisses: asked each 15 s for 2 s, killed after 3 misses.
	HealthEvery, HealthDeadline time.Duration
	HealthMisses                int
	// BackoffMin and BackoffMax bound the pause before a restart, 0.5 s doubling
	// to 60 s, drawn anew between zero and that. ResetAfter, 10 min of life, starts anew.
	BackoffMin, BackoffMax, ResetAfter time.Duration
	// QuarantineExits within QuarantineWindow, 5 in 10 min, end restarts but for
	// one probe each ProbeEvery, 30 min.
	QuarantineExits              int
	QuarantineWindow, ProbeEvery time.Duration
	// Drain is what calls under way get to end when a process is replaced: 30 s.
	// DrainStreams is what streams get, 2 min.
	Drain, DrainStreams time.Duration
	// FirstAudio is what speech gets until its first audio comes: 10 s.
	FirstAudio time.Duration
	// ShardIdle is after how long a process of an installation's own ends that
	// nobody has used: 15 min.
	ShardIdle time.Duration
	// Kill is what a process gets to leave by itself before it is killed: 3 s.
	Kill time.Duration
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	count := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	set(&t.Start, 10*time.Second)
	set(&t.HealthEvery, 15*time.Second)
	set(&t.HealthDeadline, 2*time.Second)
	count(&t.HealthMisses, 3)
	set(&t.BackoffMin, 500*time.Millisecond)
	set(&t.BackoffMax, time.Minute)
	set(&t.ResetAfter, 10*time.Minute)
	count(&t.QuarantineExits, 5)
	set(&t.QuarantineWindow, 10*time.Minute)
	set(&t.ProbeEvery, 30*time.Minute)
	set(&t.Drain, 30*time.Second)
	set(&t.DrainStreams, 2*time.Minute)
	set(&t.FirstAudio, 10*time.Second)
	set(&t.ShardIdle, 15*time.Minute)
	set(&t.Kill, 3*time.Second)
	return t
}

// Host runs the plugins of one folder. Any number of goroutines may use it.
type Host struct {
	config    Config
	timing    Timing
	log       *slog.Logger
	deadlines map[string]time.Duration
	spawn     *spawner
	cgroups   *cgroups // nil while none is configured
	notices   *notices

	ctx    context.Context //nolint:containedctx // the life of the host, not of a call
	cancel context.CancelFunc
	work   sync.WaitGroup // starts, watchers, drains

	mu          sync.Mutex
	stopped     bool
	catalogue   []Release
	supervisors map[string]*supervisor
	canaries    map[string]*canary
	shards      map[shardKey]*shard

	upgrading sync.Mutex // lets one Upgrade through at a time
}

// New makes a host, ends processes that an earlier one left behind, and scans
// the folder. No plugin is started. Call [Host.Stop] to let go of it.
func New(c Config) (*Host, error) {
	if c.Dir == "" || c.RuntimeDir == "" {
		return nil, errors.New("a plugin host needs Dir and RuntimeDir")
	}
	if len(c.Reattach) > 0 && !c.Dev {
		return nil, errors.New("a plugin host attaches to programs that are debugged only in development: set Dev")
	}
	if !c.User.own() {
		if err := canBe(c.User); err != nil {
			return nil, err
		}
	}
	var groups *cgroups
	if c.Cgroup != "" {
		var err error
		if groups, err = newCgroups(c.Cgroup); err != nil {
			return nil, err
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	runtimeDir, err := filepath.Abs(c.RuntimeDir)
	if err != nil {
		return nil, fmt.Errorf("find the plugins' runtime folder: %w", err)
	}
	c.RuntimeDir = runtimeDir
	if err := os.MkdirAll(filepath.Join(c.RuntimeDir, recordsDir), 0o700); err != nil {
		return nil, fmt.Errorf("make the plugins' runtime folder: %w", err)
	}
	closeInherited()
	sweep(c.RuntimeDir, c.Logger)
	h := &Host{
		config: c, timing: c.Timing.withDefaults(), log: c.Logger, deadlines: deadlines(), spawn: newSpawner(),
		cgroups: groups, notices: newNotices(), supervisors: map[string]*supervisor{}, canaries: map[string]*canary{}, shards: map[shardKey]*shard{},
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if err := h.Scan(); err != nil {
		h.cancel()
		h.spawn.stop()
		h.notices.stop()
		return nil, err
	}
	return h, nil
}

// Clients speak with a running plugin. Methods of capabilities that it does
// not declare answer Unimplemented.
type Clients struct {
	Provider   pluginv1.ProviderServiceClient
	Webhook    pluginv1.WebhookServiceClient
	Channel    pluginv1.ChannelServiceClient
	Template   pluginv1.TemplateServiceClient
	Voice      pluginv1.VoiceServiceClient
	Call       pluginv1.CallServiceClient
	LeadSource pluginv1.LeadSourceServiceClient
	// Version and PID are those of the process that answers.
	Version string
	PID     int

	process *process
}

// Ended tells why the process ended, for a caller whose call did with
// Unavailable. It waits until that is known, at most as long as ctx; empty says
// that the process goes on, or that ctx was sooner.
func (c *Clients) Ended(ctx context.Context) Cause {
	if c.process == nil {
		return ""
	}
	select {
	case <-c.process.child.done:
		return c.process.bury().Cause
	case <-ctx.Done():
		return ""
	}
}

func newClients(c grpc.ClientConnInterface, version string, pid int) *Clients {
	return &Clients{
		Provider: pluginv1.NewProviderServiceClient(c), Webhook: pluginv1.NewWebhookServiceClient(c),
		Channel: pluginv1.NewChannelServiceClient(c), Template: pluginv1.NewTemplateServiceClient(c),
		Voice: pluginv1.NewVoiceServiceClient(c), Call: pluginv1.NewCallServiceClient(c),
		LeadSource: pluginv1.NewLeadSourceServiceClient(c), Version: version, PID: pid,
	}
}

// Acquire returns clients of a plugin, which it starts if need be, and a
// function to call when the calls made with them have ended: until then the
// process is not replaced under them. It waits for a start under way until ctx
// ends; while the plugin cannot be used it fails at once, with an
// [*ErrUnavailable], so that the caller can keep the work for later. Each call
// gets the deadline of its method unless ctx has a sooner one.
func (h *Host) Acquire(ctx context.Context, plugin string) (*Clients, func(), error) {
	return h.AcquireFor(ctx, plugin, "")
}

// Replace puts a fresh process in place of the running one, for changed
// operator settings or a newly scanned binary, without failing a call: the old
// one ends after its last. If the fresh one does not come up the old one
// stays. It also ends a pause, a quarantine or a refusal.
func (h *Host) Replace(ctx context.Context, plugin string) error {
	s, err := h.supervisor(plugin)
	if err != nil {
		return err
	}
	errs := []error{s.replace(ctx, false)}
	for _, one := range h.shardsOf(plugin) {
		errs = append(errs, one.replace(ctx, false))
	}
	return errors.Join(errs...)
}

// Park stops a plugin that nobody needs for now, after its last call. The next
// Acquire starts it again.
func (h *Host) Park(ctx context.Context, plugin string) error {
	s, err := h.supervisor(plugin)
	if err != nil {
		return err
	}
	return s.park(ctx)
}

// Status tells how a plugin is. It fails with an [*ErrUnavailable] for a
// plugin that is not in the catalogue.
func (h *Host) Status(plugin string) (Status, error) {
	s, err := h.supervisor(plugin)
	if err != nil {
		return Status{}, err
	}
	return s.status(), nil
}

// Statuses tells how all usable plugins are, by name; a canary comes after the
// plugin's own, then the processes of single installations.
func (h *Host) Statuses() []Status {
	h.mu.Lock()
	all := h.all()
	h.mu.Unlock()
	out := make([]Status, 0, len(all))
	for _, s := range all {
		out = append(out, s.status())
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Plugin != out[j].Plugin {
			return out[i].Plugin < out[j].Plugin
		}
		if out[i].Shard != out[j].Shard {
			return out[i].Shard < out[j].Shard
		}
		return !out[i].Canary && out[j].Canary
	})
	return out
}

// all are the supervisors, canaries included. The lock is held.
func (h *Host) all() []*supervisor {
	out := make([]*supervisor, 0, len(h.supervisors)+len(h.canaries))
	for _, s := range h.supervisors {
		out = append(out, s)
	}
	for _, c := range h.canaries {
		out = append(out, c.supervisor)
	}
	for _, s := range h.shards {
		out = append(out, s.supervisor)
	}
	return out
}

// Stop lets go of all plugins at once: no new calls, then the calls under way
// end or ctx does, then the processes leave or are killed. Afterwards no
// process, goroutine or socket is left. It may be called more than once.
func (h *Host) Stop(ctx context.Context) error {
	h.mu.Lock()
	first := !h.stopped
	h.stopped = true
	all := h.all()
	h.mu.Unlock()
	if !first {
		h.work.Wait()
		return nil
	}
	var stops sync.WaitGroup
	for _, s := range all {
		stops.Go(func() { s.stop(ctx) })
	}
	stops.Wait()
	h.cancel()
	h.work.Wait()
	h.spawn.stop()
	h.notices.stop()
	return ctx.Err()
}

// enter counts work that Stop waits for, unless the host is stopping. The
// caller ends it with h.work.Done.
func (h *Host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		h.work.Add(1)
	}
	return !h.stopped
}

// supervisor finds the one of a plugin, or says why there is none.
func (h *Host) supervisor(plugin string) (*supervisor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return nil, &ErrUnavailable{Plugin: plugin, State: StateStopped, Reason: "the plugin host is stopping"}
	}
	if s := h.supervisors[plugin]; s != nil {
		return s, nil
	}
	reason := "there is no such plugin"
	for _, r := range h.catalogue {
		if r.Name == plugin && r.Problem != "" {
			reason = r.Problem
		}
	}
	return nil, &ErrUnavailable{Plugin: plugin, State: StateRefused, Reason: reason}
}
