// Command uchat is Strato's plugin for UChat and for the resellers of its
// platform. What UChat tells is a hint, after which the plugin reads the
// person's profile and messages. Run as "uchat simulate" it plays the provider.
package main

import (
	_ "embed"

	"github.com/stratohub/strato/plugins/uchat/simulator"
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
