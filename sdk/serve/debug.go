package serve

import (
	"context"
	"fmt"
	"os"
	"os/signal"
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

	l, err := listen(p, m, stderr)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "This plugin cannot be served: %v\n", err)
		return 2
	}
	defer l.Close()
	_, _ = fmt.Fprintf(stdout, "%s=%s\n", handshake.ReattachEnv, l.Reattach)
	select {
	case <-ctx.Done():
	case <-l.ended:
	}
	return 0
}
