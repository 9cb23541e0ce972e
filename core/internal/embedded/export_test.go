package embedded

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// AsPostgresUser makes a command run as the user that the package would take.
func AsPostgresUser(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	user, err := unprivileged()
	require.NoError(t, err)
	cmd.SysProcAttr = user.attributes()
	cmd.Dir = "/"
	return cmd
}
