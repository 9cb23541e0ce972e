package embedded

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Process is a running child.
type Process struct {
	child *os.Process
	done  chan struct{}
	err   error // of Wait; set before done is closed
}

// StartProcess starts cmd in a process group of its own, so that a terminal's
// Ctrl-C does not reach it. On Linux the kernel sends it the signal death when
// this process ends, however it ends.
//
// The kernel ties that signal to the thread that started the child, not to the
// process. So one goroutine keeps its thread for as long as the child lives.
func StartProcess(cmd *exec.Cmd, death syscall.Signal) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr, death)

	p := &Process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.child = cmd.Process
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Pid is the child's process id.
func (p *Process) Pid() int { return p.child.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended: nil for exit code 0. Call it after Done.
func (p *Process) Err() error { return p.err }

// Signal sends a signal. A child that has ended already is no error.
func (p *Process) Signal(s os.Signal) {
	_ = p.child.Signal(s) // the only failure is that it has ended
}
