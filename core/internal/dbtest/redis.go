package dbtest

import (
	"os/exec"
	"strconv"
	"testing"
)

// Redis starts a redis-server of this test's own, which keeps nothing, and
// returns its URL. It ends with the test.
func Redis(t testing.TB) string {
	t.Helper()
	path := program(t, "redis-server", "redis-server")
	folder := t.TempDir()
	port := run(t, func(port int) *exec.Cmd {
		return exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", //nolint:noctx // run ends it
			"--save", "", "--appendonly", "no", "--dir", folder, "--daemonize", "no")
	})
	return "redis://" + address(port) + "/0"
}
