package e2e_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/embedded"
)

// soon is what a start that cannot succeed may take on a busy machine.
const soon = 20 * time.Second

// TestStart begins with everything that keeps Strato from starting: it ends
// with code 1 and one sentence that says what to do, and leaves nothing behind.
func TestStart(t *testing.T) {
	t.Parallel()

	t.Run("port in use", func(t *testing.T) {
		t.Parallel()

		for _, variable := range []string{"STRATO_ADDR", "STRATO_METRICS_ADDR"} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			d := demoIn(t, folder(t))
			d.env = append(d.env, variable+"="+l.Addr().String())
			for _, command := range []string{"demo", "serve"} {
				d.fails(command, "cannot listen on "+l.Addr().String(), "set "+variable)
			}
			require.NoError(t, l.Close())
		}
	})
	t.Run("no PostgreSQL", func(t *testing.T) {
		t.Parallel()

		empty := folder(t)
		d := demoIn(t, folder(t), "STRATO_POSTGRES_BIN="+empty)
		d.fails("serve", "no usable PostgreSQL in "+empty, "apt-get install postgresql")
	})
	t.Run("data folder", func(t *testing.T) {
		t.Parallel()

		file := filepath.Join(folder(t), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		for _, command := range []string{"demo", "serve"} {
			d := demoIn(t, filepath.Join(file, "data"))
			d.tries(command, "make the data folder", "Set STRATO_DATA to a folder that can be written")
		}
	})
	t.Run("variables", func(t *testing.T) {
		t.Parallel()

		for assignment, words := range map[string]string{
			"STRATO_ADR=127.0.0.1:1":           "STRATO_ADR: no such setting",
			"STRATO_DATABASE_MAX_CONNS=many":   "STRATO_DATABASE_MAX_CONNS: not a valid number",
			"STRATO_REDIS_URL=localhost":       "STRATO_REDIS_URL: want a URL that begins with redis://",
			"STRATO_PLUGIN_SETTINGS=/no/file":  "STRATO_PLUGIN_SETTINGS",
			"STRATO_DATABASE_URL=postgres://h": "STRATO_SECRET_KEYS: needed with STRATO_DATABASE_URL",
		} {
			d := demoIn(t, folder(t), assignment)
			d.fails("demo", words)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()

		d := demoIn(t, folder(t))
		for _, moment := range []string{"starting PostgreSQL", "Preparing PostgreSQL", "applied", "making agency"} {
			d.program = start(t, d.env, "demo")
			d.says("·")
			eventually(t, func() bool { return strings.Contains(d.out.String(), moment) || d.serves() || d.ended() }, "no %s", moment)
			family := descendants(d.Pid())
			d.Signal(syscall.SIGINT)
			require.Zero(t, d.wait(soon), d.out)
			require.NotContains(t, d.out.String(), "strato: ")
			gone(t, 2*time.Second, family)
			d.nothingRuns()
		}
		d.run()
		owner := d.signIn("owner@acme.example")
		eventually(t, func() bool { return len(all[leadView](owner, "/api/leads")) == 4 }, "the first customers have not written")
	})
	t.Run("without Redis", func(t *testing.T) {
		t.Parallel()

		d := newDemo(t, "STRATO_REDIS_URL=redis://"+freePort(t)+"/0")
		w := &there{t, d, d.signIn("agent@acme.example"), "acme"}
		w.customer(object{"from": "+5491160004002", "text": "Hola"})
		conversation := w.agent.lead("wa_id", "5491160004002").ConversationID
		w.agent.message(conversation, "the greeting, read", func(m messageView) bool { return byAssistant(m) && m.Status == "read" })
		d.stop()
	})
	t.Run("again", func(t *testing.T) {
		t.Parallel()

		d := newDemo(t)
		acme := d.account("acme")
		conversation := ""
		for _, c := range all[conversationView](d.signIn("owner@acme.example"), "/api/conversations") {
			conversation = c.ID
		}
		for run := 1; ; run++ {
			began := time.Now()
			d.stop()
			require.Less(t, time.Since(began), soon)
			d.nothingRuns()
			began = time.Now()
			d.run()
			t.Logf("run %d serves after %s", run+1, time.Since(began))
			require.NotContains(t, d.out.String(), "making agency")
			if time.Since(began) < 10*time.Second {
				break
			}
			require.Less(t, run, 3, "no run started within ten seconds")
		}
		require.Equal(t, acme, d.account("acme"))
		require.NotEmpty(t, d.signIn("owner@acme.example").messages(conversation))
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()

		d := newDemo(t)
		family := descendants(d.Pid())
		second := demoIn(t, d.data)
		for _, command := range []string{"demo", "serve"} {
			second.tries(command, "in use by another Strato", "give this one another folder with STRATO_DATA")
		}
		// The same with the same port, as somebody who runs it in two terminals.
		second.env = d.env
		second.tries("demo", "STRATO_")
		// The first has not noticed.
		for _, r := range family {
			if !strings.Contains(r.words, "postgres: ") {
				require.True(t, r.alive(), r)
			}
		}
		code, said := strato(t, d.env, "", "simulate", "whatsapp", "say", "--to", "acme", "--from", "+5491160004001", "¿Hay alguien?")
		require.Zero(t, code, said)
		agent := d.signIn("agent@acme.example")
		agent.message(agent.lead("wa_id", "5491160004001").ConversationID, "the greeting, read", func(m messageView) bool {
			return byAssistant(m) && m.Status == "read"
		})
	})
}

// fails runs a command that must end with code 1, say each of words, and leave
// nothing running on the folder.
func (d *demo) fails(command string, words ...string) {
	d.t.Helper()
	d.tries(command, words...)
	d.nothingRuns()
}

func (d *demo) tries(command string, words ...string) {
	d.t.Helper()
	p := start(d.t, d.env, command)
	code := p.wait(soon)
	said := p.out.String()
	require.Equal(d.t, 1, code, said)
	for _, w := range words {
		require.Contains(d.t, said, w)
	}
	require.NotContains(d.t, said, "goroutine")
	_, last, found := strings.Cut(said, "strato: ")
	require.True(d.t, found, said)
	require.LessOrEqual(d.t, strings.Count(strings.TrimSpace(last), "\n"), 2, said)
}

// nothingRuns checks that no process works on the demo's folder.
func (d *demo) nothingRuns() {
	d.t.Helper()
	_, running, err := embedded.Running(d.data, "postgres")
	require.NoError(d.t, err)
	require.False(d.t, running)
	var left []string
	within(d.t, 5*time.Second, func() bool {
		left = nil
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			words, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
			variables, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
			if strings.Contains(string(words), d.data+"/") || strings.Contains(string(variables), d.data+"/") {
				left = append(left, (strings.ReplaceAll(string(words), "\x00", " ")))
			}
		}
		return len(left) == 0
	}, "%s is still worked on: %v", d.data, &left)
}

func (d *demo) serves() bool {
	resp, err := (&http.Client{Timeout: time.Second}).Get(d.url() + "/api/openapi.json")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
