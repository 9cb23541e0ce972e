package host

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stratohub/strato/sdk/internal/handshake"
)

// pipeGrace is how long a dead process's pipes are still read: descendants
// that left its group could hold them open for ever.
const pipeGrace = 250 * time.Millisecond

// child is a plugin's process. It implements go-plugin's runner, but is ended
// by us: go-plugin's own Kill has no deadline.
type child struct {
	name     string
	cmd      *exec.Cmd
	binary   *os.File // what was hashed, and is executed
	lifeline *os.File // closed to let go
	stdout   *os.File
	stderr   *os.File
	theirs   []*os.File // the process's ends, closed here once it runs
	spawn    *spawner
	memory   int // MiB
	group    *cgroup
	started  func(pid int)

	pid  int
	done chan struct{} // closed when the process is gone
	end  *os.ProcessState
	// leave is closed to let go of a process that is not ours; nil for our own.
	leave chan struct{}

	mu     sync.Mutex
	reaped bool
	let    sync.Once
}

// newChild prepares the process. The environment is that of go-plugin's spec
// and what a Go program needs; nothing of the host's own, which has secrets.
func newChild(h *Host, r Release, binary *os.File, spec *exec.Cmd) (*child, error) {
	memory := r.Manifest.MemoryMiB
	c := &child{name: r.Name, binary: binary, memory: memory, spawn: h.spawn, done: make(chan struct{})}
	var err error
	if c.group, err = h.cgroups.make(r.Name, memory); err != nil {
		return nil, err
	}
	pipe := func() (r, w *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil
		}
		return r, w
	}
	lifelineR, lifelineW := pipe()
	outR, outW := pipe()
	errR, errW := pipe()
	null, nullErr := os.Open(os.DevNull)
	c.lifeline, c.stdout, c.stderr = lifelineW, outR, errR
	c.theirs = []*os.File{lifelineR, outW, errW, null}
	if lifelineW == nil || outW == nil || errW == nil || nullErr != nil {
		c.closeAll()
		c.group.remove()
		return nil, errors.New("no descriptors left for its pipes")
	}
	// The binary is descriptor 3 and the lifeline 4 in the process.
	c.cmd = &exec.Cmd{
		Path: executablePath(binary), Args: []string{r.Name}, Env: environment(spec.Env, memory),
		Stdin: null, Stdout: outW, Stderr: errW, ExtraFiles: []*os.File{binary, lifelineR}, SysProcAttr: attributes(h.config.User),
	}
	c.group.join(c.cmd.SysProcAttr)
	return c, nil
}

// environment of a plugin.
func environment(spec []string, memory int) []string {
	env := append([]string(nil), spec...)
	for _, k := range []string{"TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return append(env, handshake.LifelineEnv+"=4", "GOMEMLIMIT="+strconv.Itoa(memory)+"MiB", "GOMAXPROCS=2")
}

func (c *child) closeAll() {
	for _, f := range append(c.theirs, c.lifeline, c.stdout, c.stderr) {
		if f != nil {
			_ = f.Close()
		}
	}
}

// Start implements runner.Runner.
func (c *child) Start(context.Context) error {
	if err := c.spawn.start(c.cmd); err != nil {
		c.closeAll()
		c.group.remove()
		close(c.done)
		return err
	}
	c.pid = c.cmd.Process.Pid
	for _, f := range c.theirs {
		_ = f.Close()
	}
	limit(c.pid, c.memory)
	c.started(c.pid)
	go c.wait()
	return nil
}

// wait reaps the process, and its group first where the system allows: while
// the leader is a zombie its number cannot be anybody else's.
func (c *child) wait() {
	if awaitExit(c.pid) {
		c.mu.Lock()
		killGroup(c.pid)
		c.reaped = true
		c.mu.Unlock()
	}
	_ = c.cmd.Wait()
	c.mu.Lock()
	c.reaped = true
	c.mu.Unlock()
	c.end = c.cmd.ProcessState
	deadline := time.Now().Add(pipeGrace)
	_ = c.stdout.SetReadDeadline(deadline)
	_ = c.stderr.SetReadDeadline(deadline)
	c.letGo()
	close(c.done)
}

// letGo closes the lifeline, upon which the SDK leaves. A process that is not
// ours goes on.
func (c *child) letGo() {
	c.let.Do(func() {
		if c.leave != nil {
			close(c.leave)
			return
		}
		_ = c.lifeline.Close()
	})
}

// kill ends the process and its group, unless it is not ours. It returns at
// once and may be repeated.
func (c *child) kill() {
	if c.leave != nil {
		c.letGo()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid != 0 && !c.reaped {
		killGroup(c.pid)
	}
}

// Kill implements runner.Runner.
func (c *child) Kill(context.Context) error {
	c.kill()
	return nil
}

// Wait implements runner.Runner.
func (c *child) Wait(context.Context) error {
	<-c.done
	return nil
}

// Stdout implements runner.Runner.
func (c *child) Stdout() io.ReadCloser { return c.stdout }

// Stderr implements runner.Runner. The real one is read by us.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name implements runner.Runner.
func (c *child) Name() string { return c.name }

// ID implements runner.Runner.
func (c *child) ID() string { return strconv.Itoa(c.pid) }

// Diagnose implements runner.Runner.
func (c *child) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.Runner.
func (c *child) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
