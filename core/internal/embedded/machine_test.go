package embedded_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/embedded"
)

// What can be wrong with the machine is said in words that help.
func TestMachine(t *testing.T) {
	t.Parallel()

	t.Run("no binaries", func(t *testing.T) {
		t.Parallel()
		o := options(folder(t))
		o.Binaries = t.TempDir()
		_, err := embedded.StartPostgres(t.Context(), o)
		require.ErrorIs(t, err, embedded.ErrNoBinaries)
		require.ErrorContains(t, err, "there is no initdb")
		require.ErrorContains(t, err, "apt-get install postgresql")
		require.ErrorContains(t, err, "STRATO_POSTGRES_BIN")
		require.ErrorContains(t, err, "STRATO_DATABASE_URL")
	})

	t.Run("too old", func(t *testing.T) {
		t.Parallel()
		o := options(folder(t))
		o.Binaries = fake(t, "echo 'postgres (PostgreSQL) 14.9'", "exit 1")
		_, err := embedded.StartPostgres(t.Context(), o)
		require.ErrorIs(t, err, embedded.ErrNoBinaries)
		require.ErrorContains(t, err, "version 14")
	})

	t.Run("cluster of another version", func(t *testing.T) {
		t.Parallel()
		for major, bin := range map[string]string{"99": "", "14": "", "15": fake(t, "echo 'postgres (PostgreSQL) 16.1'", "exit 1")} {
			data := folder(t)
			require.NoError(t, os.MkdirAll(filepath.Join(data, "postgres", "data"), 0o711)) //nolint:gosec // to pass through
			require.NoError(t, os.WriteFile(filepath.Join(data, "postgres", "data", "PG_VERSION"), []byte(major+"\n"), 0o600))
			o := options(data)
			o.Binaries = bin
			_, err := embedded.StartPostgres(t.Context(), o)
			require.ErrorIs(t, err, embedded.ErrVersion)
			require.ErrorContains(t, err, "Install PostgreSQL "+major)
		}
	})

	t.Run("the wished port is taken", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		o := options(folder(t))
		o.Port = l.Addr().(*net.TCPAddr).Port
		_, err = embedded.StartPostgres(t.Context(), o)
		require.ErrorIs(t, err, embedded.ErrPortTaken)
		require.ErrorContains(t, err, strconv.Itoa(o.Port))
	})

	t.Run("the last port is taken", func(t *testing.T) {
		t.Parallel()
		data := folder(t)
		p := start(t, options(data))
		stop(t, p)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p.Port()))
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		require.NotEqual(t, p.Port(), start(t, options(data)).Port())
	})

	t.Run("disk full while preparing", func(t *testing.T) {
		t.Parallel()
		o := options(folder(t))
		o.Template = ""
		o.Binaries = fake(t, "echo 'postgres (PostgreSQL) 15.1'", "echo 'initdb: error: could not write file \"x\": No space left on device'; exit 1")
		_, err := embedded.StartPostgres(t.Context(), o)
		require.ErrorIs(t, err, embedded.ErrDiskFull)
		require.ErrorContains(t, err, "STRATO_DATA")
		require.NoDirExists(t, filepath.Join(o.Data, "postgres", "data"))
	})

	t.Run("disk full while starting", func(t *testing.T) {
		t.Parallel()
		o := options(folder(t))
		stop(t, start(t, o))
		o.Binaries = fake(t, `case "$1" in --version) echo 'postgres (PostgreSQL) 15.1';; *) echo 'FATAL:  could not write lock file "postmaster.pid": No space left on device' >&2; exit 1;; esac`, "")
		major, err := os.ReadFile(filepath.Join(o.Data, "postgres", "data", "PG_VERSION"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(o.Data, "postgres", "data", "PG_VERSION"), []byte("15\n"), 0o600))
		_, err = embedded.StartPostgres(t.Context(), o)
		require.ErrorIs(t, err, embedded.ErrDiskFull)
		require.ErrorContains(t, err, "postgres.log")
		require.NoError(t, os.WriteFile(filepath.Join(o.Data, "postgres", "data", "PG_VERSION"), major, 0o600))
	})

	t.Run("the reason is the server's own", func(t *testing.T) {
		t.Parallel()
		o := options(folder(t))
		o.Settings = map[string]string{"shared_buffers": "nonsense"}
		_, err := embedded.StartPostgres(t.Context(), o)
		require.ErrorContains(t, err, `invalid value for parameter "shared_buffers"`)
	})

	t.Run("a folder that root's user cannot reach", func(t *testing.T) {
		t.Parallel()
		if os.Geteuid() != 0 {
			t.Skip("only root drops its rights")
		}
		told := &sentences{}
		data := t.TempDir() // inside a folder that only root may enter
		o := options(data)
		o.Progress = told.add
		p := start(t, o)
		t.Cleanup(func() { require.NoError(t, os.RemoveAll(p.Home())) })
		require.Equal(t, "/var/lib/strato", filepath.Dir(p.Home()))
		require.Contains(t, told.String(), p.Home())
		ask(t, p.URL("postgres"), "create table kept (id int)")
		stop(t, p)

		p = start(t, o)
		require.Equal(t, "kept", ask(t, p.URL("postgres"), "select to_regclass('kept')::text"))
		stop(t, p)

		// Deleting the data folder means starting afresh.
		require.NoError(t, os.RemoveAll(filepath.Join(data, "postgres")))
		p = start(t, o)
		require.Equal(t, "none", ask(t, p.URL("postgres"), "select coalesce(to_regclass('kept')::text, 'none')"))
		require.Contains(t, told.String(), "set aside")
		aside, err := filepath.Glob(p.Home() + ".*")
		require.NoError(t, err)
		require.Len(t, aside, 1)
		require.NoError(t, os.RemoveAll(aside[0]))
	})
}

// fake makes a folder with scripts in place of postgres and initdb.
func fake(t *testing.T, postgres, initdb string) string {
	t.Helper()
	bin := folder(t)
	for name, script := range map[string]string{"postgres": postgres, "initdb": initdb} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755)) //nolint:gosec // a program
	}
	return bin
}
