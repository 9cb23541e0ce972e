package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/embedded"
)

const (
	// flood is how many messages come in while something is killed, from so many
	// people.
	flood  = 1000
	people = 40
	// senders post at once.
	senders = 12
)

// The operator's own app, for webhooks of all agencies at one address.
const (
	appSecret   = "0123456789abcdef0123456789abcdef"
	verifyToken = "a word of the operator's"
)

func TestKillNine(t *testing.T) {
	t.Parallel()

	for name, prepare := range map[string]func(t *testing.T) (*demo, func()){
		"core":       victimCore,
		"nobody":     victimNobody,
		"plugin":     victimPlugin,
		"PostgreSQL": victimPostgres,
		"Redis":      victimRedis,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			d, kill := prepare(t)
			f := newFlood(t, d, strings.ToLower(name))
			f.run(t, kill)
			f.check(t, d)
		})
	}
}

// victimNobody stops Strato as Ctrl-C does and starts it again.
func victimNobody(t *testing.T) (*demo, func()) {
	t.Helper()
	d := newDemo(t, "STRATO_PLUGIN_SETTINGS="+operatorSettings(t))
	return d, func() {
		d.stop()
		require.NotContains(t, d.log(), "panic")
		d.run()
	}
}

// victimCore kills the core and starts it again: once when all that it started
// is gone, once while the database server still stops.
func victimCore(t *testing.T) (*demo, func()) {
	t.Helper()
	d := newDemo(t, "STRATO_PLUGIN_SETTINGS="+operatorSettings(t))
	patient := true
	return d, func() {
		family := descendants(d.Pid())
		for _, name := range []string{"postgres", "simulate", "whatsapp"} {
			require.Contains(t, fmt.Sprint(family), name)
		}
		d.Signal(syscall.SIGKILL)
		<-d.Done()
		var programs, server []running
		for _, r := range family {
			if strings.Contains(r.words, "postgres") {
				server = append(server, r)
			} else {
				programs = append(programs, r)
			}
		}
		if patient {
			gone(t, 2*time.Second, programs)
			gone(t, 10*time.Second, server) // it shuts down in an orderly way
		}
		d.run()
		gone(t, time.Second, family)
		patient = false
	}
}

// victimPlugin kills the plugin's process, which comes back by itself.
func victimPlugin(t *testing.T) (*demo, func()) {
	t.Helper()
	d := newDemo(t, "STRATO_PLUGIN_SETTINGS="+operatorSettings(t))
	return d, func() {
		p := d.plugin()
		require.NoError(t, syscall.Kill(p.pid, syscall.SIGKILL))
		gone(t, 2*time.Second, []running{p})
		d.plugin()
	}
}

// plugin waits for the plugin's process.
func (d *demo) plugin() running {
	d.t.Helper()
	var found running
	eventually(d.t, func() bool {
		for _, r := range descendants(d.Pid()) {
			if r.words == "whatsapp" {
				found = r
				return true
			}
		}
		return false
	}, "the plugin does not run")
	return found
}

// victimPostgres kills the database server, which comes back by itself.
func victimPostgres(t *testing.T) (*demo, func()) {
	t.Helper()
	d := newDemo(t, "STRATO_PLUGIN_SETTINGS="+operatorSettings(t))
	return d, func() {
		server := d.child("/postgres -D")
		require.NoError(t, syscall.Kill(server.pid, syscall.SIGKILL))
		gone(t, 10*time.Second, []running{server})
		require.NotEqual(t, server.pid, d.child("/postgres -D").pid)
	}
}

// victimRedis kills a Redis server and starts another in its place.
func victimRedis(t *testing.T) (*demo, func()) {
	t.Helper()
	addr := freePort(t)
	server := startRedis(t, addr)
	d := newDemo(t, "STRATO_PLUGIN_SETTINGS="+operatorSettings(t), "STRATO_REDIS_URL=redis://"+addr+"/0")
	return d, func() {
		server.Signal(syscall.SIGKILL)
		<-server.Done()
		// Everything goes on without it.
		agent := d.signIn("agent@acme.example")
		require.NotEmpty(t, all[leadView](agent, "/api/leads"))
		server = startRedis(t, addr)
	}
}

func startRedis(t *testing.T, addr string) *embedded.Process {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	require.NoError(t, err, "run: apt-get install -y redis-server (make test does it as root)")
	cmd := exec.Command(path, "--port", addr[strings.LastIndex(addr, ":")+1:], "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", t.TempDir())
	p, err := embedded.StartProcess(cmd, syscall.SIGKILL)
	require.NoError(t, err)
	t.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		<-p.Done()
	})
	return p
}

// wave is a thousand messages and what became of them.
type wave struct {
	name     string
	accounts []account
	shared   string // address of the operator's app
	epoch    time.Time

	mu        sync.Mutex
	taken     map[string]bool // ids that were answered 2xx
	done      atomic.Int64
	refusals  atomic.Int64
	abandoned atomic.Int64
}

func newFlood(t *testing.T, d *demo, name string) *wave {
	t.Helper()
	return &wave{
		name: name, accounts: []account{d.account("acme"), d.account("norte")}, shared: d.url() + "/api/webhooks/whatsapp",
		epoch: time.Now().Add(-time.Hour), taken: map[string]bool{},
	}
}

func (f *wave) id(n int) string  { return fmt.Sprintf("wamid.%s-%04d", f.name, n) }
func (f *wave) of(n int) account { return f.accounts[n%2] }
func phone(n int) string         { return "54911600" + strconv.Itoa(10000+n/2%people) }

// run sends all messages, and kills after a third and after two thirds of them.
func (f *wave) run(t *testing.T, kill func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	numbers := make(chan int)
	var work sync.WaitGroup
	for range senders {
		work.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for n := range numbers {
				f.send(ctx, c, n)
				f.done.Add(1)
			}
		})
	}
	work.Go(func() {
		defer close(numbers)
		for n := range flood {
			select {
			case numbers <- n:
			case <-ctx.Done():
				return
			}
		}
	})
	for third := range int64(2) {
		eventually(t, func() bool { return f.done.Load() > (third+1)*flood/3 }, "the messages do not get through")
		kill()
	}
	work.Wait()
	require.NoError(t, ctx.Err(), "not all messages were sent in time")
}

// send posts a message as the provider does: again, the same bytes, until it is
// taken. One in ten it gives up after a refusal.
func (f *wave) send(ctx context.Context, c *http.Client, n int) {
	a := f.of(n)
	raw := body(a.text(f.id(n), phone(n), "mensaje "+strconv.Itoa(n), f.epoch.Add(time.Duration(n)*time.Second)))
	url, secret := a.hook, a.secret
	if n%4 < 2 {
		url, secret = f.shared, appSecret
	}
	wait := time.NewTicker(100 * time.Millisecond)
	defer wait.Stop()
	for ctx.Err() == nil {
		if status := post(ctx, c, url, secret, raw); status >= 200 && status < 300 {
			f.mu.Lock()
			f.taken[f.id(n)] = true
			f.mu.Unlock()
			return
		}
		f.refusals.Add(1)
		if n%10 == 9 {
			f.abandoned.Add(1)
			return
		}
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
	}
}

// check compares what was answered with what is there, by SQL and by REST.
func (f *wave) check(t *testing.T, d *demo) {
	t.Helper()
	t.Logf("%d of %d were taken, after %d refusals; %d were given up", len(f.taken), flood, f.refusals.Load(), f.abandoned.Load())
	// First the common spool, for what is in it goes to the inboxes.
	control := d.sql("strato")
	eventually(t, func() bool {
		return value[int](t, control, "select count(*) from control.spool where state = 'waiting'") == 0
	}, "webhooks wait in the spool")
	require.Zero(t, value[int](t, control, "select count(*) from control.spool"), "webhooks were given up")
	stored := map[string]int{}
	for _, a := range f.accounts {
		conn := d.sql(databases[a.label])
		settled(t, conn)
		require.Zero(t, value[int](t, conn, "select count(*) from crm.inbox where state = 'dead'"))
		require.Zero(t, value[int](t, conn, "select count(*) from crm.failed_events"))
		rows, err := conn.Query(t.Context(), "select external_id, count(*) from crm.messages where external_id like 'wamid.'||$1||'-%' group by 1", f.name)
		require.NoError(t, err)
		for rows.Next() {
			var id string
			var count int
			require.NoError(t, rows.Scan(&id, &count))
			stored[id] += count
		}
		require.NoError(t, rows.Err())
	}
	served := f.served(t, d)
	for n := range flood {
		id := f.id(n)
		if f.taken[id] {
			require.Equal(t, 1, stored[id], "%s was acknowledged", id)
		}
		require.LessOrEqual(t, stored[id], 1, "%s", id)
		require.Equal(t, stored[id], served[id], "%s over REST", id)
	}
}

// served counts the messages that the agencies' people see, and checks that
// they are in order and with the right person.
func (f *wave) served(t *testing.T, d *demo) map[string]int {
	t.Helper()
	count := map[string]int{}
	for label, email := range map[string]string{"acme": "owner@acme.example", "norte": "owner@norte.example"} {
		c := d.signIn(email)
		seen := map[string]bool{}
		for _, v := range all[conversationView](c, "/api/conversations") {
			who := ""
			for _, i := range v.Contact.Identities {
				if i.Kind == "wa_id" {
					who = i.Value
				}
			}
			last := flood
			for _, m := range c.messages(v.ID) {
				n, err := strconv.Atoi(strings.TrimPrefix(m.ExternalID, "wamid."+f.name+"-"))
				if err != nil {
					continue
				}
				require.Less(t, n, last, "the order of the messages of %s", who)
				last = n
				count[m.ExternalID]++
				require.Equal(t, phone(n), who)
				require.Equal(t, label, f.of(n).label)
				require.False(t, seen[who] && count[m.ExternalID] > 1)
			}
			seen[who] = true
		}
	}
	return count
}
