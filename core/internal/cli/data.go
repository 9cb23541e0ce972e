package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/stratohub/strato/core/internal/config"
)

// holdData makes the data folder and takes it for this process: the plugins'
// sockets, the node's name and the simulators' state belong to one at a time.
// The kernel lets go of it however the process ends.
func holdData(cfg config.Config) (release func(), err error) {
	const instead = "Set STRATO_DATA to a folder that can be written"
	if err := os.MkdirAll(cfg.Data, 0o755); err != nil { //nolint:gosec // PostgreSQL's user has to pass through
		return nil, fmt.Errorf("make the data folder: %w. %s", err, instead)
	}
	f, err := os.OpenFile(filepath.Join(cfg.Data, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w. %s", err, instead)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data folder %s is in use by another Strato%s: stop that one, or give this one another folder with STRATO_DATA",
				cfg.Data, holder(f))
		}
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0) // only for the words above
	}
	return func() { _ = f.Close() }, nil
}

// holder names the process that has the lock, if it left its number.
func holder(f *os.File) string {
	b := make([]byte, 16)
	n, _ := f.ReadAt(b, 0) // a short read is expected
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}
