package host

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// recordsDir is the folder of the records below the runtime folder.
const recordsDir = "processes"

// maxSocketDir leaves room for what go-plugin appends: a socket's path has at
// most 104 bytes on the systems we know.
const maxSocketDir = 60

// record says which process a host started, for the next host to end if this
// one could not.
type record struct {
	PID int `json:"pid"`
	// Identity and Executable must still match: numbers are used again.
	Identity   string `json:"identity"`
	Executable string `json:"executable"`
	Sockets    string `json:"sockets"`
	// Host is who started it; while that lives, the process is not ours.
	Host         int    `json:"host"`
	HostIdentity string `json:"host_identity"`
}

func recordPath(dir string, pid int) string {
	return filepath.Join(dir, recordsDir, strconv.Itoa(pid)+".json")
}

// writeRecord is best effort: the kernel and the lifeline end a plugin as well.
func writeRecord(dir string, pid int, sockets string) {
	self := os.Getpid()
	b, err := json.Marshal(record{
		PID: pid, Identity: identity(pid), Executable: executable(pid), Sockets: sockets, Host: self, HostIdentity: identity(self),
	})
	if err == nil {
		_ = os.WriteFile(recordPath(dir, pid), b, 0o600)
	}
}

// sweep ends what an earlier host of this folder left running, and removes its
// sockets. Processes of a host that still lives are left alone.
func sweep(dir string, log *slog.Logger) {
	entries, err := os.ReadDir(filepath.Join(dir, recordsDir))
	if err != nil {
		return
	}
	for _, e := range entries {
		path := filepath.Join(dir, recordsDir, e.Name())
		b, err := os.ReadFile(path)
		var r record
		if err != nil || json.Unmarshal(b, &r) != nil || r.PID <= 1 {
			_ = os.Remove(path)
			continue
		}
		if r.HostIdentity != "" && identity(r.Host) == r.HostIdentity && r.Host != os.Getpid() {
			continue
		}
		if r.Identity != "" && identity(r.PID) == r.Identity && executable(r.PID) == r.Executable {
			log.Warn("ended a plugin process that an earlier run left behind", "pid", r.PID, "executable", r.Executable)
			killGroup(r.PID)
			r.awaitEnd(time.Second)
		}
		if ours := filepath.Base(r.Sockets); strings.HasPrefix(ours, socketPrefix) {
			_ = os.RemoveAll(r.Sockets)
		}
		_ = os.Remove(path)
	}
}

// awaitEnd returns when the process has ended, or after the limit.
func (r record) awaitEnd(limit time.Duration) {
	late := time.NewTimer(limit)
	defer late.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for identity(r.PID) == r.Identity {
		select {
		case <-late.C:
			return
		case <-tick.C:
		}
	}
}

// socketPrefix starts the names of the folders of sockets.
const socketPrefix = "strato-"

// newSocketDir makes a folder that only this user can enter, and the plugins' if
// they have one, with a path short enough for a socket in it.
func newSocketDir(runtimeDir string, u User) (string, error) {
	base := runtimeDir
	if !u.own() { // who may not enter the folders above
		base = os.TempDir()
	}
	for _, shorter := range []string{os.TempDir(), "/tmp"} {
		if len(base)+len(socketPrefix)+10 <= maxSocketDir {
			break
		}
		base = shorter
	}
	dir, err := os.MkdirTemp(base, socketPrefix)
	if err != nil || u.own() {
		return dir, err
	}
	if err := errors.Join(os.Chown(dir, -1, u.GID), os.Chmod(dir, 0o710)); err != nil { //nolint:gosec // the group is the plugins'
		_ = os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}
