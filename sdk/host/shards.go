package host

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shardKey names a process that one installation has for itself.
type shardKey struct{ plugin, shard string }

// shard is such a process: the same program, started apart.
type shard struct {
	supervisor *supervisor
	tenant     string
	used       atomic.Int64 // when it was last asked for, in Unix nanoseconds
}

// AcquireShard is [Host.AcquireFor] with a process that the shard, an
// installation's id, has for itself. It is started when it is first asked for,
// runs what its tenant's shared process would, and ends when nobody has asked
// for a while. An empty shard gets the shared process, and so does a program
// that is debugged.
func (h *Host) AcquireShard(ctx context.Context, plugin, tenant, name string) (*Clients, func(), error) {
	if _, debugged := h.config.Reattach[plugin]; name == "" || debugged {
		return h.AcquireFor(ctx, plugin, tenant)
	}
	for {
		one, err := h.shard(shardKey{plugin, name}, tenant)
		if err != nil {
			return nil, nil, err
		}
		one.used.Store(time.Now().UnixNano())
		p, err := one.supervisor.acquire(ctx)
		if errors.Is(err, errRetired) {
			continue // it was let go while nobody needed it
		}
		if err != nil {
			return nil, nil, err
		}
		return p.clients, sync.OnceFunc(func() {
			one.used.Store(time.Now().UnixNano())
			p.release()
		}), nil
	}
}

// shard finds or makes one.
func (h *Host) shard(key shardKey, tenant string) (*shard, error) {
	shared, err := h.supervisorFor(key.plugin, tenant)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return nil, &ErrUnavailable{Plugin: key.plugin, State: StateStopped, Reason: "the plugin host is stopping"}
	}
	if one := h.shards[key]; one != nil {
		return one, nil
	}
	one := &shard{supervisor: newSupervisor(h, shared.wanted()), tenant: tenant}
	one.supervisor.shard = key.shard
	one.used.Store(time.Now().UnixNano())
	if len(h.shards) == 0 {
		h.work.Go(h.endIdleShards)
	}
	h.shards[key] = one
	return one, nil
}

// wanted is the release that a supervisor would start.
func (s *supervisor) wanted() Release {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.release
}

// busy reports whether somebody uses the process or waits for it.
func (s *supervisor) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return s.starting != nil
	}
	s.current.mu.Lock()
	defer s.current.mu.Unlock()
	return s.current.refs > 0
}

// shardsOf are the supervisors of a plugin's shards, of all plugins for an empty
// name.
func (h *Host) shardsOf(plugin string) []*supervisor {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*supervisor
	for key, one := range h.shards {
		if plugin == "" || key.plugin == plugin {
			out = append(out, one.supervisor)
		}
	}
	return out
}

// endIdleShards lets go of shards that nobody uses, until there are none.
func (h *Host) endIdleShards() {
	tick := time.NewTicker(max(h.timing.ShardIdle/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		h.mu.Lock()
		var over []*supervisor
		for key, one := range h.shards {
			if time.Since(time.Unix(0, one.used.Load())) > h.timing.ShardIdle && !one.supervisor.busy() {
				delete(h.shards, key)
				over = append(over, one.supervisor)
			}
		}
		last := len(h.shards) == 0
		h.mu.Unlock()
		for _, s := range over {
			s.retire()
		}
		if last {
			return // the next shard begins anew
		}
	}
}

// upgradeShards brings the shards to what their tenants' shared processes run.
func (h *Host) upgradeShards(ctx context.Context) error {
	h.mu.Lock()
	type pair struct {
		key shardKey
		one *shard
	}
	var all []pair
	for key, one := range h.shards {
		all = append(all, pair{key, one})
	}
	h.mu.Unlock()
	var replaced sync.WaitGroup
	errs := make([]error, len(all))
	for i, p := range slices.All(all) {
		shared, err := h.supervisorFor(p.key.plugin, p.one.tenant)
		if err != nil {
			continue // the plugin is gone; its shards end as nobody asks for them
		}
		p.one.supervisor.rescanned(shared.wanted())
		replaced.Go(func() { errs[i] = p.one.supervisor.replace(ctx, true) })
	}
	replaced.Wait()
	return errors.Join(errs...)
}
