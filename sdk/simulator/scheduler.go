package simulator

import (
	"context"
	"sync"
	"time"
)

// Scheduler runs functions later and owns them: Close waits for all that run.
type Scheduler struct {
	ctx    context.Context //nolint:containedctx // it ends what the scheduler started
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	pending map[*time.Timer]struct{}
	running sync.WaitGroup
}

// NewScheduler returns a scheduler with nothing to do.
func NewScheduler() *Scheduler {
	ctx, cancel := context.WithCancel(context.Background())
	return &Scheduler{ctx: ctx, cancel: cancel, pending: map[*time.Timer]struct{}{}}
}

// After runs f once d has passed, in a goroutine of its own. The context ends
// when the scheduler is closed. After Close nothing is run any more.
func (s *Scheduler) After(d time.Duration, f func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(max(d, 0), func() {
		s.mu.Lock()
		// Close may have come between the timer's end and this lock.
		if s.closed {
			s.mu.Unlock()
			return
		}
		delete(s.pending, t)
		s.running.Add(1)
		s.mu.Unlock()
		defer s.running.Done()
		f(s.ctx)
	})
	s.pending[t] = struct{}{}
}

// Idle reports whether nothing waits and nothing is left to start.
func (s *Scheduler) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) == 0
}

// Close forgets what has not started, tells what runs to end, and waits for it.
func (s *Scheduler) Close() {
	s.mu.Lock()
	s.closed = true
	for t := range s.pending {
		t.Stop()
	}
	clear(s.pending)
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
}
