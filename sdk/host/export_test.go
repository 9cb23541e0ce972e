package host

import (
	"encoding/json"
	"os"
	"time"
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

// Grants give out tokens.
type Grants struct{ grants *grants }

// NewGrants are those of a process.
func NewGrants() *Grants { return &Grants{newGrants()} }

// Issue is issue.
func (g *Grants) Issue(tenant, installation string, now time.Time) string {
	return g.grants.issue(tenant, installation, now)
}

// Verify is verify.
func (g *Grants) Verify(token string, now time.Time) (tenant, installation string, ok bool) {
	one, ok := g.grants.verify(token, now)
	return one.Tenant, one.Installation, ok
}
