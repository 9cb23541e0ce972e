package simulation_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/simulation"
)

// script writes a program that stands for a plugin's.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "toy")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755)) //nolint:gosec // a program
	return path
}

func start(t *testing.T, ctx context.Context, text string) (*simulation.Simulator, string, error) { //nolint:revive // t first reads better
	t.Helper()
	data := t.TempDir()
	s, err := simulation.Start(ctx, "toy", script(t, text), data, slog.New(slog.DiscardHandler))
	return s, data, err
}

func TestStart(t *testing.T) {
	t.Parallel()

	t.Run("tells where it listens, and leaves nothing behind", func(t *testing.T) {
		t.Parallel()

		// What it says after the first line must not block it.
		s, data, err := start(t, t.Context(), `echo '{"addr":"127.0.0.1:5","base_url":"http://127.0.0.1:5"}'
			head -c 200000 /dev/zero; echo "$@ $$" > "$6.started"; exec cat`)
		require.NoError(t, err)
		require.Equal(t, "http://127.0.0.1:5", s.BaseURL)
		raw, err := os.ReadFile(simulation.File(data, "toy"))
		require.NoError(t, err)
		require.True(t, json.Valid(raw))
		var words []string
		require.Eventually(t, func() bool {
			raw, err := os.ReadFile(filepath.Join(data, "simulators", "toy-state.json.started"))
			words = strings.Fields(string(raw))
			return err == nil && len(words) > 0
		}, 5*time.Second, time.Millisecond)
		require.Equal(t, []string{"simulate", "serve", "--addr", "127.0.0.1:0", "--state"}, words[:5])
		pid, err := strconv.Atoi(words[len(words)-1])
		require.NoError(t, err)
		s.Stop()
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
		require.NoFileExists(t, simulation.File(data, "toy"))
	})

	t.Run("one that does not start says why", func(t *testing.T) {
		t.Parallel()

		for text, want := range map[string]string{
			`echo "no room"; exit 1`: `it said "no room\n"`,
			`exit 1`:                 `it said ""`,
			`echo '{}'; exec cat`:    "instead of where it listens",
		} {
			_, data, err := start(t, t.Context(), text)
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "start the simulator of toy")
			require.NoFileExists(t, simulation.File(data, "toy"))
		}
	})

	t.Run("who does not wait is not kept", func(t *testing.T) {
		t.Parallel()

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := start(t, ctx, "exec cat")
		require.ErrorIs(t, err, context.Canceled)
	})

	t.Run("a program that is not there", func(t *testing.T) {
		t.Parallel()

		_, err := simulation.Start(t.Context(), "toy", filepath.Join(t.TempDir(), "toy"), t.TempDir(), slog.New(slog.DiscardHandler))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}
