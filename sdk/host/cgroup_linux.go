package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxProcesses are a plugin's processes and threads.
const maxProcesses = 256

// cgroupPrefix starts the names of the groups that a host makes.
const cgroupPrefix = "strato-plugin-"

// cgroups makes a control group for each process below one that was delegated.
type cgroups struct {
	dir  string
	next atomic.Uint64
}

// newCgroups checks that a folder is a control group of version 2 in which this
// process may limit memory and processes, and removes groups that are left over.
func newCgroups(dir string) (*cgroups, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil, fmt.Errorf("look at the plugins' cgroup %s: %w", dir, err)
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil, fmt.Errorf("%s is no cgroup of version 2", dir)
	}
	has, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return nil, fmt.Errorf("look at the plugins' cgroup %s: %w", dir, err)
	}
	for _, c := range []string{"memory", "pids"} {
		if !slices.Contains(strings.Fields(string(has)), c) {
			return nil, fmt.Errorf("cgroup %s has no controller %s: delegate it", dir, c)
		}
		if err := writeGroup(dir, "cgroup.subtree_control", "+"+c); err != nil {
			return nil, fmt.Errorf("cgroup %s cannot be divided; delegate it to this user, and let no process be in it itself: %w", dir, err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, cgroupPrefix+"*"))
	for _, path := range left {
		_ = unix.Rmdir(path) // refused while a process of another host is in it
	}
	return &cgroups{dir: dir}, nil
}

func writeGroup(dir, file, value string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(value), 0o600)
}

// cgroup is that of one process. It is nil, and does nothing, where none is
// configured.
type cgroup struct {
	path string
	file *os.File
}

// make prepares the group of a process that may use so many MiB.
func (g *cgroups) make(plugin string, memory int) (*cgroup, error) {
	if g == nil {
		return nil, nil
	}
	path := filepath.Join(g.dir, fmt.Sprintf("%s%s-%d-%d", cgroupPrefix, plugin, os.Getpid(), g.next.Add(1)))
	if err := os.Mkdir(path, 0o750); err != nil {
		return nil, fmt.Errorf("make its cgroup: %s", plain(err))
	}
	c := &cgroup{path: path}
	err := errors.Join(
		writeGroup(path, "memory.max", strconv.FormatUint(mostMemory(memory), 10)),
		writeGroup(path, "memory.oom.group", "1"),
		writeGroup(path, "pids.max", strconv.Itoa(maxProcesses)),
	)
	_ = writeGroup(path, "memory.swap.max", "0") // not there where nothing is swapped
	if err == nil {
		c.file, err = os.Open(path)
	}
	if err != nil {
		c.remove()
		return nil, fmt.Errorf("limit its cgroup: %s", plain(err))
	}
	return c, nil
}

// join has the process start in the group.
func (c *cgroup) join(a *syscall.SysProcAttr) {
	if c != nil {
		a.UseCgroupFD, a.CgroupFD = true, int(c.file.Fd())
	}
}

// outOfMemory reports whether the kernel ended the process for its memory.
func (c *cgroup) outOfMemory() bool {
	if c == nil {
		return false
	}
	b, err := os.ReadFile(filepath.Join(c.path, "memory.events"))
	return err == nil && valueOf(string(b), "oom_kill") > 0
}

// remove ends the group. Its last process may need a moment to be gone.
func (c *cgroup) remove() {
	if c == nil {
		return
	}
	if c.file != nil {
		_ = c.file.Close()
	}
	late := time.NewTimer(100 * time.Millisecond)
	defer late.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for errors.Is(unix.Rmdir(c.path), unix.EBUSY) {
		_ = writeGroup(c.path, "cgroup.kill", "1") // what left the process's own group
		select {
		case <-late.C:
			return // the next host removes it
		case <-tick.C:
		}
	}
}
