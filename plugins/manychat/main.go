// Command manychat is Strato's plugin for ManyChat. ManyChat has no webhooks of
// its own: what arrives was sent by a step of a flow that the tenant made. The
// plugin takes those requests, answers over ManyChat's public API, and simulates
// the provider when it is run as "manychat simulate".
package main

import (
	_ "embed"

	"github.com/stratohub/strato/plugins/manychat/simulator"
	"github.com/stratohub/strato/sdk/serve"
)

//go:embed plugin.json
var manifest []byte

func main() { serve.Main(plugin()) }

// plugin is the program as the conformance kit takes it too.
func plugin() serve.Plugin[*channel] {
	return serve.Plugin[*channel]{
		Manifest: manifest,
		New:      newChannel,
		Start:    start,
		Simulate: simulator.Program().Main,
	}
}
