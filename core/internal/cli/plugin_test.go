package cli_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/sdk/host"
)

// tampered is an archive with a byte of one of its files changed.
func tampered(t *testing.T, archive, file string) string {
	t.Helper()
	raw, err := os.Open(archive)
	require.NoError(t, err)
	defer func() { _ = raw.Close() }()
	unzip, err := gzip.NewReader(raw)
	require.NoError(t, err)
	in := tar.NewReader(unzip)
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	to := tar.NewWriter(zip)
	for {
		h, err := in.Next()
		if err == io.EOF { //nolint:errorlint // the end of a tar is told bare
			break
		}
		require.NoError(t, err)
		b, err := io.ReadAll(in)
		require.NoError(t, err)
		if h.Name == file {
			b[len(b)-2] ^= 1
		}
		require.NoError(t, to.WriteHeader(h))
		_, err = to.Write(b)
		require.NoError(t, err)
	}
	require.NoError(t, to.Close())
	require.NoError(t, zip.Close())
	path := filepath.Join(t.TempDir(), "tampered.tar.gz")
	require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))
	return path
}

func TestPlugins(t *testing.T) {
	t.Parallel()

	s, db := database(t)
	s.succeeds(t, "", "migrate")
	s.succeeds(t, "", "tenant", "create", "acme", "--name", "Acme")
	first, second := hosttest.Release(t, ""), hosttest.Release(t, "v2")
	work := t.TempDir()
	key, archive := filepath.Join(work, "key.pem"), filepath.Join(work, "echo.tar.gz")
	public := strings.TrimSpace(s.succeeds(t, "", "plugin", "key", key))
	public = "us:" + public[strings.LastIndex(public, "NAME:")+len("NAME:"):]
	s.fails(t, "make the key file", "", "plugin", "key", key)
	require.Contains(t, s.succeeds(t, "", "plugin", "pack", first, "--key", key, "--out", archive), "echo 1.2.3, release")
	bare := filepath.Join(work, "bare.tar.gz")
	require.Contains(t, s.succeeds(t, "", "plugin", "pack", first, "--out", bare), "not signed")

	s.fails(t, "nobody signed it", "", "plugin", "install", bare)
	s.fails(t, "nobody signed it", "", "plugin", "install", first)
	s.fails(t, "of none of the keys", "", "plugin", "install", archive)
	s.environ = append(s.environ, "STRATO_PLUGIN_KEYS="+public)
	for _, file := range []string{hosttest.Echo, "SHA256SUMS"} {
		s.fails(t, "its files are not those of its SHA256SUMS", "", "plugin", "install", tampered(t, archive, file))
	}
	s.fails(t, "was not installed", "", "plugin", "install", tampered(t, archive, "SHA256SUMS.sig"))
	require.Contains(t, s.succeeds(t, "", "plugin", "install", archive), "signed by us, is installed")
	require.Contains(t, s.succeeds(t, "", "plugin", "install", archive), "is there already")

	s.environ = append(s.environ, "STRATO_PLUGIN_UNSIGNED=true")
	require.Contains(t, s.succeeds(t, "", "plugin", "install", second), "signed by nobody, is installed")
	left, err := filepath.Glob(filepath.Join(s.data, "plugin-store", ".incoming-*"))
	require.NoError(t, err)
	require.Empty(t, left)

	s.fails(t, "plugin.no_release", "", "plugin", "pin", "echo", "3.0.0")
	s.fails(t, "plugin.not_pinned", "", "plugin", "pin", "echo", "2.0.0", "--canary", "acme")
	s.fails(t, "plugin.not_pinned", "", "plugin", "rollback", "echo")
	require.Contains(t, s.succeeds(t, "", "plugin", "pin", "echo", "1.2.3"), "echo is pinned to 1.2.3")
	s.fails(t, "plugin.no_previous", "", "plugin", "rollback", "echo")
	s.fails(t, "agency nobody", "", "plugin", "pin", "echo", "2.0.0", "--canary", "nobody")
	require.Contains(t, s.succeeds(t, "", "plugin", "pin", "echo", "2.0.0", "--canary", "acme"), "for 1 agencies")
	require.NotContains(t, s.succeeds(t, "", "plugin", "rollback", "echo"), "agencies")
	sum := host.Look(second, hosttest.Echo).SHA256
	require.Contains(t, s.succeeds(t, "", "plugin", "pin", "echo", sum[:12]), "echo is pinned to 2.0.0")
	require.Contains(t, s.succeeds(t, "", "plugin", "rollback", "echo"), "echo is pinned to 1.2.3")
	require.Contains(t, s.succeeds(t, "", "plugin", "ps"), "on no node")
	require.Contains(t, s.succeeds(t, "", "plugin", "logs", "echo"), "rolled back by hand")
	require.Contains(t, s.succeeds(t, "", "plugin", "logs", "other"), "nothing happened")
	require.Contains(t, s.succeeds(t, "", "plugin", "retry", "echo"), "0 quarantines")
	require.Contains(t, s.succeeds(t, "", "plugin", "doctor"), "is in this node's store")
	require.NoError(t, os.RemoveAll(filepath.Join(s.data, "plugin-store", "echo", sum)))
	s.fails(t, "1 of the checks failed", "", "plugin", "doctor")

	require.Contains(t, s.succeeds(t, "", "plugin", "unpin", "echo"), "echo is not pinned any more")
	s.fails(t, "plugin.not_pinned", "", "plugin", "unpin", "echo")
	require.Contains(t, s.succeeds(t, "", "plugin", "logs", "echo"), "unpinned")
	require.Contains(t, s.succeeds(t, "", "plugin", "dead", "list"), "nothing was given up")
	conn, err := pgx.Connect(t.Context(), db.DatabaseURL("strato"))
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	lost := uuid.NewString()
	_, err = conn.Exec(t.Context(), `insert into control.spool (id, plugin, request, received_at, crashes, error, state)
		values ($1, 'echo', '', now(), 2, 'it crashed', 'dead')`, lost)
	require.NoError(t, err)
	require.Regexp(t, lost+` +shared +echo +- +\S+ +2 +it crashed`, s.succeeds(t, "", "plugin", "dead", "list", "echo"))
	s.fails(t, "1 of the checks failed", "", "plugin", "doctor")
	require.Contains(t, s.succeeds(t, "", "plugin", "dead", "list", "other"), "nothing was given up")
	require.Contains(t, s.succeeds(t, "", "plugin", "dead", "retry", lost), "goes once more")
	s.fails(t, "dead_letter.not_found", "", "plugin", "dead", "drop", lost)
	s.fails(t, "is not an id", "", "plugin", "dead", "drop", "x")

	one := uuid.NewString()
	_, err = conn.Exec(t.Context(), `insert into crm.installations (tenant_id, id, plugin, created_at, updated_at)
		select id, $1, 'echo', now(), now() from control.tenants where slug = 'acme'`, one)
	require.NoError(t, err)
	isolation := func() (out string) {
		require.NoError(t, conn.QueryRow(t.Context(), `select isolation from crm.installations where id = $1`, one).Scan(&out))
		return out
	}
	require.Contains(t, s.succeeds(t, "", "plugin", "isolate", "acme", one), "has a process of its own")
	require.Equal(t, "dedicated", isolation())
	require.Contains(t, s.succeeds(t, "", "plugin", "isolate", "acme", one, "--shared"), "shares")
	require.Equal(t, "shared", isolation())
	s.fails(t, "no installation", "", "plugin", "isolate", "acme", uuid.NewString())
	s.fails(t, "not the id", "", "plugin", "isolate", "acme", "x")
	s.fails(t, "find the agency", "", "plugin", "isolate", "nobody", one)
}
