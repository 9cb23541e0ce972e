package hosttest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Echo is the plugin that does what a message or a webhook says: "exit" ends its
// process, "wait FILE" waits until the file is gone, "refuse" and "fail" are
// failures, "later" wants to see a webhook a second time. Its settings are account and token.
const Echo = "echo"

// Provider is the plugin that comes with a simulator of its provider.
const Provider = "whatsapp"

// built are the plugins that the tests under way share. It is the package's only
// state.
var built struct {
	mu    sync.Mutex
	users int
	dir   string
	err   error
}

// plugins returns a folder with the plugins, built when the first of the tests
// that run beside each other asks and removed after the last.
func plugins(t testing.TB) string {
	t.Helper()
	built.mu.Lock()
	defer built.mu.Unlock()
	if built.users == 0 {
		built.dir, built.err = build()
	}
	built.users++
	t.Cleanup(func() {
		built.mu.Lock()
		defer built.mu.Unlock()
		if built.users--; built.users == 0 {
			_ = os.RemoveAll(built.dir)
		}
	})
	require.NoError(t, built.err)
	return built.dir
}

func build() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	dir, err := os.MkdirTemp("", "strato-plugins-")
	if err != nil {
		return "", err
	}
	for name, source := range map[string]string{Provider: "plugins/" + Provider, Echo: "sdk/internal/testplugin"} {
		from := filepath.Join(string(root[:len(root)-1]), source)
		manifest, err := os.ReadFile(filepath.Join(from, "plugin.json"))
		if err != nil {
			return dir, err
		}
		folder := filepath.Join(dir, name)
		if err := os.Mkdir(folder, 0o755); err != nil {
			return dir, err
		}
		if err := os.WriteFile(filepath.Join(folder, "plugin.json"), manifest, 0o600); err != nil {
			return dir, err
		}
		cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", filepath.Join(folder, name), ".")
		cmd.Dir = from
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("build plugin %s: %w: %s", name, err, out)
		}
	}
	return dir, nil
}

// Release builds the plugin [Echo] in a mode of its own and returns the folder
// with it: "v2" is its next version, "other" is refused by its host.
func Release(t testing.TB, mode string) string {
	t.Helper()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	require.NoError(t, err)
	from := filepath.Join(strings.TrimSpace(string(root)), "sdk/internal/testplugin")
	manifest, err := os.ReadFile(filepath.Join(from, "plugin.json"))
	require.NoError(t, err)
	if mode == "v2" {
		manifest = bytes.Replace(manifest, []byte("1.2.3"), []byte("2.0.0"), 1)
	}
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "plugin.json"), manifest, 0o600))
	cmd := exec.Command("go", "build", "-ldflags", "-s -w -X main.mode="+mode, "-o", filepath.Join(folder, Echo), ".")
	cmd.Dir = from
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return folder
}
