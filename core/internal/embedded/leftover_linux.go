package embedded

import (
	"os"
	"path/filepath"
	"strconv"
)

// serves reports whether the process is a server on the cluster: PostgreSQL
// makes the cluster its working folder.
func serves(pid int, cluster string) bool {
	cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(cluster)
	return err == nil && cwd == real
}
