package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// lookEvery is how often a program that is debugged is looked for.
const lookEvery = 200 * time.Millisecond

// Reattach says where a program waits that its developer started by hand with
// -debug. The socket must be this user's own, on this machine.
type Reattach struct {
	PID    int
	Socket string
}

// ParseReattach reads what such programs print, STRATO_REATTACH={…} with or
// without the name before it, by plugin. What is not a local socket is refused.
func ParseReattach(printed string) (map[string]Reattach, error) {
	if prefix := handshake.ReattachEnv + "="; len(printed) > len(prefix) && printed[:len(prefix)] == prefix {
		printed = printed[len(prefix):]
	}
	var all map[string]handshake.Reattach
	if err := json.Unmarshal([]byte(printed), &all); err != nil {
		return nil, fmt.Errorf("%s is not what a plugin prints with -debug: %w", handshake.ReattachEnv, err)
	}
	out := map[string]Reattach{}
	for id, at := range all {
		switch {
		case at.Network != "unix" || !filepath.IsAbs(at.Address):
			return nil, fmt.Errorf("%s: %s is not on a local socket", handshake.ReattachEnv, id)
		case at.Protocol != handshake.Version:
			return nil, fmt.Errorf("%s: %s speaks protocol %d, this core speaks %d", handshake.ReattachEnv, id, at.Protocol, handshake.Version)
		case at.PID <= 1:
			return nil, fmt.Errorf("%s: %s has no process", handshake.ReattachEnv, id)
		}
		out[id] = Reattach{PID: at.PID, Socket: at.Address}
	}
	return out, nil
}

// usable tells why a program cannot be attached to; empty if it can.
func (r Reattach) usable() string {
	info, err := os.Lstat(r.Socket)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return "the program that is debugged is not there any more; start it again and give the host what it prints"
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Getuid() {
		return "the socket of the program that is debugged is another user's"
	}
	return ""
}

// attach connects to a program that is debugged, and returns it when it is
// ready for calls. It has no deadlines and is never killed: the developer may
// be looking at it.
func (h *Host) attach(ctx context.Context, s *supervisor, r Release, at Reattach) (*process, error) {
	if problem := at.usable(); problem != "" {
		return nil, refuse("%s", problem)
	}
	log := h.log.With("plugin", r.Name, "version", r.Manifest.Version)
	p := &process{
		host: h, supervisor: s, disk: r, startedAt: time.Now(), attached: true, output: newOutput(log, s.secrets),
		child: newAttached(r.Name, at.PID),
	}
	close(p.output.finished) // it writes to the developer's terminal
	p.calls = newCalls(p)
	h.work.Go(p.child.lookAfter)
	ctx, cancel := context.WithTimeout(ctx, h.timing.Start)
	defer cancel()
	if err := p.join(ctx, at); err != nil {
		p.letGo.Store(true)
		p.child.letGo()
		p.services.stop()
		_ = os.RemoveAll(p.sockets)
		p.disconnect()
		if _, ok := errors.AsType[*refusal](err); ok {
			return nil, err
		}
		return nil, refuse("the program that is debugged does not answer; start it again and give the host what it prints: %s", err)
	}
	log.Warn("attached to a program that is debugged: it is neither verified nor watched", "pid", at.PID)
	return p, nil
}

// join shakes no hands: the program waits for whoever comes.
func (p *process) join(ctx context.Context, at Reattach) error {
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake.Config(),
		VersionedPlugins: map[int]plugin.PluginSet{handshake.Version: {handshake.Name: &handshake.Glue{}}},
		Plugins:          plugin.PluginSet{handshake.Name: &handshake.Glue{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		GRPCDialOptions:  p.dialOptions(),
		Reattach: &plugin.ReattachConfig{
			Protocol: plugin.ProtocolGRPC, ProtocolVersion: handshake.Version, Test: true,
			Addr:         &net.UnixAddr{Name: at.Socket, Net: "unix"},
			ReattachFunc: func() (runner.AttachedRunner, error) { return p.child, nil },
		},
	})
	protocol, err := p.client.Client()
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	raw, err := protocol.Dispense(handshake.Name)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	conn := raw.(*handshake.Conn)
	p.conn = conn.ClientConn
	p.clients = newClients(conn.ClientConn, p.disk.Manifest.Version, p.child.pid)
	p.clients.process = p
	return p.introduce(ctx, func(start *pluginv1.StartRequest) (err error) {
		start.HostSocket, err = p.offerSocket()
		return err
	})
}

// disconnect closes the connection to a program that is debugged, which goes
// on; go-plugin's own way would end it.
func (p *process) disconnect() {
	if p.conn != nil {
		_ = p.conn.Close()
	}
}

// dialOptions of the connection to a plugin.
func (p *process) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(handshake.MaxMessage), grpc.MaxCallSendMsgSize(handshake.MaxMessage)),
		// A call is made once: whether to make it again is the core's to say.
		grpc.WithDisableRetry(),
		grpc.WithUnaryInterceptor(p.calls.unary), grpc.WithStreamInterceptor(p.calls.stream),
	}
}

// newAttached is somebody else's process. Letting go of it and killing it only
// end our looking after it.
func newAttached(name string, pid int) *child {
	return &child{name: name, pid: pid, done: make(chan struct{}), leave: make(chan struct{})}
}

// lookAfter waits until the process is gone, or nobody wants to know.
func (c *child) lookAfter() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer close(c.done)
	for {
		select {
		case <-c.leave:
			return
		case <-tick.C:
			if errors.Is(syscall.Kill(c.pid, 0), syscall.ESRCH) {
				return
			}
		}
	}
}
