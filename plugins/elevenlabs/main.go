// Command elevenlabs is Strato's plugin for ElevenLabs: it turns text into voice
// notes, places telephone calls that an agent speaks, and translates what the
// agent found out into events. It simulates the provider when it is run as
// "elevenlabs simulate".
package main

import (
	_ "embed"

	"github.com/stratohub/strato/plugins/elevenlabs/simulator"
	"github.com/stratohub/strato/sdk/serve"
)

//go:embed plugin.json
var manifest []byte

func main() { serve.Main(plugin()) }

// plugin is the program as the conformance kit takes it too.
func plugin() serve.Plugin[*studio] {
	return serve.Plugin[*studio]{
		Manifest: manifest,
		New:      newStudio,
		Route:    route,
		Start:    start,
		Simulate: simulator.Program().Main,
	}
}
