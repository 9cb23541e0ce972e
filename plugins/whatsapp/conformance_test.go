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
		Contents: map[string]sdk.Content{
			"media": sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{URL: "https://example.com/frente.jpg", MIMEType: "image/jpeg"}, Caption: "El frente"},
			"template": sdk.Template{Name: "retomar_contacto", Language: "es_AR", Params: []sdk.TemplateParam{
				{Component: "body", Index: 0, Text: "Ana"}, {Component: "body", Index: 1, Text: "Palermo"},
			}},
			"interactive": sdk.Interactive{Body: "¿Cuándo lo visitás?", Buttons: []sdk.Button{{ID: "hoy", Title: "Hoy"}, {ID: "sabado", Title: "El sábado"}}},
			"location":    sdk.Location{Latitude: -34.5889, Longitude: -58.4306, Name: "Palermo"},
			"reaction":    sdk.Reaction{Emoji: "👍"},
			"contacts":    sdk.ContactCards{Cards: []sdk.ContactCard{{Name: "Ana Paz", Phones: []string{"+5491150550100"}}}},
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
