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

func main() {
	serve.Main(serve.Plugin[*channel]{
		Manifest: manifest,
		New:      newChannel,
		Route:    route,
		Start:    start,
		Simulate: simulator.Program().Main,
	})
}
