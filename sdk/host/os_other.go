//go:build !linux

package host

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// spawner starts processes.
type spawner struct{}

func newSpawner() *spawner { return &spawner{} }

func (*spawner) start(cmd *exec.Cmd) error { return cmd.Start() }

func (*spawner) stop() {}

// executablePath is the file's path: only Linux can execute a descriptor.
func executablePath(f *os.File) string { return f.Name() }

// attributes of a plugin's process: its own group.
func attributes(User) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// canBe refuses users of their own: that is for Linux alone.
func canBe(User) error { return errors.New("plugins have a user of their own on Linux only") }

// cgroups are Linux's.
type cgroups struct{}

func newCgroups(string) (*cgroups, error) { return nil, errors.New("cgroups are on Linux only") }

func (*cgroups) make(string, int) (*cgroup, error) { return nil, nil }

type cgroup struct{}

func (*cgroup) join(*syscall.SysProcAttr) {}

func (*cgroup) outOfMemory() bool { return false }

func (*cgroup) remove() {}

// memoryKills is not told here.
func memoryKills() int { return 0 }

// limit does nothing: another process cannot be limited here.
func limit(int, int) {}

// awaitExit cannot wait without reaping here, and says so.
func awaitExit(int) bool { return false }

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// residentMemory is not told here.
func residentMemory(int) int64 { return 0 }

// processorTime is not told here.
func processorTime(int) time.Duration { return 0 }

// maxRSS in bytes, as the system counts.
func maxRSS(u *syscall.Rusage) int64 { return u.Maxrss }

// identity is not told here: the lifeline ends plugins without their host.
func identity(pid int) string {
	if syscall.Kill(pid, 0) != nil {
		return ""
	}
	return strconv.Itoa(pid)
}

// executable is not told here.
func executable(int) string { return "" }

// closeInherited does nothing: Go opens its own descriptors close-on-exec.
func closeInherited() {}

// Harden does nothing on this system.
func Harden() error { return nil }
