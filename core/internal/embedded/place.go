package embedded

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// systemFolder is where clusters and binaries go that root's unprivileged user
// could not reach otherwise.
const systemFolder = "/var/lib/strato"

// place is where one cluster is kept:
//
//	<data>/postgres/lock      held while in use
//	<data>/postgres/home      path of home and a token, when home is elsewhere
//	<home>/data               the cluster, owned by the account
//	<home>/password           the superuser's, 0600
//	<home>/port               used last
//	<home>/postgres.log       and .1, the one before
type place struct {
	folder string // <data>/postgres
	home   string
	user   *account
}

func (p place) cluster() string  { return filepath.Join(p.home, "data") }
func (p place) password() string { return filepath.Join(p.home, "password") }
func (p place) port() string     { return filepath.Join(p.home, "port") }
func (p place) log() string      { return filepath.Join(p.home, "postgres.log") }

// openFolder makes <data>/postgres. It can be entered but not listed, so that
// the account gets to the cluster in it.
func openFolder(data string) (string, error) {
	data, err := filepath.Abs(data)
	if err != nil {
		return "", fmt.Errorf("find data folder: %w", err)
	}
	folder := filepath.Join(data, "postgres")
	if err := os.MkdirAll(data, 0o755); err != nil { //nolint:gosec // PostgreSQL's user has to pass through
		return "", spaceless(fmt.Errorf("make data folder: %w", err))
	}
	if err := os.Mkdir(folder, 0o711); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:gosec // PostgreSQL's user has to pass through
		return "", spaceless(fmt.Errorf("make data folder: %w", err))
	}
	return folder, nil
}

// choosePlace decides where the cluster lives. The folder's lock must be held.
func choosePlace(folder string, user *account, progress func(string)) (place, error) {
	p := place{folder: folder, home: folder, user: user}
	if user.reaches(folder) {
		return p, nil
	}
	sum := sha256.Sum256([]byte(folder))
	p.home = filepath.Join(systemFolder, hex.EncodeToString(sum[:8]))
	progress(fmt.Sprintf("PostgreSQL's data is kept in %s, because user %s cannot reach %s.", p.home, user.name, folder))
	if err := os.MkdirAll(p.home, 0o711); err != nil { //nolint:gosec // PostgreSQL's user has to pass through
		return p, spaceless(fmt.Errorf("make folder for PostgreSQL: %w", err))
	}
	return p, p.pair(progress)
}

// pair ties a home elsewhere to its data folder. When the data folder was
// deleted to start afresh, the old cluster must not come back: it is set aside.
func (p place) pair(progress func(string)) error {
	here, there := filepath.Join(p.folder, "home"), filepath.Join(p.home, "owner")
	token, err := os.ReadFile(there)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", there, err)
	}
	if len(token) > 0 {
		line, _ := os.ReadFile(here) // absent counts as different
		if string(line) == p.home+"\n"+string(token) {
			return nil
		}
		aside := p.home + "." + time.Now().UTC().Format("20060102T150405.000")
		progress(fmt.Sprintf("An older cluster of this folder was set aside as %s; delete it if you do not need it.", aside))
		if err := os.Rename(p.home, aside); err != nil {
			return fmt.Errorf("set old cluster aside: %w", err)
		}
		if err := os.Mkdir(p.home, 0o711); err != nil { //nolint:gosec // PostgreSQL's user has to pass through
			return spaceless(fmt.Errorf("make folder for PostgreSQL: %w", err))
		}
	}
	fresh := rand.Text()
	if err := writeFile(here, p.home+"\n"+fresh); err != nil {
		return err
	}
	return writeFile(there, fresh)
}

// findHome returns where the cluster of a data folder lives, for a process that
// did not choose the place.
func findHome(folder string) string {
	line, err := os.ReadFile(filepath.Join(folder, "home"))
	if err != nil {
		return folder
	}
	home, _, _ := strings.Cut(string(line), "\n")
	return home
}

// major returns the version that wrote the cluster, 0 when there is none.
func (p place) major() (int, error) {
	b, err := os.ReadFile(filepath.Join(p.cluster(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read cluster's version: %w", err)
	}
	return numberIn(string(b)), nil
}

// writeFile replaces a private file in one step.
func writeFile(path, content string) error {
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil { //nolint:gosec // the operator named the folder, this package the file
		return spaceless(fmt.Errorf("write %s: %w", path, err))
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
