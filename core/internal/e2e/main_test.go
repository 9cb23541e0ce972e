// Package e2e_test runs Strato as people do: the built programs as processes,
// real PostgreSQL and Redis, the plugin's own simulator, HTTP from outside. It
// kills what can be killed and looks at what is left.
package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// root is the folder of this run: the built programs and the tests' data. It is
// set before the first test and only read then.
var root string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if root, err = os.MkdirTemp("", "strato-e2e-"); err != nil {
		return 1, err
	}
	defer func() {
		if e := os.RemoveAll(root); err == nil {
			err = e
		}
	}()
	// As root PostgreSQL runs as somebody else, who has to get to its data.
	if err := os.Chmod(root, 0o711); err != nil {
		return 1, err
	}
	if err := build(); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// build makes bin/ as make does, flags included, so that both share a cache.
func build() error {
	repository := filepath.Join("..", "..", "..")
	for program, source := range map[string]string{
		"strato": "core/cmd/strato", filepath.Join("plugins", "whatsapp", "whatsapp"): "plugins/whatsapp",
	} {
		cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w",
			"-o", filepath.Join(root, "bin", program), "./"+source)
		cmd.Dir = repository
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
	}
	manifest, err := os.ReadFile(filepath.Join(repository, "plugins", "whatsapp", "plugin.json"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "bin", "plugins", "whatsapp", "plugin.json"), manifest, 0o644)
}
