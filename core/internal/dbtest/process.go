package dbtest

import (
	"bytes"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/embedded"
)

// program finds a program that tests need, or fails with what to run.
func program(t testing.TB, name, pkg string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("dbtest: there is no %s on this machine. Run: apt-get install -y %s (make test does it as root)", name, pkg)
	return ""
}

// freePort returns a loopback port that was free a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }() // only its number is wanted
	return l.Addr().(*net.TCPAddr).Port
}

// run starts a program that ends with the test, and waits until it listens. The
// program may lose its port to another between choosing and listening; then
// again is called for another one.
func run(t testing.TB, again func(port int) *exec.Cmd) (port int) {
	t.Helper()
	const tries = 5
	for try := 1; ; try++ {
		port = freePort(t)
		cmd := again(port)
		out := &output{}
		cmd.Stdout, cmd.Stderr = out, out
		p, err := embedded.StartProcess(cmd, syscall.SIGKILL)
		require.NoError(t, err)
		if listening(p, port) {
			t.Cleanup(func() {
				p.Signal(syscall.SIGKILL) // it holds nothing worth an orderly end
				<-p.Done()
			})
			return port
		}
		p.Signal(syscall.SIGKILL)
		<-p.Done()
		if try == tries {
			t.Fatalf("dbtest: %s does not start: %s", cmd.Path, out)
		}
	}
}

// listening waits until the port answers, or the program ends or takes too long.
func listening(p *embedded.Process, port int) bool {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.DialTimeout("tcp", address(port), time.Second)
		if err == nil {
			_ = conn.Close() // only a knock
			return true
		}
		select {
		case <-p.Done():
			return false
		case <-deadline:
			return false
		case <-tick.C:
		}
	}
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

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
