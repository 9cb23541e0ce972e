package host_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/hostv1"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// debugged is the test plugin as its developer starts it.
type debugged struct {
	cmd     *exec.Cmd
	printed string
	at      map[string]host.Reattach
	done    chan error
}

func debug(t *testing.T) *debugged {
	t.Helper()
	d := &debugged{cmd: exec.Command(binary(t, ""), "-debug"), done: make(chan error, 1)}
	out, err := d.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, d.cmd.Start())
	d.printed, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	go func() { d.done <- d.cmd.Wait() }()
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	d.at, err = host.ParseReattach(strings.TrimSpace(d.printed))
	require.NoError(t, err)
	return d
}

// attached is a host that uses it.
func attached(t *testing.T, d *debugged) *host.Host {
	t.Helper()
	return echo(t, host.Config{Dev: true, Reattach: d.at})
}

// Hosts attach to a program that its developer started, and leave it alone.
func TestAttach(t *testing.T) {
	t.Parallel()

	d := debug(t)
	require.Contains(t, d.printed, `STRATO_REATTACH={"echo":{"protocol":1,"pid":`)
	socket, err := os.Stat(filepath.Dir(d.at["echo"].Socket))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), socket.Mode().Perm(), "only this user reaches the socket")

	for _, account := range []string{"first", "second"} {
		h := attached(t, d)
		// The revision is the same, but the second host's settings are in force.
		id, err := send(t.Context(), h, installation("i", 1, account, "token-1234"), "hello")
		require.NoError(t, err)
		require.Equal(t, account+"/1234/hello", id)
		require.Equal(t, d.cmd.Process.Pid, status(t, h).PID)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		require.NoError(t, h.Stop(ctx))
		cancel()
		require.True(t, alive(d.cmd.Process.Pid), "a host that leaves does not take it along")
	}
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-d.done)
	require.NoDirExists(t, filepath.Dir(d.at["echo"].Socket))
}

// A program that is debugged uses the services of each host that attaches.
func TestAttachedProgramUsesServices(t *testing.T) {
	t.Parallel()

	d := debug(t)
	for _, node := range []string{"first", "second"} {
		folder := t.TempDir()
		h := echo(t, host.Config{Dev: true, Reattach: d.at, RuntimeDir: folder, Services: services(node)})
		require.Equal(t, node+" echo tenant-of-i i key", webhook(t, h, "services", "get key"))
		require.Equal(t, "error: "+sdk.ErrNoService.Error(), webhook(t, h, "services", "rotate value"), "it is not offered")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		require.NoError(t, h.Stop(ctx))
		cancel()
		left, err := filepath.Glob(filepath.Join(folder, "strato-*"))
		require.NoError(t, err)
		require.Empty(t, left, "its socket is left behind")
	}
}

// services has a state that tells who asks.
func services(node string) func(grpc.ServiceRegistrar) {
	return func(s grpc.ServiceRegistrar) { hostv1.RegisterStateServiceServer(s, stateOf{node: node}) }
}

// stateOf answers with who asks for what.
type stateOf struct {
	hostv1.UnimplementedStateServiceServer
	node string
}

func (s stateOf) Get(ctx context.Context, r *hostv1.GetRequest) (*hostv1.GetResponse, error) {
	c, _ := host.CallerOf(ctx)
	return &hostv1.GetResponse{Value: []byte(strings.Join([]string{s.node, c.Plugin, c.Tenant, c.Installation, r.GetKey()}, " ")), Version: 1, Found: true}, nil
}

// A developer who looks at a breakpoint is not hurried.
func TestAttachedCallsHaveNoDeadline(t *testing.T) {
	t.Parallel()

	d := debug(t)
	h := attached(t, d)
	c := remote(t, h)
	file := filepath.Join(t.TempDir(), "f")
	done := make(chan error, 1)
	go func() {
		_, err := c.Webhook.HandleWebhooks(t.Context(), &pluginv1.HandleWebhooksRequest{
			Installation: installation("i", 1, "a", "token-1234"),
			Deliveries:   []*pluginv1.WebhookDelivery{{Request: &pluginv1.HttpRequest{Body: []byte("wait " + file)}}},
		})
		done <- err
	}()
	require.Never(t, func() bool { return len(done) > 0 }, 2700*time.Millisecond, 20*time.Millisecond)
	require.NoError(t, os.Remove(file))
	require.NoError(t, <-done)
}

// When the developer ends it, the host says so and starts nothing of its own.
func TestAttachedProgramEnds(t *testing.T) {
	t.Parallel()

	d := debug(t)
	h := attached(t, d)
	_, err := send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
	require.NoError(t, err)
	require.NoError(t, d.cmd.Process.Kill())
	<-d.done
	s := reaches(t, h, host.StateRefused)
	require.Contains(t, s.Reason, "start it again")
	_, _, err = h.Acquire(t.Context(), "echo")
	var u *host.ErrUnavailable
	require.ErrorAs(t, err, &u)
}

func TestAttachOnlyInDevelopment(t *testing.T) {
	t.Parallel()

	_, err := host.New(host.Config{Dir: t.TempDir(), RuntimeDir: t.TempDir(), Reattach: map[string]host.Reattach{"echo": {PID: 7, Socket: "/s"}}})
	require.ErrorContains(t, err, "only in development")

	for name, tt := range map[string]struct{ printed, want string }{
		"not JSON":      {"STRATO_REATTACH=7", "not what a plugin prints"},
		"network":       {`{"echo":{"protocol":1,"pid":7,"network":"tcp","address":"10.0.0.1:99"}}`, "not on a local socket"},
		"relative":      {`{"echo":{"protocol":1,"pid":7,"network":"unix","address":"s"}}`, "not on a local socket"},
		"abstract":      {`{"echo":{"protocol":1,"pid":7,"network":"unix","address":"@s"}}`, "not on a local socket"},
		"protocol":      {`{"echo":{"protocol":2,"pid":7,"network":"unix","address":"/s"}}`, "speaks protocol 2"},
		"no process":    {`{"echo":{"protocol":1,"pid":0,"network":"unix","address":"/s"}}`, "has no process"},
		"not an object": {`["echo"]`, "not what a plugin prints"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := host.ParseReattach(tt.printed)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// What is at the address may be gone, or nobody who answers.
func TestAttachToNobody(t *testing.T) {
	t.Parallel()

	dir, err := os.MkdirTemp("", "strato-attach") // short: a socket's path is
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	left := filepath.Join(dir, "left")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	for name, tt := range map[string]struct{ socket, want string }{
		"gone":        {filepath.Join(dir, "gone"), "not there any more"},
		"a file":      {file, "not there any more"},
		"left behind": {left, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			h := echo(t, host.Config{Dev: true, Reattach: map[string]host.Reattach{"echo": {PID: os.Getpid(), Socket: tt.socket}}})
			_, _, err := h.Acquire(t.Context(), "echo")
			var u *host.ErrUnavailable
			require.ErrorAs(t, err, &u, fmt.Sprint(err))
			require.Equal(t, host.StateRefused, u.State)
			require.Contains(t, u.Reason, tt.want)
		})
	}
}
