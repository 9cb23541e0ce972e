package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/plugintest"
)

// TestConformance builds the plugin and runs the kit on it.
func TestConformance(t *testing.T) {
	t.Parallel()

	folder := filepath.Join(t.TempDir(), "whatsapp")
	require.NoError(t, os.Mkdir(folder, 0o700))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "whatsapp"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	document, err := os.ReadFile("plugin.json")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "plugin.json"), document, 0o600))

	plugintest.Run(t, plugintest.Config{
		Folder: folder,
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
	})
}
