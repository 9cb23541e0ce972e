package host

import "time"

// History is what is known of a release from elsewhere: from other nodes, and
// from hosts that ran here before.
type History struct {
	Plugin, SHA256 string
	// Exits are unexpected ends that this host did not see itself. Those older
	// than the quarantine's window do not count.
	Exits []time.Time
	// Until is when a quarantine that an earlier host began is reviewed, and
	// Reason why it began; zero for none.
	Until  time.Time
	Reason string
}

// Remember takes a history in place of what was told before of the same
// release. Exits count towards the quarantine as if they had been here; a
// process that runs goes on until it ends itself. A history of a release that
// is not the plugin's now is left out.
func (h *Host) Remember(past History) {
	h.mu.Lock()
	all := h.all()
	h.mu.Unlock()
	for _, s := range all {
		if s.name == past.Plugin && s.shard == "" {
			s.remember(past)
		}
	}
}

func (s *supervisor) remember(past History) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.release.SHA256 != past.SHA256 {
		return
	}
	now := time.Now()
	s.elsewhere = append([]time.Time(nil), past.Exits...)
	count := s.recentExits(now)
	idle := !s.stopped && s.current == nil && s.starting == nil && (s.state == StateStopped || s.state == StateBackoff)
	if !idle || s.probing {
		return
	}
	switch {
	case past.Until.After(now):
		s.quarantine(past.Until, past.Reason)
	case !past.Until.IsZero():
		s.probing = true // the next start is its probe
	case count >= s.host.timing.QuarantineExits:
		s.quarantine(now.Add(s.host.timing.ProbeEvery), "it keeps ending, on all nodes together")
	}
}

// quarantine begins one. The lock is held.
func (s *supervisor) quarantine(until time.Time, reason string) {
	s.probing = true
	s.set(StateQuarantined, until, reason)
	s.plan(time.Until(until))
}
