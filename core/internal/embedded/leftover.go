package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long a server gets to stop: politely, then without a checkpoint.
const (
	fastStop      = 20 * time.Second
	immediateStop = 5 * time.Second
)

// stopLeftover stops a server that still runs on the cluster, left by a process
// that was killed, and removes a pid file that nobody stands behind. The
// folder's lock must be held.
func stopLeftover(ctx context.Context, cluster string, progress func(string)) error {
	file := filepath.Join(cluster, "postmaster.pid")
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 || !serves(pid, cluster) {
		// PostgreSQL would refuse to start when the number belongs to another
		// process by now, as it may after the machine restarted.
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove stale %s: %w", file, err)
		}
		return nil
	}
	progress(fmt.Sprintf("Stopping the PostgreSQL (process %d) that an earlier run left behind.", pid))
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, fastStop}, {syscall.SIGQUIT, immediateStop}, {syscall.SIGKILL, immediateStop}} {
		if err := syscall.Kill(pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop the PostgreSQL (process %d) left by an earlier run: %w", pid, err)
		}
		gone, err := waitGone(ctx, pid, cluster, step.wait)
		if gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("the PostgreSQL (process %d) left by an earlier run does not stop: stop it by hand", pid)
}

// waitGone polls, since the process is not our child.
func waitGone(ctx context.Context, pid int, cluster string, most time.Duration) (bool, error) {
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for serves(pid, cluster) {
		select {
		case <-tick.C:
		case <-deadline.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}
