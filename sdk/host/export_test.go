package host

import (
	"encoding/json"
	"os"
)

// AsLost is what callers hear of a call's end.
var AsLost = asLost

// WriteRecord writes a record as an earlier host would have; an identity other
// than "" replaces the process's own.
func WriteRecord(dir string, pid int, sockets, otherIdentity string) {
	r := record{PID: pid, Identity: identity(pid), Executable: executable(pid), Sockets: sockets, Host: 1, HostIdentity: "of another boot"}
	if otherIdentity != "" {
		r.Identity = otherIdentity
	}
	b, _ := json.Marshal(r)
	_ = os.WriteFile(recordPath(dir, pid), b, 0o600)
}
