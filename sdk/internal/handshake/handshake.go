// Package handshake has what both ends of the pipe must agree on before they
// can talk: the cookie, the protocol's versions, limits and names.
package handshake

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	_ "github.com/stratohub/strato/sdk/internal/bufferpool" // both ends use finer buffers
)

// What both ends know. The cookie never changes: it is no secret, it only
// tells a plugin that a host started it.
const (
	CookieKey   = "STRATO_PLUGIN"
	CookieValue = "b4f1c6c0-6f0e-4c6f-9d0c-3a5d1e7f2b11"
	// LifelineEnv names the descriptor of a pipe that the host holds open. A
	// plugin that reads its end stops.
	LifelineEnv = "STRATO_LIFELINE_FD"
	// Version is the protocol's major version.
	Version = 1
	// MaxMessage is the largest message, either way.
	MaxMessage = 8 << 20
	// Name under which go-plugin dispenses the services.
	Name = "plugin"
)

// Config is the handshake of go-plugin.
func Config() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{MagicCookieKey: CookieKey, MagicCookieValue: CookieValue}
}

// Glue joins the services to go-plugin. Register is set in the plugin; the
// host gets the connection itself.
type Glue struct {
	plugin.NetRPCUnsupportedPlugin
	Register func(*plugin.GRPCBroker, *grpc.Server)
}

// Conn is what the host dispenses. Done ends with the process.
type Conn struct {
	*grpc.ClientConn
	Broker *plugin.GRPCBroker
	Done   <-chan struct{}
}

// GRPCServer implements [plugin.GRPCPlugin].
func (g *Glue) GRPCServer(b *plugin.GRPCBroker, s *grpc.Server) error {
	g.Register(b, s)
	return nil
}

// GRPCClient implements [plugin.GRPCPlugin].
func (g *Glue) GRPCClient(ctx context.Context, b *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return &Conn{ClientConn: c, Broker: b, Done: ctx.Done()}, nil
}
