package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/embedded"
)

const (
	// patience is what anything may take on a slow machine.
	patience = 60 * time.Second
	// pause is that between two looks.
	pause = 50 * time.Millisecond
)

// eventually polls until f says yes; what tells why it did not, when it fails.
func eventually(t testing.TB, f func() bool, what string, args ...any) {
	t.Helper()
	within(t, patience, f, what, args...)
}

func within(t testing.TB, limit time.Duration, f func() bool, what string, args ...any) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !f() {
		select {
		case <-deadline:
			require.FailNow(t, "after "+limit.String()+": "+fmt.Sprintf(what, args...))
		case <-tick.C:
		}
	}
}

// output keeps what a program says.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// program is a started strato. It ends with the test, and with the test binary.
type program struct {
	t   testing.TB
	out *output
	*embedded.Process
}

// start runs strato with variables NAME=value and words.
func start(t testing.TB, env []string, words ...string) *program {
	t.Helper()
	return startCommand(t, exec.Command(filepath.Join(root, "bin", "strato"), words...), env, nil)
}

func startCommand(t testing.TB, cmd *exec.Cmd, env []string, in io.Reader) *program {
	t.Helper()
	p := &program{t: t, out: &output{}}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, p.out, p.out
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"),
		"STRATO_POSTGRES_BIN=" + os.Getenv("STRATO_POSTGRES_BIN"),
		"TMPDIR=" + root, // what a killed server leaves there goes with the rest
	}, env...)
	// A child of strato that holds on to the pipes must not hold up the test.
	cmd.WaitDelay = 5 * time.Second
	var err error
	p.Process, err = embedded.StartProcess(cmd, syscall.SIGKILL)
	require.NoError(t, err)
	t.Cleanup(p.end)
	return p
}

// end kills what still runs, with all that it started.
func (p *program) end() {
	if p.ended() {
		return
	}
	family := descendants(p.Pid())
	p.Signal(syscall.SIGKILL)
	<-p.Done()
	for _, d := range family {
		if d.alive() {
			_ = syscall.Kill(d.pid, syscall.SIGKILL)
		}
	}
}

func (p *program) ended() bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// wait returns the exit code.
func (p *program) wait(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.Done():
	case <-time.After(limit):
		require.FailNow(p.t, "strato does not end", "within %s; it said:\n%s", limit, p.out)
	}
	if exit, ok := p.Err().(*exec.ExitError); ok { //nolint:errorlint // Wait does not wrap
		return exit.ExitCode()
	}
	require.NoError(p.t, p.Err())
	return 0
}

// says waits until the program has said something.
func (p *program) says(text string) {
	p.t.Helper()
	eventually(p.t, func() bool { return strings.Contains(p.out.String(), text) || p.ended() }, "strato does not say %q", text)
	require.Contains(p.t, p.out.String(), text)
}

// strato runs a command to its end.
func strato(t testing.TB, env []string, in string, words ...string) (code int, said string) {
	t.Helper()
	p := startCommand(t, exec.Command(filepath.Join(root, "bin", "strato"), words...), env, strings.NewReader(in))
	code = p.wait(patience)
	return code, p.out.String()
}

// running is a process, told from a later one of the same number by its start.
type running struct {
	pid    int
	parent int
	start  string
	words  string
}

func (r running) alive() bool {
	now, ok := look(r.pid)
	return ok && now.start == r.start
}

func (r running) String() string { return strconv.Itoa(r.pid) + " " + r.words }

// look reads /proc. A process that has ended and waits for its parent is none.
func look(pid int) (running, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return running{}, false
	}
	_, rest, found := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return running{}, false
	}
	parent, _ := strconv.Atoi(fields[1])
	words, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return running{pid, parent, fields[19], string(bytes.TrimSpace(bytes.ReplaceAll(words, []byte{0}, []byte{' '})))}, true
}

// descendants are the children of a process, theirs, and so on.
func descendants(pid int) []running {
	entries, _ := os.ReadDir("/proc")
	children := map[int][]running{}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			if r, ok := look(n); ok {
				children[r.parent] = append(children[r.parent], r)
			}
		}
	}
	var all []running
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		for _, c := range children[next[0]] {
			all, next = append(all, c), append(next, c.pid)
		}
	}
	return all
}

// child is the descendant whose words have text in them.
func (p *program) child(text string) running {
	p.t.Helper()
	var found running
	eventually(p.t, func() bool {
		for _, d := range descendants(p.Pid()) {
			if strings.Contains(d.words, text) {
				found = d
				return true
			}
		}
		return false
	}, "strato has no child %q", text)
	return found
}

// gone fails the test when one of the processes is still there after a while.
func gone(t testing.TB, limit time.Duration, list []running) {
	t.Helper()
	left := list
	within(t, limit, func() bool {
		var still []running
		for _, r := range left {
			if r.alive() {
				still = append(still, r)
			}
		}
		left = still
		return len(left) == 0
	}, "%v are still there", deferred(func() string { return fmt.Sprint(left) }))
}

// deferred is text that is made when it is needed.
type deferred func() string

func (d deferred) String() string { return d() }

// freePort is a port of the loopback address that was free a moment ago.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// folder is a new folder that PostgreSQL's user can get to.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(root, "data-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() {
		if !t.Failed() {
			require.NoError(t, os.RemoveAll(dir))
		}
	})
	return dir
}
