package main

import (
	"testing"

	"github.com/stratohub/strato/plugins/uchat/simulator"
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
		Skip:      map[string]string{"webhooks/changed body": "UChat signs nothing: it shows a secret"},
		Contents: map[string]sdk.Content{
			"template": sdk.Template{Name: "saludo", Language: "es_AR", Params: []sdk.TemplateParam{{Component: "body", Text: "Ana"}}},
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
