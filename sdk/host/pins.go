package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Pin says which release of a plugin a host runs.
type Pin struct {
	// SHA256 is the digest of the release's binary, in hex; empty takes what is in
	// the plugin folder.
	SHA256 string
	// Canary is a second release that serves the tenants of CanaryTenants;
	// empty for none.
	Canary        string
	CanaryTenants []string
}

// canary is a release that runs beside the plugin's own.
type canary struct {
	supervisor *supervisor
	sha256     string
	tenants    []string
}

// errRetired says that a supervisor gives no more processes away, because
// another took over; its callers look for that.
var errRetired = errors.New("another process has taken over")

// ReadRelease looks at one release in a store, and starts nothing.
func ReadRelease(store, plugin, sha256 string) Release {
	folder := filepath.Join(store, plugin, sha256)
	r := Look(folder, plugin)
	r.Pinned = true
	switch {
	case r.ManifestJSON == nil:
		r.Problem = fmt.Sprintf("its release %s is not in this node's plugin store; install it here", short(sha256))
	case r.Problem == "" && !strings.EqualFold(r.SHA256, sha256):
		r.Problem = fmt.Sprintf("its binary in the store has checksum %s, not %s; install it anew", short(r.SHA256), short(sha256))
	}
	if r.SHA256 == "" {
		r.SHA256 = sha256
	}
	return r
}

// pins asks for the pins.
func (h *Host) pins() map[string]Pin {
	if h.config.Pins == nil {
		return nil
	}
	return h.config.Pins()
}

// AcquireFor is [Host.Acquire] for a call of a tenant, who may have been chosen
// to try a canary. An empty tenant gets the plugin's own process.
func (h *Host) AcquireFor(ctx context.Context, plugin, tenant string) (*Clients, func(), error) {
	for {
		s, err := h.supervisorFor(plugin, tenant)
		if err != nil {
			return nil, nil, err
		}
		p, err := s.acquire(ctx)
		if errors.Is(err, errRetired) {
			continue // its successor was in place before it retired
		}
		if err != nil {
			return nil, nil, err
		}
		return p.clients, sync.OnceFunc(p.release), nil
	}
}

// supervisorFor finds the one that serves a tenant.
func (h *Host) supervisorFor(plugin, tenant string) (*supervisor, error) {
	h.mu.Lock()
	if c := h.canaries[plugin]; c != nil && tenant != "" && !h.stopped && slices.Contains(c.tenants, tenant) {
		h.mu.Unlock()
		return c.supervisor, nil
	}
	h.mu.Unlock()
	return h.supervisor(plugin)
}

// Upgrade scans, and then brings what runs to what is pinned, without failing a
// call: a new release is started beside the old one, takes over once it has
// come up, and the old one ends after its last call. A release that does not
// come up leaves the old one in place, is told to OnExit, and is an error here;
// calling Upgrade again tries again. Plugins that do not run are started when
// they are needed; canaries at once. What is neither pinned nor in the folder any
// more ends after its last call.
func (h *Host) Upgrade(ctx context.Context) error {
	if !h.enter() {
		return errors.New("the plugin host is stopping")
	}
	defer h.work.Done()
	h.upgrading.Lock()
	defer h.upgrading.Unlock()
	if err := h.Scan(); err != nil {
		return err
	}
	h.endAbsent()
	pins := h.pins()
	var all []error
	for plugin, pin := range pins {
		if pin.Canary != "" && len(pin.CanaryTenants) > 0 {
			all = append(all, h.startCanary(ctx, plugin, pin))
		}
	}
	h.mu.Lock()
	own := make([]*supervisor, 0, len(h.supervisors))
	for _, s := range h.supervisors {
		own = append(own, s)
	}
	h.mu.Unlock()
	var replaced sync.WaitGroup
	failed := make([]error, len(own))
	for i, s := range own {
		replaced.Go(func() { failed[i] = s.replace(ctx, true) })
	}
	replaced.Wait()
	h.endCanaries(pins)
	return errors.Join(append(append(all, failed...), h.upgradeShards(ctx))...)
}

// endAbsent lets go of plugins that the last scan did not find.
func (h *Host) endAbsent() {
	h.mu.Lock()
	var over []*supervisor
	for name, s := range h.supervisors {
		if !slices.ContainsFunc(h.catalogue, func(r Release) bool { return r.Name == name }) {
			delete(h.supervisors, name)
			over = append(over, s)
		}
	}
	h.mu.Unlock()
	for _, s := range over {
		s.retire()
	}
}

// CanaryTenants are those whom a canary of a plugin serves on this host, which
// runs; nil if there is none.
func (h *Host) CanaryTenants(plugin string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.canaries[plugin]; c != nil && !h.stopped {
		return slices.Clone(c.tenants)
	}
	return nil
}

// Outdated reports whether a plugin runs another release than its pin says, or
// a pinned canary does not run.
func (h *Host) Outdated() bool {
	pins := h.pins()
	h.mu.Lock()
	own := make([]*supervisor, 0, len(h.supervisors))
	for _, s := range h.supervisors {
		own = append(own, s)
	}
	missing := false
	for plugin, pin := range pins {
		c := h.canaries[plugin]
		if pin.Canary != "" && len(pin.CanaryTenants) > 0 && (c == nil || c.sha256 != pin.Canary) {
			missing = true
		}
	}
	h.mu.Unlock()
	return missing || slices.ContainsFunc(append(own, h.shardsOf("")...), (*supervisor).outdated)
}

// outdated reports whether what runs is not what should.
func (s *supervisor) outdated() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.current
	return p != nil && p.disk.SHA256 != s.release.SHA256 && (s.release.Pinned || p.disk.Pinned)
}

// startCanary brings a canary up before any tenant is sent to it.
func (h *Host) startCanary(ctx context.Context, plugin string, pin Pin) error {
	h.mu.Lock()
	have := h.canaries[plugin]
	if have != nil && have.sha256 == pin.Canary {
		h.canaries[plugin] = &canary{have.supervisor, have.sha256, slices.Clone(pin.CanaryTenants)}
		h.mu.Unlock()
		return nil
	}
	h.mu.Unlock()
	s := newSupervisor(h, ReadRelease(h.config.Store, plugin, pin.Canary))
	s.canary = true
	p, err := s.acquire(ctx)
	if err != nil {
		s.retire()
		return fmt.Errorf("start the canary %s: %w", short(pin.Canary), err)
	}
	p.release()
	h.mu.Lock()
	stopped := h.stopped
	if !stopped {
		h.canaries[plugin] = &canary{s, pin.Canary, slices.Clone(pin.CanaryTenants)}
	}
	h.mu.Unlock()
	if stopped {
		s.retire()
	} else if have != nil {
		have.supervisor.retire()
	}
	return nil
}

// endCanaries lets go of those that no pin wants any more. One that was made
// the plugin's own release stays until that runs.
func (h *Host) endCanaries(pins map[string]Pin) {
	h.mu.Lock()
	var over []*supervisor
	for plugin, c := range h.canaries {
		pin := pins[plugin]
		if pin.Canary == c.sha256 && len(pin.CanaryTenants) > 0 {
			continue
		}
		if own := h.supervisors[plugin]; pin.SHA256 == c.sha256 && own != nil && own.outdated() {
			continue
		}
		delete(h.canaries, plugin)
		over = append(over, c.supervisor)
	}
	h.mu.Unlock()
	for _, s := range over {
		s.retire()
	}
}

// retire ends a supervisor in the background, its process after the last call.
func (s *supervisor) retire() {
	s.mu.Lock()
	s.stopped, s.retired = true, true
	s.halt()
	p := s.current
	if p != nil {
		s.set(StateDraining, time.Time{}, "another process has taken over")
	}
	s.mu.Unlock()
	if p == nil {
		return
	}
	s.host.work.Go(func() {
		drain, cancel := p.drained(s.host.ctx)
		defer cancel()
		p.retire(drain, s.host.timing.Kill)
	})
}

// drained ends when the calls of a process have had their time: Drain, and
// DrainStreams while a stream is under way.
func (p *process) drained(ctx context.Context) (context.Context, context.CancelFunc) {
	t := p.host.timing
	ctx, cancel := context.WithTimeout(ctx, max(t.Drain, t.DrainStreams))
	calls := time.AfterFunc(t.Drain, func() {
		tick := time.NewTicker(t.Drain/100 + time.Millisecond)
		defer tick.Stop()
		for p.calls.streaming() && ctx.Err() == nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		cancel()
	})
	return ctx, func() { calls.Stop(); cancel() }
}
