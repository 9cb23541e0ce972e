package host

import (
	"context"
	"time"

	"github.com/stratohub/strato/sdk/pluginv1"
)

// replace puts a fresh process in place; see [Host.Replace] and [Host.Upgrade].
func (s *supervisor) replace(ctx context.Context, onlyOutdated bool) error {
	if !s.host.enter() {
		return &ErrUnavailable{Plugin: s.name, State: StateStopped, Reason: "the plugin host is stopping"}
	}
	defer s.host.work.Done()
	s.replacing.Lock()
	defer s.replacing.Unlock()
	if err := s.settle(ctx); err != nil {
		return err
	}
	if onlyOutdated && !s.outdated() {
		return nil
	}
	s.mu.Lock()
	old, r := s.current, s.release
	if old == nil {
		if r.Problem == "" && !s.stopped {
			s.fresh()
		}
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	if r.Problem != "" {
		return &ErrUnavailable{Plugin: s.name, State: StateRefused, Reason: r.Problem}
	}
	launched, cancel := context.WithCancel(s.host.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	p, err := s.host.launch(launched, s, r)
	if err != nil {
		if launched.Err() == nil {
			s.mu.Lock()
			s.tell(s.notUp(r, err))
			s.mu.Unlock()
		}
		return &ErrUnavailable{Plugin: s.name, State: StateReady, Reason: "the new process did not come up, the old one stays: " + err.Error(), cause: ctx.Err()}
	}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		p.discard()
		return &ErrUnavailable{Plugin: s.name, State: StateStopped, Reason: "the plugin host is stopping"}
	}
	// The old one may have ended meanwhile; then a restart may even be planned.
	s.halt()
	if s.starting != nil {
		s.mu.Unlock()
		p.discard()
		return nil
	}
	s.recent, s.elsewhere, s.attempt, s.probing = nil, nil, 0, false
	s.running(p, StartReplace)
	s.mu.Unlock()
	s.host.work.Go(func() {
		drain, cancel := old.drained(s.host.ctx)
		defer cancel()
		old.retire(drain, s.host.timing.Kill)
	})
	return nil
}

// settle waits until no start is under way.
func (s *supervisor) settle(ctx context.Context) error {
	for {
		s.mu.Lock()
		started := s.starting
		s.mu.Unlock()
		if started == nil {
			return nil
		}
		select {
		case <-started:
		case <-ctx.Done():
			return &ErrUnavailable{Plugin: s.name, State: StateStarting, cause: ctx.Err()}
		}
	}
}

// park stops the process after its last call.
func (s *supervisor) park(ctx context.Context) error {
	s.replacing.Lock()
	defer s.replacing.Unlock()
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	p := s.current
	if p == nil {
		// A planned restart is not wanted either; a quarantine stays one.
		if s.state == StateBackoff {
			s.halt()
			s.set(StateStopped, time.Time{}, "")
		}
		s.mu.Unlock()
		return nil
	}
	s.set(StateDraining, time.Time{}, "")
	s.mu.Unlock()
	p.retire(ctx, s.host.timing.Kill)
	return ctx.Err()
}

// stop ends the process for good; the watchers of all processes end with it.
func (s *supervisor) stop(ctx context.Context) {
	s.mu.Lock()
	s.stopped = true
	s.halt()
	p := s.current
	if p != nil {
		s.set(StateDraining, time.Time{}, "the host is stopping")
	}
	s.mu.Unlock()
	if p != nil {
		p.retire(ctx, s.host.timing.Kill)
	}
}

// retire lets a process go: no new calls are given to it by now; it is told,
// its last calls end or ctx does, it leaves by itself or is killed.
func (p *process) retire(ctx context.Context, kill time.Duration) {
	p.letGo.Store(true)
	asked, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// A process that does not answer is ended all the same.
	_, _ = p.clients.Provider.Drain(asked, &pluginv1.DrainRequest{})
	select {
	case <-p.idle():
	case <-p.child.done:
	case <-ctx.Done():
	}
	p.end(kill)
}

// discard ends a process that came up for nothing.
func (p *process) discard() {
	p.letGo.Store(true)
	p.end(0)
	p.bury()
}

// end lets the process leave for as long as it may, then kills its group, and
// returns when it is gone.
func (p *process) end(grace time.Duration) {
	p.child.letGo()
	if grace > 0 {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-p.child.done:
			return
		case <-t.C:
		}
	}
	p.child.kill()
	<-p.child.done
}

// gone reports whether the process has ended.
func (p *process) gone() bool {
	select {
	case <-p.child.done:
		return true
	default:
		return false
	}
}

// use counts a use of the process; the supervisor's lock is held.
func (p *process) use() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refs++
}

// release ends a use.
func (p *process) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refs--
	if p.refs == 0 && p.unused != nil {
		close(p.unused)
		p.unused = nil
	}
}

// idle is closed when nobody uses the process. It is for one that gets no new users.
func (p *process) idle() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := make(chan struct{})
	if p.refs == 0 {
		close(c)
		return c
	}
	if p.unused == nil {
		p.unused = c
	}
	return p.unused
}
