//go:build linux

package host_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stratohub/strato/sdk/host"
)

// What a process may take is set before it does anything.
func TestProcessIsLimited(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	c := remote(t, h)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", c.PID))
	require.NoError(t, err)
	for what, want := range map[string]int{
		"Max stack size": 1 << 20, "Max open files": 1024, "Max core file size": 0, "Max data size": 256 << 20,
	} {
		require.Regexp(t, regexp.QuoteMeta(what)+fmt.Sprintf(` +%d +%d `, want, want), string(b))
	}
	score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", c.PID))
	require.NoError(t, err)
	require.Equal(t, "500", strings.TrimSpace(string(score)))
	environment := webhook(t, h, "environment", "")
	require.Contains(t, environment, "GOMEMLIMIT=128MiB")
	require.Contains(t, environment, "GOMAXPROCS=2")

	var ours unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_STACK, &ours))
	require.NotEqual(t, uint64(1<<20), ours.Cur, "the host keeps its own")
}

// A plugin that was built with C's library, as "go build" does by default, lives
// within little memory: its threads' stacks count.
func TestPluginWithCgoStarts(t *testing.T) {
	t.Parallel()

	if _, err := exec.LookPath("cc"); err != nil {
		if _, err := exec.LookPath("gcc"); err != nil {
			t.Skip("there is no C compiler")
		}
	}
	dir := t.TempDir()
	install(t, dir, "echo", "cgo", `"memory_mib": 128`, `"memory_mib": 64`)
	h := start(t, host.Config{Dir: dir, Timing: quick()})
	c := remote(t, h)
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", c.PID))
	require.NoError(t, err)
	require.Contains(t, string(maps), "libc", "it was not built with C's library")

	_, err = send(t.Context(), h, installation("i", 1, "a", "token-1234"), "threads 24")
	require.NoError(t, err)
	require.Equal(t, c.PID, status(t, h).PID)
}

// A host that runs as root has plugins run as somebody else.
func TestUserOfItsOwn(t *testing.T) {
	t.Parallel()

	nobody := host.User{UID: 65534, GID: 65534}
	if os.Geteuid() != 0 {
		_, err := host.New(host.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), User: nobody})
		require.ErrorContains(t, err, "runs as root")
		t.Skip("only root can run others' processes")
	}
	h := echo(t, host.Config{User: nobody, Services: services("n")})
	c := remote(t, h)
	info, err := os.Stat(fmt.Sprintf("/proc/%d", c.PID))
	require.NoError(t, err)
	require.Equal(t, uint32(65534), info.Sys().(*syscall.Stat_t).Uid)
	require.Equal(t, "n echo tenant-of-i i key", webhook(t, h, "services", "get key"), "it reaches the host")
	_, err = send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
	require.NoError(t, err)

	_, err = host.New(host.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), User: host.User{GID: 7}})
	require.ErrorContains(t, err, "ordinary user")
}

// Where the kernel's groups are delegated, a process has one of its own.
func TestCgroup(t *testing.T) {
	t.Parallel()

	_, err := host.New(host.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Cgroup: t.TempDir()})
	require.ErrorContains(t, err, "is no cgroup of version 2")

	group := os.Getenv("STRATO_TEST_CGROUP")
	if group == "" {
		t.Skip("STRATO_TEST_CGROUP names no delegated cgroup of version 2")
	}
	incidents := make(chan host.Incident, 1)
	h := echo(t, host.Config{Cgroup: group, OnExit: func(i host.Incident) { incidents <- i }})
	c := remote(t, h)
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.PID))
	require.NoError(t, err)
	require.Contains(t, string(own), "/strato-plugin-echo-")
	path := filepath.Join(group, filepath.Base(strings.TrimSpace(string(own))))
	most, err := os.ReadFile(filepath.Join(path, "memory.max"))
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(256<<20), strings.TrimSpace(string(most)))
	// With no other limit in the way it is the group's that ends the process.
	require.NoError(t, unix.Prlimit(c.PID, unix.RLIMIT_DATA, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}, nil))
	_, err = send(t.Context(), h, installation("i", 1, "a", "token-1234"), "eat")
	require.Error(t, err)
	require.Equal(t, host.CauseMemory, (<-incidents).Cause)
	require.NoDirExists(t, path)
}
