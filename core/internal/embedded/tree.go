package embedded

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// replaceTree copies the folder from to the folder to, all or nothing: what was
// there is replaced once the copy is complete. The files become the account's.
func replaceTree(from, to string, owner *account) error {
	fresh := to + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // PostgreSQL's user has to pass through
		return err
	}
	if err := copyTree(from, fresh, owner); err != nil {
		_ = os.RemoveAll(fresh) // the copy's error matters more
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.Rename(fresh, to)
}

// copyTree copies folders, files and symbolic links with their modes and times.
// Nobody can lead it out of the two folders with a link: root copies into what
// the account owns by then.
func copyTree(from, to string, owner *account) error {
	src, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read
	info, err := src.Stat(".")
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, info.Mode().Perm()); err != nil {
		return err
	}
	dst, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer func() { _ = dst.Close() }() // nothing is written by it
	return fs.WalkDir(src.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case path == ".": // made above
		case d.IsDir():
			info, err := d.Info()
			if err != nil {
				return err
			}
			if err := dst.Mkdir(path, info.Mode().Perm()); err != nil {
				return err
			}
		case d.Type()&fs.ModeSymlink != 0:
			link, err := src.Readlink(path)
			if err != nil {
				return err
			}
			if err := dst.Symlink(link, path); err != nil {
				return err
			}
		case d.Type().IsRegular():
			if err := copyFile(src, dst, path); err != nil {
				return err
			}
		default:
			return nil // sockets and the like do not travel
		}
		return owner.ownIn(dst, path)
	})
}

func copyFile(from, to *os.Root, path string) error {
	src, err := from.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := to.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		_ = dst.Close()
		return fmt.Errorf("copy %s: %w", src.Name(), err)
	}
	if err := dst.Close(); err != nil {
		return err
	}
	return to.Chtimes(path, info.ModTime(), info.ModTime())
}
