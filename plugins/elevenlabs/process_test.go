package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/elevenlabs/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// build makes the plugin's folder as it lies in bin/plugins.
func build(t *testing.T) string {
	t.Helper()

	folder := filepath.Join(t.TempDir(), "plugins", "elevenlabs")
	require.NoError(t, os.MkdirAll(folder, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "plugin.json"), manifest, 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "elevenlabs"), ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return folder
}

// TestProcess runs the real binary under the real host, against the simulator.
func TestProcess(t *testing.T) {
	t.Parallel()

	folder := build(t)
	b := setup(t, simulator.Faults{})
	runtime, err := os.MkdirTemp("", "el") // sockets have short paths
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	h, err := host.New(host.Config{Dir: filepath.Dir(folder), RuntimeDir: runtime, OperatorSettings: func(string) map[string]string {
		return map[string]string{"base_url": b.base}
	}})
	require.NoError(t, err)
	t.Cleanup(func() {
		// The test's own context has ended by then.
		stopping, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, h.Stop(stopping))
	})
	soon := within(t, 30*time.Second)
	plugin, release, err := h.Acquire(soon, "elevenlabs")
	require.NoError(t, err)
	defer release()
	document, secrets := split(t, b.settings)
	installation := &pluginv1.Installation{
		TenantId: "00000000-0000-0000-0000-000000000001", InstallationId: "i",
		Revision: 1, SettingsVersion: 1, SettingsJson: document, Secrets: secrets,
	}

	audio, err := plugin.Speaker(installation).Synthesize(soon, sdk.Speech{Text: sentence, Format: voiceNote})
	require.NoError(t, err)
	sound, err := io.ReadAll(audio.Body)
	require.NoError(t, err)
	require.NoError(t, audio.Body.Close())
	require.Equal(t, "OggS", string(sound[:4]))
	require.Equal(t, uint64(71), audio.Tail().BilledUnits)
	again, err := plugin.Speaker(installation).Synthesize(soon, sdk.Speech{Text: sentence, Format: voiceNote, KnownKey: audio.Head.CacheKey})
	require.NoError(t, err)
	nothing, err := io.ReadAll(again.Body)
	require.NoError(t, err)
	require.NoError(t, again.Body.Close())
	require.Empty(t, nothing)

	caller := plugin.Caller(installation)
	placed, err := caller.PlaceCall(soon, order("+5491160000015"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		u, err := caller.GetCall(soon, placed.ProviderCallID)
		return err == nil && u.State == stateCompleted && u.Collected["puntaje"] == "5" && u.IdempotencyKey == "order:1"
	}, 20*time.Second, 5*time.Millisecond)
	require.ErrorIs(t, caller.EndCall(soon, placed.ProviderCallID), &failure.Failure{Code: failure.Unsupported})

	b.simulator.SetFaults(simulator.Faults{Quota: 1})
	_, err = plugin.Speaker(installation).Synthesize(soon, sdk.Speech{Text: sentence})
	require.ErrorIs(t, err, &failure.Failure{Code: failure.QuotaExhausted})
}
