package host

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/stratohub/strato/sdk/internal/redact"
)

// rememberSecrets is of how many installations a plugin's secrets are masked.
const rememberSecrets = 2048

// supervisor watches over one plugin. Its lock is never held while something
// outside is waited for.
type supervisor struct {
	host    *Host
	name    string
	secrets *redact.Set
	// replacing lets one Replace or Park through at a time.
	replacing sync.Mutex

	mu       sync.Mutex
	release  Release
	state    State
	since    time.Time
	until    time.Time
	reason   string
	current  *process
	starting chan struct{} // closed when the start under way ends; nil if none
	timer    *time.Timer   // ends a pause; nil if none
	stopped  bool
	shard    string // the installation that has it for itself
	canary   bool   // runs beside the plugin's own, for chosen tenants
	retired  bool   // another supervisor has taken over

	starts, exits int
	startsBy      map[StartReason]int
	exitsBy       map[Cause]int
	reasoned      StartReason // of the start under way
	recent        []time.Time // unexpected exits within the quarantine's window
	elsewhere     []time.Time // those of other nodes and of earlier hosts
	attempt       int         // restarts since the last long life
	probing       bool        // came out of quarantine and has not lived long since
}

func newSupervisor(h *Host, r Release) *supervisor {
	return &supervisor{host: h, name: r.Name, release: r, since: time.Now(), secrets: redact.NewSet(rememberSecrets),
		startsBy: map[StartReason]int{}, exitsBy: map[Cause]int{}}
}

// set changes the state and tells. The lock is held.
func (s *supervisor) set(state State, until time.Time, reason string) {
	s.state, s.since, s.until, s.reason = state, time.Now(), until, reason
	if tell := s.host.config.OnState; tell != nil {
		now := s.statusLocked()
		s.host.notices.add(func() { tell(now) })
	}
}

// rescanned takes what a new scan found. Something else on disk is a reason to
// forget a refusal or a quarantine.
func (s *supervisor) rescanned(r Release) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := !r.same(s.release)
	s.release = r
	if changed {
		s.elsewhere = nil
	}
	switch {
	case s.stopped || s.current != nil || s.state == StateStarting:
	case r.Problem != "":
		s.halt()
		s.set(StateRefused, time.Time{}, r.Problem)
	case s.state == StateRefused, changed && (s.state == StateQuarantined || s.state == StateBackoff):
		s.fresh()
	}
}

// fresh forgets what went wrong. The lock is held.
func (s *supervisor) fresh() {
	s.halt()
	s.recent, s.elsewhere, s.attempt, s.probing = nil, nil, 0, false
	s.set(StateStopped, time.Time{}, "")
}

// halt takes back a planned start. The lock is held.
func (s *supervisor) halt() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// acquire returns the running process with one use counted, starting it if need be.
func (s *supervisor) acquire(ctx context.Context) (*process, error) {
	for {
		s.mu.Lock()
		if s.stopped {
			retired := s.retired
			s.mu.Unlock()
			if retired {
				return nil, errRetired
			}
			return nil, &ErrUnavailable{Plugin: s.name, State: StateStopped, Reason: "the plugin host is stopping"}
		}
		switch s.state {
		case StateReady:
			p := s.current
			if p.gone() {
				s.mu.Unlock()
				// What follows is decided in a moment; nothing was sent.
				return nil, &ErrUnavailable{Plugin: s.name, State: StateBackoff, Reason: "its process just ended"}
			}
			p.use()
			s.mu.Unlock()
			return p, nil
		case StateStopped:
			s.begin()
		case StateStarting:
		default:
			err := s.unavailable(nil)
			s.mu.Unlock()
			return nil, err
		}
		started := s.starting
		s.mu.Unlock()
		select {
		case <-started:
		case <-ctx.Done():
			s.mu.Lock()
			err := s.unavailable(ctx.Err())
			s.mu.Unlock()
			return nil, err
		}
	}
}

// unavailable describes the state. The lock is held.
func (s *supervisor) unavailable(cause error) error {
	return &ErrUnavailable{Plugin: s.name, State: s.state, Until: s.until, Reason: s.reason, cause: cause}
}

// begin starts the process in the background. The lock is held.
func (s *supervisor) begin() {
	s.halt()
	switch s.state {
	case StateBackoff:
		s.reasoned = StartRestart
	case StateQuarantined:
		s.reasoned = StartProbe
	default:
		s.reasoned = StartNeeded
	}
	s.starting = make(chan struct{})
	s.set(StateStarting, time.Time{}, s.reason)
	r := s.release
	s.host.work.Go(func() {
		p, err := s.host.launch(s.host.ctx, s, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil && s.stopped {
			p.discard()
			err = context.Canceled
		}
		close(s.starting)
		s.starting = nil
		switch {
		case err == nil:
			s.running(p, s.reasoned)
		case !s.stopped && !s.release.same(r):
			// What failed is not what should run any more, and says nothing of that.
			if s.fresh(); s.release.Problem != "" {
				s.set(StateRefused, time.Time{}, s.release.Problem)
			}
			s.tell(s.notUp(r, err))
		default:
			s.notStarted(err)
		}
	})
}

// running puts a process that came up in place. The lock is held.
func (s *supervisor) running(p *process, why StartReason) {
	s.starts++
	s.startsBy[why]++
	s.current = p
	s.set(StateReady, time.Time{}, "")
	s.host.work.Go(func() { s.watch(p) })
	if !p.attached {
		s.host.work.Go(func() { p.healthLoop(s.host.timing) })
	}
}

// notStarted decides what follows a start that failed. The lock is held.
func (s *supervisor) notStarted(err error) {
	var refused *refusal
	var failed *startFailure
	switch {
	case s.stopped || s.host.ctx.Err() != nil:
		s.set(StateStopped, time.Time{}, "")
	case errors.As(err, &refused):
		s.host.log.Error("a plugin was refused", "plugin", s.name, "reason", refused.reason)
		s.set(StateRefused, time.Time{}, refused.reason)
		s.tell(s.notUp(s.release, err))
	case errors.As(err, &failed):
		s.ended(failed.incident)
	default:
		s.ended(s.notUp(s.release, err))
	}
}

// watch waits for the end of a process.
func (s *supervisor) watch(p *process) {
	<-p.child.done
	incident := p.bury()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != p {
		return // replaced: whoever did that waits for its end
	}
	s.current = nil
	if p.letGo.Load() {
		s.set(StateStopped, time.Time{}, "")
		return
	}
	if time.Since(p.startedAt) >= s.host.timing.ResetAfter {
		s.attempt, s.probing = 0, false
	}
	s.ended(incident)
}

// ended counts an unexpected end and plans the next start. The lock is held.
func (s *supervisor) ended(i Incident) {
	t, now := s.host.timing, time.Now()
	s.exits++
	s.exitsBy[i.Cause]++
	s.recent = append(s.recent, now)
	i.RecentExits = s.recentExits(now)
	if i.RecentExits >= t.QuarantineExits || s.probing {
		s.quarantine(now.Add(t.ProbeEvery), "it keeps ending: "+i.Summary())
	} else {
		pause := jitter(t.BackoffMin, t.BackoffMax, s.attempt)
		s.attempt++
		s.set(StateBackoff, now.Add(pause), "it ended unexpectedly: "+i.Summary())
		s.plan(pause)
	}
	s.host.log.Error("a plugin ended unexpectedly", "plugin", s.name, "version", i.Version, "pid", i.PID,
		"cause", string(i.Cause), "detail", i.Summary(), "uptime", i.Uptime.String(), "next", s.state.String())
	s.tell(i)
}

// recentExits counts the unexpected exits within the quarantine's window, on
// all nodes. The lock is held.
func (s *supervisor) recentExits(now time.Time) int {
	old := func(at time.Time) bool { return now.Sub(at) > s.host.timing.QuarantineWindow }
	s.recent, s.elsewhere = slices.DeleteFunc(s.recent, old), slices.DeleteFunc(s.elsewhere, old)
	return len(s.recent) + len(s.elsewhere)
}

// tell reports an incident with what follows it. The lock is held.
func (s *supervisor) tell(i Incident) {
	i.Canary, i.Shard, i.Next, i.Until = s.canary, s.shard, s.state, s.until
	if tell := s.host.config.OnExit; tell != nil {
		s.host.notices.add(func() { tell(i) })
	}
}

// notUp is the incident of a release of which no process came up.
func (s *supervisor) notUp(r Release, err error) Incident {
	if failed, ok := errors.AsType[*startFailure](err); ok {
		return failed.incident
	}
	i := Incident{Plugin: s.name, SHA256: r.SHA256, Cause: CauseStart, Detail: err.Error(), At: time.Now()}
	if r.Manifest != nil {
		i.Version = r.Manifest.Version
	}
	if _, ok := errors.AsType[*refusal](err); ok {
		i.Cause = CauseRefused
	}
	return i
}

// plan starts the process after a pause. The lock is held.
func (s *supervisor) plan(pause time.Duration) {
	s.halt()
	var mine *time.Timer
	mine = time.AfterFunc(pause, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.timer == mine && !s.stopped {
			s.begin()
		}
	})
	s.timer = mine
}

// jitter draws a pause between zero and a bound that doubles with each attempt.
func jitter(least, most time.Duration, attempt int) time.Duration {
	bound := most
	if attempt < 30 && least<<attempt < most {
		bound = least << attempt
	}
	return time.Duration(rand.Int64N(int64(bound) + 1)) //nolint:gosec // spreads load, keeps no secret
}

func (s *supervisor) status() Status {
	s.mu.Lock()
	st := s.statusLocked()
	s.mu.Unlock()
	if st.PID != 0 {
		st.RSS, st.CPU = residentMemory(st.PID), processorTime(st.PID)
	}
	return st
}

// statusLocked leaves out what must be asked of the system. The lock is held.
func (s *supervisor) statusLocked() Status {
	st := Status{
		Plugin: s.name, Canary: s.canary, Shard: s.shard, SHA256: s.release.SHA256, State: s.state, Since: s.since, Until: s.until, Reason: s.reason,
		Starts: s.starts, Exits: s.exits, StartsBy: maps.Clone(s.startsBy), ExitsBy: maps.Clone(s.exitsBy),
	}
	if s.release.Manifest != nil {
		st.Version = s.release.Manifest.Version
	}
	if p := s.current; p != nil {
		st.Version, st.SHA256 = p.disk.Manifest.Version, p.disk.SHA256
		st.PID, st.StartedAt, st.InFlight = p.child.pid, p.startedAt, p.calls.count()
		st.Startup, st.Instances = p.startup, int(p.instances.Load())
	}
	return st
}
