package host

import (
	"fmt"
	"syscall"
	"time"
)

// Cause is why a process ended, from a closed set fit for a metric label.
type Cause string

// The causes.
const (
	// CauseExit: it left with an exit code.
	CauseExit Cause = "exit"
	// CauseCrash: a panic or a fatal error of the Go runtime.
	CauseCrash Cause = "crash"
	// CauseMemory: it ran into its memory limit.
	CauseMemory Cause = "memory"
	// CauseSignal: somebody killed it.
	CauseSignal Cause = "signal"
	// CauseHung: it did not answer health checks, and was killed.
	CauseHung Cause = "hung"
	// CauseStart: it did not come up.
	CauseStart Cause = "start"
	// CauseRefused: what is on disk may not run, and trying again would not help.
	CauseRefused Cause = "refused"
)

// Incident is the unexpected end of a process. It holds no secret that the
// host ever passed to the plugin.
type Incident struct {
	Plugin, Version string
	// SHA256 is the binary's digest in hex.
	SHA256 string
	// Canary is true for the process that ran for chosen tenants only.
	Canary bool
	// Shard names the installation that had the process for itself.
	Shard string
	PID   int
	At    time.Time
	Cause Cause
	// ExitCode is -1 if a signal ended the process, whose name is Signal.
	ExitCode int
	Signal   string
	// Detail says more of a failed start.
	Detail string
	Uptime time.Duration
	// MaxRSS is the most memory that was resident, in bytes; zero if unknown.
	MaxRSS int64
	// Stderr has the last lines that the process wrote, at most 200; of a crash
	// the beginning.
	Stderr []string
	// InFlight has the calls that were under way: two incidents with the same
	// one point at a poisonous request.
	InFlight []CallInFlight
	// RecentExits counts the ends within the quarantine's window, this one and
	// those that [Host.Remember] told of included. Next and Until are what the
	// host decided; Next is StateReady when this was to replace a process that
	// stays.
	RecentExits int
	Next        State
	Until       time.Time
}

// Summary is the incident in a few words.
func (i Incident) Summary() string {
	switch i.Cause {
	case CauseStart:
		return "it did not start: " + i.Detail
	case CauseRefused:
		return "it may not run: " + i.Detail
	case CauseHung:
		return "it did not answer health checks and was killed"
	case CauseMemory:
		return "it ran out of its memory"
	case CauseSignal:
		if i.Signal == syscall.SIGKILL.String() {
			return "it was killed, perhaps because memory ran out"
		}
		return "it was ended by signal: " + i.Signal
	case CauseCrash:
		return "it crashed"
	default:
		return fmt.Sprintf("it left with exit code %d", i.ExitCode)
	}
}

// postMortem tells how the process went. It is gone, and its output read.
func (p *process) postMortem() Incident {
	stderr, told := p.output.last()
	i := Incident{
		Plugin: p.disk.Name, Version: p.disk.Manifest.Version, SHA256: p.disk.SHA256, PID: p.child.pid, At: time.Now(),
		Uptime: time.Since(p.startedAt).Round(time.Millisecond), Stderr: stderr, InFlight: p.calls.atEnd(),
		ExitCode: p.child.end.ExitCode(), Cause: CauseExit,
	}
	if p.attached {
		i.Detail = "it was not this host's process"
		return i
	}
	if w, ok := p.child.end.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		i.Signal, i.Cause = w.Signal().String(), CauseSignal
	}
	if u, ok := p.child.end.SysUsage().(*syscall.Rusage); ok {
		i.MaxRSS = maxRSS(u)
	}
	// The kernel tells nobody why it kills.
	killed := i.Cause == CauseSignal && i.Signal == syscall.SIGKILL.String()
	if p.child.group.outOfMemory() || killed && int64(memoryKills()) > p.kills.Load() {
		i.Cause = CauseMemory
	}
	if p.hung.Load() {
		i.Cause = CauseHung
	}
	// The Go runtime leaves with 2, unless we were tired of waiting for its stacks.
	if told != "" && (i.ExitCode == 2 || i.Cause == CauseHung) {
		i.Cause = told
	}
	return i
}
