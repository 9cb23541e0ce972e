package config_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/config"
)

var key = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))

func TestDefaults(t *testing.T) {
	t.Parallel()

	c, err := config.Load([]string{"PATH=/bin", "HOME=/root"})
	require.NoError(t, err)

	require.Equal(t, "127.0.0.1:8080", c.Addr)
	require.Equal(t, "127.0.0.1:9090", c.MetricsAddr)
	require.Equal(t, "./.strato", c.Data)
	require.Equal(t, "http://127.0.0.1:8080", c.PublicURL)
	require.Equal(t, "localhost", c.BaseDomain)
	require.Equal(t, 50, c.MetricsTenants)
	require.Equal(t, slog.LevelInfo, c.LogLevel)
	require.True(t, c.Has(config.RoleAPI))
	require.True(t, c.Has(config.RoleWorker))
	require.True(t, c.EmbeddedDatabase())
	require.True(t, c.EmbeddedRedis())
	require.False(t, c.SecureCookies())
	require.NoError(t, c.Validate())
}

func TestLoad(t *testing.T) {
	t.Parallel()

	c, err := config.Load([]string{
		"STRATO_ADDR=:80", "STRATO_DATABASE_URL=postgres://u:hunter2@db/strato", "STRATO_REDIS_URL=redis://:hunter2@r:6379/1",
		"STRATO_SECRET_KEYS=b:" + key + ",a:" + key, "STRATO_PUBLIC_URL=https://strato.example/", "STRATO_BASE_DOMAIN=Strato.Example",
		"STRATO_ROLES=worker", "STRATO_LOG_LEVEL=debug", "STRATO_TRUSTED_PROXIES=10.0.0.0/8,::1", "STRATO_DATABASE_EXEC_MODE=exec",
	})
	require.NoError(t, err)

	require.Equal(t, "https://strato.example", c.PublicURL)
	require.Equal(t, "strato.example", c.BaseDomain)
	require.True(t, c.SecureCookies())
	require.False(t, c.Has(config.RoleAPI))
	require.Equal(t, slog.LevelDebug, c.LogLevel)
	require.Len(t, c.Proxies(), 2)
	require.Equal(t, "postgres://u:hunter2@db/strato", c.DatabaseURL.Reveal())

	shown := fmt.Sprint(c.Redacted()) + fmt.Sprintf("%+v", c)
	require.NotContains(t, shown, "hunter2")
	require.NotContains(t, shown, key)
	require.Contains(t, shown, "postgres://u:xxxxx@db/strato")
	require.Contains(t, shown, "b:<secret>,a:<secret>")
}

func TestNoMetrics(t *testing.T) {
	t.Parallel()

	c, err := config.Load([]string{"STRATO_METRICS_ADDR="})
	require.NoError(t, err)
	require.Empty(t, c.MetricsAddr)
}

func TestFaultsComeAllAtOnce(t *testing.T) {
	t.Parallel()

	_, err := config.Load([]string{
		"STRATO_ADDR=nowhere", "STRATO_METRICS_ADDR=:99999", "STRATO_DATABASE_URL=mysql://u:hunter2@db", "STRATO_REDIS_URL=::hunter2",
		"STRATO_SECRET_KEYS=a:hunter2", "STRATO_PUBLIC_URL=https://x/path", "STRATO_BASE_DOMAIN=a b", "STRATO_ROLES=api,king",
		"STRATO_TRUSTED_PROXIES=proxy", "STRATO_COOKIE_SECURE=maybe", "STRATO_LOG_FORMAT=xml", "STRATO_DATABASE_MAX_CONNS=0",
		"STRATO_DATABASE_EXEC_MODE=fast", "STRATO_NODE_ID=a b", "STRATO_METRICS_TENANTS=-1",
	})

	var invalid *config.Invalid
	require.ErrorAs(t, err, &invalid)
	for _, name := range []string{
		"ADDR", "METRICS_ADDR", "DATABASE_URL", "REDIS_URL", "SECRET_KEYS", "PUBLIC_URL", "BASE_DOMAIN", "ROLES", "TRUSTED_PROXIES",
		"COOKIE_SECURE", "LOG_FORMAT", "DATABASE_MAX_CONNS", "DATABASE_EXEC_MODE", "NODE_ID", "METRICS_TENANTS",
	} {
		require.Contains(t, err.Error(), "\n  STRATO_"+name+": ")
	}
	require.Len(t, invalid.Faults, 15)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestRefuses(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		line, want string
	}{
		"not a number":       {"STRATO_METRICS_TENANTS=many", "STRATO_METRICS_TENANTS: not a valid number"},
		"not a level":        {"STRATO_LOG_LEVEL=loud", "STRATO_LOG_LEVEL: not a valid level"},
		"a misspelt name":    {"STRATO_ADRR=:80", "STRATO_ADRR: no such setting"},
		"one port for two":   {"STRATO_METRICS_ADDR=127.0.0.1:8080", "must differ"},
		"a server, no keys":  {"STRATO_DATABASE_URL=postgres://db/x", "STRATO_SECRET_KEYS: needed with STRATO_DATABASE_URL"},
		"a user in the URL":  {"STRATO_PUBLIC_URL=https://u:p@x", "want no path, query or user"},
		"a URL without host": {"STRATO_PUBLIC_URL=strato.example", "want http://host"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := config.Load([]string{tt.line})
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestEveryVariableIsExplained(t *testing.T) {
	t.Parallel()

	vars := config.Vars()
	require.Greater(t, len(vars), 15)
	for _, v := range vars {
		require.Regexp(t, `^STRATO_[A-Z_]+$`, v.Name)
		require.True(t, strings.HasSuffix(v.Help, "."), "%s needs a sentence", v.Name)
	}
	c, err := config.Load(nil)
	require.NoError(t, err)
	require.Len(t, c.Redacted(), len(vars))
}

func TestNodeIsKept(t *testing.T) {
	t.Parallel()

	dir := filepath.Join(t.TempDir(), "data")
	c, err := config.Load([]string{"STRATO_DATA=" + dir})
	require.NoError(t, err)

	first, err := c.Node()
	require.NoError(t, err)
	second, err := c.Node()
	require.NoError(t, err)
	require.Equal(t, first, second)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "node-id"), []byte("a b"), 0o600))
	_, err = c.Node()
	require.ErrorContains(t, err, "STRATO_NODE_ID")
}

func TestRingFromFileOrVariable(t *testing.T) {
	t.Parallel()

	c, err := config.Load([]string{"STRATO_DATA=" + t.TempDir()})
	require.NoError(t, err)
	made, err := c.Ring()
	require.NoError(t, err)
	again, err := c.Ring()
	require.NoError(t, err)
	require.Equal(t, made.DeriveKey("x"), again.DeriveKey("x"))

	c, err = config.Load([]string{"STRATO_SECRET_KEYS=mine:" + key})
	require.NoError(t, err)
	ring, err := c.Ring()
	require.NoError(t, err)
	require.Equal(t, []string{"mine"}, ring.IDs())
}

func TestOperatorSettings(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "plugins.json")
	c, err := config.Load([]string{"STRATO_PLUGIN_SETTINGS=" + path})
	require.NoError(t, err)

	_, err = c.OperatorSettings()
	require.ErrorIs(t, err, os.ErrNotExist)

	require.NoError(t, os.WriteFile(path, []byte(`{"whatsapp":{"base_url":"http://127.0.0.1:1","app_secret":"hunter2"}}`), 0o600))
	settings, err := c.OperatorSettings()
	require.NoError(t, err)
	require.Equal(t, "hunter2", settings["whatsapp"]["app_secret"].Reveal())
	require.NotContains(t, fmt.Sprint(settings), "hunter2")

	require.NoError(t, os.WriteFile(path, []byte(`[]`), 0o600))
	_, err = c.OperatorSettings()
	require.ErrorContains(t, err, "STRATO_PLUGIN_SETTINGS")

	var invalid *config.Invalid
	require.NotErrorAs(t, err, &invalid)
}
