package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// operatorSettings is a file with the operator's own app for the plugin.
func operatorSettings(t *testing.T) string {
	t.Helper()
	raw, err := json.Marshal(object{"whatsapp": object{"app_secret": appSecret, "verify_token": verifyToken}})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "plugins.json")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return path
}
