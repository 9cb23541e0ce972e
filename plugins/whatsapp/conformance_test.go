package main

import (
	"testing"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
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
		SayFile:   func(account string) any { return simulator.Say{To: account, Type: "image", Text: "la fachada"} },
		Contents: map[string]sdk.Content{
			"template": sdk.Template{Name: "retomar_contacto", Language: "es_AR", Params: []sdk.TemplateParam{
				{Component: "body", Index: 0, Text: "Ana"}, {Component: "body", Index: 1, Text: "Palermo"},
			}},
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
