package serve

import (
	"context"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/settings"
)

// closeTimeout is what instances get to close when the host lets go.
const closeTimeout = time.Second

// streamWorkers are goroutines that calls use again, for a new one's stack grows
// with every call anew. Calls beyond their number get one of their own.
const streamWorkers = 8

// gcPercent lets the heap, which is a few megabytes, grow to four times what
// lives before it is collected. GOGC in the environment wins.
const gcPercent = 300

// serve speaks with the host until it lets go, and returns the exit code.
func serve[T any](p Plugin[T], m *settings.Manifest) int {
	// The process was started from a descriptor, so the kernel named it "3".
	// Only Linux has this file, and nothing depends on it.
	_ = os.WriteFile("/proc/self/comm", []byte(m.ID), 0o600)

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// go-plugin replaces os.Stderr by a stream of its own. Ours goes to the
	// original, which works before the start and during a panic too.
	stderr := os.Stderr
	s, err := newServer(p, m, stderr)
	if err != nil {
		_, _ = stderr.WriteString("This plugin cannot be served: " + err.Error() + "\n")
		return 2
	}
	stop := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		s.close(ctx)
	})
	if lifeline := openLifeline(); lifeline != nil {
		go func() {
			_, _ = io.Copy(io.Discard, lifeline)
			stop()
			os.Exit(0)
		}()
	}
	plugin.Serve(serveConfig(s, stderr))
	stop()
	return 0
}

func serveConfig[T any](s *server[T], stderr io.Writer) *plugin.ServeConfig {
	return &plugin.ServeConfig{
		HandshakeConfig: handshake.Config(),
		VersionedPlugins: map[int]plugin.PluginSet{
			handshake.Version: {handshake.Name: &handshake.Glue{Register: func(b *plugin.GRPCBroker, g *grpc.Server) {
				s.dial = func(id uint32) (*grpc.ClientConn, error) { return dialHost(b, id) }
				s.register(g)
			}}},
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: stderr, JSONFormat: true}),
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(o,
				grpc.NumStreamWorkers(streamWorkers),
				grpc.MaxRecvMsgSize(handshake.MaxMessage), grpc.MaxSendMsgSize(handshake.MaxMessage),
				grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream))...)
		},
	}
}

// register offers the services for which T has methods.
func (s *server[T]) register(g *grpc.Server) {
	pluginv1.RegisterProviderServiceServer(g, s)
	if s.manifest.Has(settings.Webhook) {
		pluginv1.RegisterWebhookServiceServer(g, &webhooks[T]{server: s})
	}
	if s.manifest.Has(settings.Channel) || s.manifest.Has(settings.Signals) || s.manifest.Has(settings.Media) {
		pluginv1.RegisterChannelServiceServer(g, &channels[T]{server: s})
	}
	if s.manifest.Has(settings.Templates) {
		pluginv1.RegisterTemplateServiceServer(g, &templates[T]{server: s})
	}
	if s.manifest.Has(settings.Voice) {
		pluginv1.RegisterVoiceServiceServer(g, &voices[T]{server: s})
	}
	if s.manifest.Has(settings.Calls) {
		pluginv1.RegisterCallServiceServer(g, &telephones[T]{server: s})
	}
	if s.manifest.Has(settings.LeadSource) {
		pluginv1.RegisterLeadSourceServiceServer(g, &leads[T]{server: s})
	}
}

// openLifeline returns the inherited end of the host's pipe, nil if there is
// none, and keeps it from children of the plugin.
func openLifeline() *os.File {
	fd, err := strconv.Atoi(os.Getenv(handshake.LifelineEnv))
	if err != nil || fd < 3 {
		return nil
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "lifeline")
}
