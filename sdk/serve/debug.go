package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/hashicorp/go-plugin"

	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/settings"
)

// serveDebug serves a plugin that its developer started by hand, perhaps under
// a debugger, until interrupted. It prints where it listens, for a host that
// was told to attach; hosts may come and go. It returns the exit code.
//
// The socket is in a folder that only this user may enter, which is all that
// guards it: there is no certificate, since nobody was there to agree on one.
func serveDebug[T any](p Plugin[T], m *settings.Manifest, stdout, stderr *os.File) int {
	s, err := newServer(p, m, stderr)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "This plugin cannot be served: %v\n", err)
		return 2
	}
	s.debugged = true
	folder, err := os.MkdirTemp("", "strato-debug-")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		err = os.Setenv(plugin.EnvUnixSocketDir, folder)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "There is no place for the plugin's socket: %v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Without the host's own variables go-plugin would take those of a shell for them.
	_ = os.Unsetenv("PLUGIN_CLIENT_CERT")
	_ = os.Unsetenv("PLUGIN_PROTOCOL_VERSIONS")

	listening := make(chan *plugin.ReattachConfig, 1)
	var serving sync.WaitGroup
	ended := make(chan struct{})
	serving.Go(func() {
		defer close(ended)
		c := serveConfig(s, stderr)
		c.Test = &plugin.ServeTestConfig{Context: ctx, ReattachConfigCh: listening}
		plugin.Serve(c)
	})
	select {
	case at := <-listening:
		printReattach(stdout, m.ID, at)
	case <-ended:
	}
	serving.Wait()
	closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	s.close(closing)
	return 0
}

// printReattach prints what the developer hands to the host.
func printReattach(w io.Writer, id string, at *plugin.ReattachConfig) {
	b, err := json.Marshal(map[string]handshake.Reattach{id: {
		Protocol: at.ProtocolVersion, PID: at.Pid, Network: at.Addr.Network(), Address: at.Addr.String(),
	}})
	if err == nil {
		_, _ = fmt.Fprintf(w, "%s=%s\n", handshake.ReattachEnv, b)
	}
}
