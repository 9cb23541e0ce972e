package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// stackBytes is the stack of a plugin's threads that C libraries make: 8 MiB
	// each, as systems have it, would be counted as data of the process.
	stackBytes = 1 << 20
	// maxFiles are a plugin's descriptors, sockets included.
	maxFiles = 1024
	// oomScore makes the kernel prefer a plugin over the core when memory runs out.
	oomScore = "500"
)

// stack guards the limit of this process that [withStack] borrows.
var stack sync.Mutex

// withStack runs f, which starts a process, while new processes get small
// stacks. A C library reads the limit before a program's first line, so it
// cannot be set on the process once it runs. Here it means nothing while f
// runs: it bounds the first thread only, which Go keeps small.
func withStack(f func() error) error {
	stack.Lock()
	defer stack.Unlock()
	var before unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_STACK, nil, &before) != nil || before.Cur <= stackBytes {
		return f()
	}
	if unix.Prlimit(0, unix.RLIMIT_STACK, &unix.Rlimit{Cur: stackBytes, Max: before.Max}, nil) == nil {
		defer func() { _ = unix.Prlimit(0, unix.RLIMIT_STACK, &before, nil) }()
	}
	return f()
}

// limit bounds what the process may take. A limit that the system refuses is
// not worth failing a start for: the process has done nothing yet.
func limit(pid, memory int) {
	for _, l := range []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_NOFILE, maxFiles},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_STACK, stackBytes},
		// Address space cannot be limited: Go reserves far more than it uses.
		{unix.RLIMIT_DATA, mostMemory(memory)},
	} {
		_ = unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: l.value, Max: l.value}, nil)
	}
	_ = os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "oom_score_adj"), []byte(oomScore), 0o600)
}

// mostMemory in bytes of a plugin whose manifest wants so many MiB: Go's
// collector aims at those, and takes more before it is done.
func mostMemory(memory int) uint64 { return uint64(memory) << 21 }

// canBe tells whether this process may start others as a user.
func canBe(u User) error {
	if u.UID <= 0 || u.GID <= 0 {
		return fmt.Errorf("plugins cannot run as user %d of group %d: name an ordinary user", u.UID, u.GID)
	}
	if os.Geteuid() != 0 {
		return errors.New("plugins can have a user of their own only where the host runs as root")
	}
	return nil
}

// memoryKills counts the processes that the kernel has ended on this machine
// because memory ran out; 0 if it does not tell.
func memoryKills() int {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	return valueOf(string(b), "oom_kill")
}

// valueOf finds a number in lines of the form "name number".
func valueOf(lines, name string) int {
	for line := range strings.Lines(lines) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && key == name {
			n, _ := strconv.Atoi(value)
			return n
		}
	}
	return 0
}
