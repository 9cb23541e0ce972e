package main

import (
	"testing"

	"github.com/stratohub/strato/plugins/manychat/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/plugintest"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

// TestConformance runs the kit on the plugin in this process, then on the program.
func TestConformance(t *testing.T) {
	t.Parallel()

	c := plugintest.Config{
		Plugin:    plugin(),
		Simulator: func() (simulation.Provider, error) { return simulator.New(simulator.Options{}) },
		// Messenger takes everything; WhatsApp and Instagram less.
		Say:  func(account, text string) any { return simulator.Say{To: account, Text: text, Channel: "messenger"} },
		Skip: map[string]string{"webhooks/changed body": "ManyChat signs nothing: it shows a secret"},
		Contents: map[string]sdk.Content{
			"template":    sdk.Template{Name: simulator.FlowTemplate},
			"interactive": sdk.Interactive{Body: "¿Lo visitás?", Buttons: []sdk.Button{{ID: "ver", Title: "Ver", URL: "https://example.com/palermo"}}, Fallback: "¿Lo visitás?"},
		},
	}
	t.Run("in process", func(t *testing.T) {
		t.Parallel()
		plugintest.Run(t, c)
	})
	t.Run("binary", func(t *testing.T) {
		t.Parallel()
		plugintest.RunBinary(t, c)
	})
}
