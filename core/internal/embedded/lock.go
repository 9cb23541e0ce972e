package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// folderLock is held on a data folder for as long as its file is open; the
// kernel lets go of it however the process ends.
type folderLock struct{ file *os.File }

// lockFolder takes the lock, or says who has it.
func lockFolder(folder string) (*folderLock, error) {
	path := filepath.Join(folder, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, spaceless(fmt.Errorf("open lock: %w", err))
	}
	err = flock(f)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		by := holder(f)
		_ = f.Close()
		return nil, fmt.Errorf("%w by another Strato%s: stop that one, or give this one another folder with STRATO_DATA (folder %s)",
			ErrLocked, by, filepath.Dir(folder))
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0) // only for the message above
	}
	return &folderLock{file: f}, nil
}

// flock tries for a moment, since a command that only looks ([Running]) holds the
// lock that long.
func flock(f *os.File) (err error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 10 {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		<-tick.C
	}
	return err
}

func holder(f *os.File) string {
	b := make([]byte, 16)
	n, _ := f.ReadAt(b, 0) // a short read is expected
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

func (l *folderLock) release() error { return l.file.Close() }

// lockFile waits for the lock of a file, which is made with its folder when it is
// not there. It is for short work that two processes must not do at once.
func lockFile(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o711); err != nil { //nolint:gosec // PostgreSQL's user has to pass through
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	unlock = func() { _ = f.Close() } // lets go of the lock
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}
