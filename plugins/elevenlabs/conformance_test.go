package main

import (
	"testing"

	"github.com/stratohub/strato/plugins/elevenlabs/simulator"
	"github.com/stratohub/strato/sdk/plugintest"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

// TestConformance runs the kit on the plugin in this process, then on the program.
func TestConformance(t *testing.T) {
	t.Parallel()

	c := plugintest.Config{
		Plugin:    plugin(),
		SignsTime: true,
		Simulator: func() (simulation.Provider, error) { return simulator.New(simulator.Options{}) },
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
