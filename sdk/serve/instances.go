package serve

import (
	"container/list"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/stratohub/strato/sdk"
)

// Limits of the cache of instances.
const (
	defaultIdleTTL      = 30 * time.Minute
	defaultMaxInstances = 10_000
	buildTimeout        = 2 * time.Second
	failureTTL          = time.Second
)

// instances keeps one instance for each installation, of its newest revision.
// A newer revision replaces it; the old one is closed when its last call has
// ended. Any number of goroutines may use it.
type instances[T any] struct {
	build func(context.Context, sdk.Installation) (T, error)
	log   *slog.Logger
	now   func() time.Time
	ttl   time.Duration
	limit int

	mu      sync.Mutex
	entries map[string]*entry[T]
	recent  *list.List // of *entry, the one used last in front
	closed  bool
	stats   cacheStats
	pending sync.WaitGroup // builds and closes under way
}

// cacheStats count since the start.
type cacheStats struct{ Built, Failed, Late, Evicted uint64 }

// entry is an installation. It is guarded by the cache's lock.
type entry[T any] struct {
	id      string
	at      *list.Element
	used    time.Time
	current *instance[T]
	flight  *flight
	failure struct {
		revision uint64
		err      error
		until    time.Time
	}
}

// instance is one value of T with the calls that use it.
type instance[T any] struct {
	value    T
	revision uint64
	refs     int
	retired  bool
}

// flight is a build under way.
type flight struct {
	revision uint64
	done     chan struct{}
}

func newInstances[T any](build func(context.Context, sdk.Installation) (T, error), log *slog.Logger) *instances[T] {
	return &instances[T]{
		build: build, log: log, now: time.Now, ttl: defaultIdleTTL, limit: defaultMaxInstances,
		entries: map[string]*entry[T]{}, recent: list.New(),
	}
}

// acquire returns the instance for i and a function that ends its use. An
// older revision than the newest known gets the newest: it was sent before a
// change of settings that this process has seen already.
func (c *instances[T]) acquire(ctx context.Context, i sdk.Installation) (T, func(), error) {
	var none T
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return none, nil, errStopping
		}
		e := c.touch(i.ID)
		if in := e.current; in != nil && in.revision >= i.Revision {
			if in.revision > i.Revision {
				c.stats.Late++
			}
			in.refs++
			c.mu.Unlock()
			return in.value, sync.OnceFunc(func() { c.release(in) }), nil
		}
		if e.failure.err != nil && e.failure.revision == i.Revision && c.now().Before(e.failure.until) {
			err := e.failure.err
			c.mu.Unlock()
			return none, nil, err
		}
		if e.flight == nil {
			e.flight = &flight{revision: i.Revision, done: make(chan struct{})}
			c.pending.Go(func() { c.fly(context.WithoutCancel(ctx), e, e.flight, i) })
		}
		f := e.flight
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return none, nil, ctx.Err()
		}
	}
}

// touch finds or makes the entry and marks it used. The lock is held.
func (c *instances[T]) touch(id string) *entry[T] {
	e := c.entries[id]
	if e == nil {
		e = &entry[T]{id: id}
		e.at = c.recent.PushFront(e)
		c.entries[id] = e
		c.evict(len(c.entries) - c.limit)
	}
	c.recent.MoveToFront(e.at)
	e.used = c.now()
	return e
}

// fly builds one instance and puts it in place. It belongs to no caller, so
// that one caller's end does not fail the others.
func (c *instances[T]) fly(ctx context.Context, e *entry[T], f *flight, i sdk.Installation) {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	value, err := c.safeBuild(ctx, i)

	c.mu.Lock()
	defer c.mu.Unlock()
	e.flight = nil
	close(f.done)
	if err != nil {
		c.stats.Failed++
		e.failure.revision, e.failure.err, e.failure.until = i.Revision, err, c.now().Add(failureTTL)
		return
	}
	c.stats.Built++
	e.failure.err = nil
	fresh := &instance[T]{value: value, revision: i.Revision}
	if c.closed || c.entries[e.id] != e {
		c.retire(fresh) // forgotten or evicted meanwhile: the next call builds anew
		return
	}
	old := e.current
	e.current = fresh
	c.retire(old)
}

func (c *instances[T]) safeBuild(ctx context.Context, i sdk.Installation) (value T, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("the plugin crashed while making an instance", "installation", i.ID, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = errCrashed
		}
	}()
	return c.build(ctx, i)
}

func (c *instances[T]) release(in *instance[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in.refs--
	if in.retired && in.refs == 0 {
		c.shut(in)
	}
}

// retire takes an instance out of use; it is closed when no call is left. The lock is held.
func (c *instances[T]) retire(in *instance[T]) {
	if in == nil || in.retired {
		return
	}
	in.retired = true
	if in.refs == 0 {
		c.shut(in)
	}
}

// shut closes an instance outside of the lock.
func (c *instances[T]) shut(in *instance[T]) {
	closer, ok := any(in.value).(sdk.Closer)
	if !ok {
		return
	}
	c.pending.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				c.log.Error("the plugin crashed while closing an instance", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			}
		}()
		if err := closer.Close(); err != nil {
			c.log.Warn("an instance did not close well", "error", err)
		}
	})
}

// evict drops the n entries that were not used for longest. The lock is held.
func (c *instances[T]) evict(n int) {
	for ; n > 0; n-- {
		c.stats.Evicted++
		c.drop(c.recent.Back().Value.(*entry[T]))
	}
}

// drop takes an entry out. The lock is held.
func (c *instances[T]) drop(e *entry[T]) {
	delete(c.entries, e.id)
	c.recent.Remove(e.at)
	c.retire(e.current)
}

// sweep drops what was idle for longer than the TTL.
func (c *instances[T]) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for back := c.recent.Back(); back != nil; back = c.recent.Back() {
		e := back.Value.(*entry[T])
		if c.now().Sub(e.used) < c.ttl || e.current != nil && e.current.refs > 0 {
			return
		}
		c.stats.Evicted++
		c.drop(e)
	}
}

// forget drops an installation.
func (c *instances[T]) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[id]; e != nil {
		c.drop(e)
	}
}

// configure changes the limits, of which zero keeps what is, and returns for
// how long an unused instance is kept.
func (c *instances[T]) configure(ttl time.Duration, limit int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ttl > 0 {
		c.ttl = ttl
	}
	if limit > 0 {
		c.limit = limit
	}
	return c.ttl
}

// clear drops all installations.
func (c *instances[T]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict(len(c.entries))
}

// size returns how many installations are held, and the counters.
func (c *instances[T]) size() (int, cacheStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries), c.stats
}

// close drops everything and waits until builds and closes have ended, or ctx has.
func (c *instances[T]) close(ctx context.Context) {
	c.mu.Lock()
	c.closed = true
	c.evict(len(c.entries))
	c.mu.Unlock()
	done := make(chan struct{})
	go func() { c.pending.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
