package dbtest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/postgres"
)

// PgBouncer starts a PgBouncer in transaction mode in front of a database, with
// at most the given number of connections to the server, and returns the
// database as seen through it. It ends with the test. Pools behind it need
// [pgx.QueryExecModeExec], since Debian's PgBouncer is older than 1.21.
func PgBouncer(t testing.TB, db DB, servers int) DB {
	t.Helper()
	path := program(t, "pgbouncer", "pgbouncer")
	folder := t.TempDir()
	users := filepath.Join(folder, "users")
	require.NoError(t, os.WriteFile(users, []byte(userList(t, db)), 0o600))
	u, err := url.Parse(db.AdminURL)
	require.NoError(t, err)

	port := run(t, func(port int) *exec.Cmd {
		config := filepath.Join(folder, "pgbouncer.ini")
		require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
[databases]
%s = host=%s port=%s dbname=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
default_pool_size = %d
max_client_conn = 1000
query_wait_timeout = 60
`, db.Name, u.Hostname(), u.Port(), db.Name, port, users, servers), 0o600))
		return asNobody(t, exec.Command(path, config), folder) //nolint:noctx // run ends it
	})
	u.Host = address(port)
	return DB{Name: db.Name, AdminURL: u.String(), Key: db.Key}
}

// userList is PgBouncer's list of users and passwords.
func userList(t testing.TB, db DB) string {
	t.Helper()
	var b strings.Builder
	urls := []string{db.AdminURL}
	for _, r := range []postgres.Role{postgres.RoleApp, postgres.RoleSys, postgres.RoleIngest, postgres.RoleQueue} {
		urls = append(urls, db.URL(t, r))
	}
	for _, address := range urls {
		u, err := url.Parse(address)
		require.NoError(t, err)
		password, _ := u.User.Password()
		fmt.Fprintf(&b, "%q %q\n", u.User.Username(), password)
	}
	return b.String()
}
