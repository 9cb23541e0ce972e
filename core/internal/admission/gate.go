package admission

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxWaiting is how many calls of one plugin wait for their turn.
	maxWaiting = 256
	// patience is how long a call waits, for its turn or for a rate limit.
	patience = 500 * time.Millisecond
)

// gate lets calls of one plugin through: so many at once, so many of them of one
// tenant and class. Who waits is let in first come first served within a tenant
// and class, and these take turns, so that a tenant that asks for a lot waits
// for itself alone.
type gate struct {
	mu      sync.Mutex
	limits  Limits
	running int
	waiting int
	lanes   map[laneKey]*lane
	turns   []*lane // lanes in which somebody waits
}

// laneKey is whose calls wait for each other. Calls of no tenant share one.
type laneKey struct {
	tenant string
	class  Class
}

type lane struct {
	key     laneKey
	most    int // at once; 0 for as many as the gate takes
	running int
	queue   []*waiter
}

// waiter is a call that waits; in is closed when it may go.
type waiter struct{ in chan struct{} }

func newGate() *gate { return &gate{lanes: map[laneKey]*lane{}} }

// enter waits for a call's turn. Its lane is to be left when the call has ended.
func (g *gate) enter(ctx context.Context, key laneKey, l Limits) (*lane, error) {
	g.mu.Lock()
	g.limits = l
	in := g.lanes[key]
	if in == nil {
		in = &lane{key: key}
		g.lanes[key] = in
	}
	in.most = l.of(key)
	if len(in.queue) == 0 && g.admits(in) {
		g.take(in)
		g.mu.Unlock()
		return in, nil
	}
	if g.waiting >= maxWaiting {
		g.forget(in)
		g.mu.Unlock()
		return nil, &Refused{Reason: ReasonFull, After: time.Second}
	}
	w := &waiter{make(chan struct{})}
	if in.queue = append(in.queue, w); len(in.queue) == 1 {
		g.turns = append(g.turns, in)
	}
	g.waiting++
	g.mu.Unlock()
	return in, g.await(ctx, in, w)
}

// await returns when the waiter may go, or gives up.
func (g *gate) await(ctx context.Context, in *lane, w *waiter) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-w.in:
		return nil
	case <-late.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(in.queue, w)
	if i < 0 {
		return nil // let in at the last moment
	}
	in.queue = slices.Delete(in.queue, i, i+1)
	g.waiting--
	if len(in.queue) == 0 {
		g.turns = slices.DeleteFunc(g.turns, func(l *lane) bool { return l == in })
	}
	g.forget(in)
	return &Refused{Reason: ReasonLate, After: time.Second, cause: ctx.Err()}
}

// leave ends a call, and lets in who may go now.
func (g *gate) leave(in *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	in.running--
	g.forget(in)
	for g.running < g.limits.InFlight {
		i := slices.IndexFunc(g.turns, g.admits)
		if i < 0 {
			return
		}
		next := g.turns[i]
		g.turns = slices.Delete(g.turns, i, i+1)
		close(next.queue[0].in)
		next.queue = next.queue[1:]
		g.waiting--
		g.take(next)
		if len(next.queue) > 0 {
			g.turns = append(g.turns, next) // behind the others
		}
	}
}

// admits reports whether a call of the lane may go. The lock is held.
func (g *gate) admits(l *lane) bool {
	return g.running < g.limits.InFlight && (l.most == 0 || l.running < l.most)
}

// take counts a call. The lock is held.
func (g *gate) take(l *lane) {
	g.running++
	l.running++
}

// forget drops a lane that nobody uses. The lock is held.
func (g *gate) forget(l *lane) {
	if l.running == 0 && len(l.queue) == 0 && g.lanes[l.key] == l {
		delete(g.lanes, l.key)
	}
}
