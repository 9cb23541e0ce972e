package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/sdk/simulator"
)

// demo is a demo of this test's own: its folder and addresses stay the same
// from run to run.
type demo struct {
	t    testing.TB
	data string
	addr string
	env  []string
	*program
}

// newDemo starts a demo and waits until it serves.
func newDemo(t testing.TB, env ...string) *demo {
	t.Helper()
	d := demoIn(t, folder(t), env...)
	d.run()
	return d
}

// demoIn prepares a demo on a folder without starting it.
func demoIn(t testing.TB, data string, env ...string) *demo {
	t.Helper()
	d := &demo{t: t, data: data, addr: freePort(t)}
	d.env = append([]string{"STRATO_DATA=" + data, "STRATO_ADDR=" + d.addr, "STRATO_METRICS_ADDR=" + freePort(t)}, env...)
	t.Cleanup(d.tell)
	return d
}

// run starts the demo, again after it ended.
func (d *demo) run() {
	d.t.Helper()
	d.program = start(d.t, d.env, "demo")
	d.says("Stop with Ctrl-C")
}

// kill ends the core alone, as the kernel would, and waits until all that it
// started is gone.
func (d *demo) kill() {
	d.t.Helper()
	family := descendants(d.Pid())
	require.NotEmpty(d.t, family)
	d.Signal(syscall.SIGKILL)
	<-d.Done()
	gone(d.t, 10*time.Second, family)
}

// stop ends the demo as Ctrl-C does.
func (d *demo) stop() {
	d.t.Helper()
	family := descendants(d.Pid())
	d.Signal(syscall.SIGINT)
	require.Zero(d.t, d.wait(patience), d.out)
	gone(d.t, 2*time.Second, family)
}

// tell shows the log of a failed test.
func (d *demo) tell() {
	if !d.t.Failed() {
		return
	}
	log := slices.DeleteFunc(strings.Split(d.log(), "\n"), func(line string) bool { return strings.Contains(line, `"level":"INFO"`) })
	const most = 20
	if len(log) > most {
		log = log[len(log)-most:]
	}
	d.t.Logf("the log of %s ends with:\n%s", d.data, strings.Join(log, "\n"))
}

func (d *demo) log() string {
	text, _ := os.ReadFile(filepath.Join(d.data, "strato.log"))
	return string(text)
}

func (d *demo) url() string { return "http://" + d.addr }

// simulator drives the provider that the demo started.
func (d *demo) simulator() *simulator.Client {
	d.t.Helper()
	c, err := simulator.FindClient(filepath.Join(d.data, "simulators", "whatsapp.json"))
	require.NoError(d.t, err)
	return c
}

// faults turns the simulator's switches.
func (d *demo) faults(switches map[string]any) {
	d.t.Helper()
	require.NoError(d.t, d.simulator().ClearFaults(d.t.Context()))
	var now json.RawMessage
	require.NoError(d.t, d.simulator().SetFaults(d.t.Context(), switches, &now))
}

// databases are those of the demo's agencies.
var databases = map[string]string{"acme": "strato", "norte": "strato_norte"}

// sql connects to a database of the demo as its superuser.
func (d *demo) sql(database string) *pgx.Conn {
	d.t.Helper()
	url, running, err := embedded.Running(d.data, database)
	require.NoError(d.t, err)
	require.True(d.t, running)
	return connect(d.t, url)
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

// value reads one value.
func value[T any](t testing.TB, conn *pgx.Conn, query string, args ...any) T {
	t.Helper()
	var v T
	require.NoError(t, conn.QueryRow(t.Context(), query, args...).Scan(&v), query)
	return v
}

// settled waits until nothing is left to do in an inbox.
func settled(t testing.TB, conn *pgx.Conn) {
	t.Helper()
	left := 0
	eventually(t, func() bool {
		left = value[int](t, conn, "select count(*) from crm.inbox where state in ('raw', 'ready')")
		return left == 0
	}, "%v rows wait in the inbox", deferred(func() string {
		return value[string](t, conn, "select string_agg(distinct state || ' ' || error, ', ') || count(*) from crm.inbox where state in ('raw', 'ready')")
	}))
}
