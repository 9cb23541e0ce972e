package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// linkLibraries makes the symbolic links between libraries that npm cannot pack
// and that the package's install script would make, if npm let it run. root is
// the package's folder native.
func linkLibraries(root string) error {
	list, err := os.ReadFile(filepath.Join(root, "pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the list of links: %w", err)
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return fmt.Errorf("read the list of links: %w", err)
	}
	// The paths are relative to the package, of which root is the folder native.
	at := filepath.Dir(root)
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) {
			return fmt.Errorf("the list of links leaves the package: %s", l.Target)
		}
		target := filepath.Join(at, l.Target)
		if _, err := os.Lstat(target); err == nil {
			continue
		}
		from, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return fmt.Errorf("link %s: %w", l.Target, err)
		}
		if err := os.Symlink(from, target); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("link libraries (or run npm rebuild): %w", err)
		}
	}
	return nil
}

// forAccount returns binaries that the account can execute: the same, or a copy
// under /var/lib/strato when they are in a folder that only root may enter.
func (b binaries) forAccount(a *account, progress func(string)) (binaries, error) {
	if a.reaches(b.folder) {
		return b, nil
	}
	sum := sha256.Sum256([]byte(b.folder))
	root := filepath.Join(systemFolder, "binaries-"+hex.EncodeToString(sum[:6]))
	copied := b
	copied.folder = filepath.Join(root, filepath.Base(b.folder))
	unlock, err := lockFile(root + ".lock")
	if err != nil {
		return b, fmt.Errorf("copy PostgreSQL to %s: %w", root, err)
	}
	defer unlock()
	if sameVersion(b.folder, copied.folder) {
		return copied, nil
	}
	progress(fmt.Sprintf("Copying PostgreSQL to %s, because user %s cannot reach %s.", root, a.name, b.folder))
	if err := replaceTree(filepath.Dir(b.folder), root, nil); err != nil {
		return b, fmt.Errorf("copy PostgreSQL to %s: %w", root, err)
	}
	return copied, nil
}

// sameVersion compares by size and time, which copying keeps.
func sameVersion(a, b string) bool {
	x, err1 := os.Stat(filepath.Join(a, "postgres"))
	y, err2 := os.Stat(filepath.Join(b, "postgres"))
	return err1 == nil && err2 == nil && x.Size() == y.Size() && x.ModTime().Equal(y.ModTime())
}
