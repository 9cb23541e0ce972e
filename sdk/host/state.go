package host

import (
	"fmt"
	"time"
)

// State of a plugin on this host.
type State int

// The states. Backoff and Quarantined end by themselves; Refused ends with
// [Host.Scan] or [Host.Replace].
const (
	// StateStopped: not running; the next Acquire starts it.
	StateStopped State = iota
	// StateStarting: coming up.
	StateStarting
	// StateReady: answering calls.
	StateReady
	// StateDraining: waiting for its last calls.
	StateDraining
	// StateBackoff: it ended unexpectedly and will be started again.
	StateBackoff
	// StateQuarantined: it ended too often; it is only probed now and then.
	StateQuarantined
	// StateRefused: what is on disk may not run.
	StateRefused
)

// String returns the state's name, fit for a metric label.
func (s State) String() string {
	names := [...]string{"stopped", "starting", "ready", "draining", "backoff", "quarantined", "refused"}
	if s < 0 || int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// Status is how a plugin is at one moment.
type Status struct {
	Plugin string
	// Canary is true of the process that runs beside the plugin's own for chosen
	// tenants; see [Pin].
	Canary bool
	// Shard names the installation that has the process for itself; empty for
	// those that are shared.
	Shard string
	// Version and SHA256 are those of the running process, or of what would be started.
	Version, SHA256 string
	State           State
	// Since is when the state began; Until when it is reviewed, zero if that
	// does not depend on time.
	Since, Until time.Time
	// Reason says why the plugin is not ready, in words for the operator.
	Reason string
	// PID is 0, and what follows it zero, while no process runs.
	PID       int
	StartedAt time.Time
	// RSS is the resident memory in bytes; zero where the system does not tell.
	RSS int64
	// CPU is the processor time that the process has used; zero where the system
	// does not tell.
	CPU time.Duration
	// Startup is what the process took to come up.
	Startup time.Duration
	// Instances is how many installations the process holds something of, as it
	// last said when it was asked how it is.
	Instances int
	// InFlight counts calls under way.
	InFlight int
	// Starts and Exits count since the host was made; Exits only unexpected ones.
	Starts, Exits int
	// StartsBy and ExitsBy count them by reason and cause. They are the receiver's.
	StartsBy map[StartReason]int
	ExitsBy  map[Cause]int
}

// StartReason is why a process was started, from a closed set fit for a metric
// label.
type StartReason string

// The reasons.
const (
	// StartNeeded: a call needed it.
	StartNeeded StartReason = "needed"
	// StartRestart: the one before ended unexpectedly.
	StartRestart StartReason = "restart"
	// StartProbe: a quarantined plugin is tried again.
	StartProbe StartReason = "probe"
	// StartReplace: it took the place of one that ran.
	StartReplace StartReason = "replace"
)

// ErrUnavailable says that a plugin cannot be used now. Callers find it with
// errors.As and keep the work for later.
type ErrUnavailable struct {
	Plugin string
	State  State
	// Until is when the state is reviewed; zero if that does not depend on time.
	Until time.Time
	// Reason is for the operator.
	Reason string
	cause  error
}

// Error implements error.
func (e *ErrUnavailable) Error() string {
	s := fmt.Sprintf("plugin %s is %s", e.Plugin, e.State)
	if !e.Until.IsZero() {
		s += " until " + e.Until.UTC().Format(time.RFC3339)
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// Unwrap returns the end of the caller's context, if that ended the wait for a start.
func (e *ErrUnavailable) Unwrap() error { return e.cause }
