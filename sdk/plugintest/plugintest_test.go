package plugintest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/plugintest"
)

// folder has the built parrot; TestMain makes it.
var folder string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "parrot")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	folder = filepath.Join(dir, "parrot")
	if err := os.Mkdir(folder, 0o700); err != nil {
		panic(err)
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(folder, "parrot"), "./internal/parrot")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		panic(err)
	}
	document, err := os.ReadFile("internal/parrot/plugin.json")
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "plugin.json"), document, 0o600)
	}
	if err != nil {
		panic(err)
	}
	return m.Run()
}

func TestAGoodPluginPasses(t *testing.T) {
	t.Parallel()

	plugintest.Run(t, plugintest.Config{Folder: folder})
}

// TestDefectsAreNoticed runs a plugin that does one thing wrong for each check
// that talks to a process, and wants exactly that check to tell.
func TestDefectsAreNoticed(t *testing.T) {
	t.Parallel()

	for _, name := range plugintest.Tried() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			r, err := plugintest.Only(t.Context(), plugintest.Config{Folder: folder, Operator: map[string]string{"defect": name}}, name)
			require.NoError(t, err)
			require.Empty(t, r.Skipped)
			require.Error(t, r.Err, "the defect is not noticed")
		})
	}
}

func TestManifests(t *testing.T) {
	t.Parallel()

	document, err := os.ReadFile(filepath.Join(folder, "plugin.json"))
	require.NoError(t, err)
	for check, spoil := range map[string]func(m map[string]any){
		"manifest/contents":  func(m map[string]any) { m["content_kinds"] = []string{"text", "location"} },
		"manifest/simulator": func(m map[string]any) { m["simulator"] = false },
	} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()

			var m map[string]any
			require.NoError(t, json.Unmarshal(document, &m))
			spoil(m)
			spoiled, err := json.Marshal(m)
			require.NoError(t, err)
			dir := filepath.Join(t.TempDir(), "parrot")
			require.NoError(t, os.Mkdir(dir, 0o700))
			require.NoError(t, os.Symlink(filepath.Join(folder, "parrot"), filepath.Join(dir, "parrot")))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "plugin.json"), spoiled, 0o600))
			r, err := plugintest.Only(t.Context(), plugintest.Config{Folder: dir}, check)
			require.NoError(t, err)
			require.Error(t, r.Err)
			r, err = plugintest.Only(t.Context(), plugintest.Config{Folder: folder}, check)
			require.NoError(t, err)
			require.NoError(t, r.Err)
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()

	_, err := plugintest.Examine(t.Context(), plugintest.Config{Folder: t.TempDir()})
	require.ErrorContains(t, err, "read the manifest (build the plugin first)")

	r, err := plugintest.Examine(t.Context(), plugintest.Config{
		Folder: folder, Operator: map[string]string{"defect": "webhooks/unsigned"},
		Skip: map[string]string{"send": "it only listens today", "process": "tested elsewhere", "isolation/accounts": "there is one", "isolation/secrets": "there is one"},
	})
	require.NoError(t, err)
	require.Equal(t, "parrot", r.Plugin)
	require.Len(t, r.Failed(), 1)
	require.Equal(t, "webhooks/unsigned", r.Failed()[0].Name())
	var out bytes.Buffer
	require.NoError(t, r.Print(&out))
	require.Regexp(t, `(?m)^FAIL +webhooks/unsigned +a webhook without its signature is verified$`, out.String())
	require.Regexp(t, `(?m)^skip +send/contents +it only listens today$`, out.String())
	require.Regexp(t, `(?m)^ok +webhooks/accepted *$`, out.String())
}
