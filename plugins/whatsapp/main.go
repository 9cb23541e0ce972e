// Command whatsapp is Strato's plugin for Meta's WhatsApp Cloud API. It
// translates webhooks into events and messages into requests, and simulates the
// provider when it is run as "whatsapp simulate".
package main

import (
	_ "embed"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
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
		Route:    route,
		Start:    start,
		Simulate: simulator.Program().Main,
	}
}
