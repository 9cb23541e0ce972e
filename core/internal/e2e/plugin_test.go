package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stratohub/strato/sdk/pluginv1"
)

// TestPluginDown takes the plugin away in each way it can be: webhooks are taken
// all the same, and looked at once it is back, each once and in order.
func TestPluginDown(t *testing.T) {
	t.Parallel()

	t.Run("hung", func(t *testing.T) {
		t.Parallel()

		w := newOutage(t)
		p := w.d.plugin()
		require.NoError(t, syscall.Kill(p.pid, syscall.SIGSTOP))
		w.write(w.acme.hook, w.acme.secret, 2)
		w.write(w.d.url()+"/api/webhooks/whatsapp", appSecret, 2)
		w.waiting(2, 2)
		require.NoError(t, syscall.Kill(p.pid, syscall.SIGCONT))
		w.finished()
	})
	t.Run("gone", func(t *testing.T) {
		t.Parallel()

		w := newOutage(t)
		w.breakPlugin()
		w.write(w.acme.hook, w.acme.secret, 6)
		w.write(w.d.url()+"/api/webhooks/whatsapp", appSecret, 4)
		w.waiting(6, 4)
		// A start with a broken plugin is no worse: it is said, and webhooks are kept.
		w.d.stop()
		w.d.run()
		w.write(w.acme.hook, w.acme.secret, 3)
		w.write(w.d.url()+"/api/webhooks/whatsapp", appSecret, 2)
		w.waiting(9, 6)
		code, said := strato(t, w.d.env, "", "doctor")
		require.Equal(t, 1, code)
		require.Contains(t, said, "not an executable file")
		w.mendPlugin()
		w.finished()
	})
	t.Run("shared by two", func(t *testing.T) {
		t.Parallel()

		w := newOutage(t)
		w.breakPlugin()
		norte := w.d.account("norte")
		both := body(
			w.acme.text("wamid.both-acme", "5491160002001", "para acme", time.Now()),
			norte.text("wamid.both-norte", "5491160002002", "para norte", time.Now()),
		)
		client := &http.Client{}
		url := w.d.url() + "/api/webhooks/whatsapp"
		require.Equal(t, http.StatusOK, post(t.Context(), client, url, appSecret, both))
		require.Equal(t, http.StatusOK, post(t.Context(), client, url, "forged", body(w.acme.text("wamid.forged", "5491160002003", "x", time.Now()))))
		w.waiting(0, 2)
		w.mendPlugin()
		eventually(t, func() bool { return value[int](t, w.control, "select count(*) from control.spool") == 0 }, "the spool is not emptied")
		w.parts("acme", w.acme, "para acme", norte, "para norte")
		w.parts("norte", norte, "para norte", w.acme, "para acme")
		for label, kind := range map[string]string{"acme": "5491160002001", "norte": "5491160002002"} {
			lead := w.d.signIn("owner@"+label+".example").lead("wa_id", kind)
			require.Equal(t, "Persona "+kind, lead.Contact.Name)
		}
		for _, database := range databases {
			conn := w.d.sql(database)
			settled(t, conn)
			require.Zero(t, value[int](t, conn, "select count(*) from crm.messages where external_id = 'wamid.forged'"))
		}
		// The same with the plugin there, in one POST.
		both = body(norte.text("wamid.again-norte", "5491160002004", "otra para norte", time.Now()),
			w.acme.text("wamid.again-acme", "5491160002005", "otra para acme", time.Now()))
		require.Equal(t, http.StatusOK, post(t.Context(), client, url, appSecret, both))
		w.parts("acme", w.acme, "otra para acme", norte, "otra para norte")
		w.parts("norte", norte, "otra para norte", w.acme, "otra para acme")
		require.Equal(t, http.StatusUnauthorized, post(t.Context(), client, url, "forged", both))
	})
}

// outage is a demo whose plugin lies in a folder of its own.
type outage struct {
	t       *testing.T
	d       *demo
	acme    account
	control *pgx.Conn
	plugins string
	sent    int
	epoch   time.Time
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	plugins := filepath.Join(folder(t), "plugins")
	require.NoError(t, os.CopyFS(plugins, os.DirFS(filepath.Join(root, "bin", "plugins"))))
	require.NoError(t, os.Chmod(filepath.Join(plugins, "whatsapp", "whatsapp"), 0o755))
	d := newDemo(t, "STRATO_PLUGIN_SETTINGS="+operatorSettings(t), "STRATO_PLUGIN_DIR="+plugins)
	w := &outage{t: t, d: d, acme: d.account("acme"), control: d.sql("strato"), plugins: plugins, epoch: time.Now().Add(-time.Hour)}
	// The first customers have read their greetings, so nothing else is under way.
	for _, database := range databases {
		conn := d.sql(database)
		eventually(t, func() bool {
			return value[bool](t, conn, "select count(*) > 0 and bool_and(status = 'read') from crm.messages where direction = 'out'")
		}, "the first customers do not read")
		settled(t, conn)
	}
	return w
}

func (w *outage) binary() string { return filepath.Join(w.plugins, "whatsapp", "whatsapp") }

// breakPlugin ends the plugin, which then cannot be started.
func (w *outage) breakPlugin() {
	w.t.Helper()
	p := w.d.plugin()
	require.NoError(w.t, os.Chmod(w.binary(), 0o644))
	require.NoError(w.t, syscall.Kill(p.pid, syscall.SIGKILL))
	gone(w.t, 5*time.Second, []running{p})
}

func (w *outage) mendPlugin() {
	w.t.Helper()
	require.NoError(w.t, os.Chmod(w.binary(), 0o755))
}

// write posts messages of one person, one after another, each of which must be
// taken at once.
func (w *outage) write(url, secret string, count int) {
	w.t.Helper()
	client := &http.Client{}
	for range count {
		n := w.sent
		w.sent++
		// All in one second, as quick people write: nothing but their coming tells their order.
		raw := body(w.acme.text(fmt.Sprintf("wamid.outage-%03d", n), "5491160001001", "mensaje "+strconv.Itoa(n), w.epoch))
		require.Equal(w.t, http.StatusOK, post(w.t.Context(), client, url, secret, raw))
	}
}

// waiting checks how many webhooks wait for the plugin, in the agency's inbox
// and in the control plane.
func (w *outage) waiting(raw, spooled int) {
	w.t.Helper()
	w.control = w.d.sql("strato")
	require.Equal(w.t, raw, value[int](w.t, w.control, "select count(*) from crm.inbox where state = 'raw'"))
	require.Equal(w.t, spooled, value[int](w.t, w.control, "select count(*) from control.spool where state = 'waiting'"))
}

// finished waits until all that was written has come through, once and in order.
func (w *outage) finished() {
	w.t.Helper()
	within(w.t, 2*patience, func() bool {
		return value[int](w.t, w.control, "select count(*) from control.spool") == 0 &&
			value[int](w.t, w.control, "select count(*) from crm.inbox where state <> 'done'") == 0
	}, "webhooks still wait: %v", deferred(func() string {
		return value[string](w.t, w.control, "select coalesce(string_agg(state || ' ' || attempts || ' ' || error, ', '), '') from crm.inbox where state <> 'done'")
	}))
	owner := w.d.signIn("owner@acme.example")
	list := owner.messages(owner.lead("wa_id", "5491160001001").ConversationID)
	var in []string
	for _, m := range slices.Backward(list) {
		if m.Direction == "in" {
			in = append(in, m.Text)
		}
	}
	want := make([]string, w.sent)
	for n := range want {
		want[n] = "mensaje " + strconv.Itoa(n)
	}
	require.Equal(w.t, want, in)
}

// parts checks that the rows of an agency's inbox hold its own words and ids,
// and nothing of the other's.
func (w *outage) parts(label string, own account, words string, other account, otherWords string) {
	w.t.Helper()
	conn := w.d.sql(databases[label])
	settled(w.t, conn)
	rows, err := conn.Query(w.t.Context(), `
		select b.delivery from crm.inbox b join crm.installations n on n.tenant_id = b.tenant_id and n.id = b.installation_id
		where position($1::bytea in b.delivery) > 0 or position($2::bytea in b.delivery) > 0 or position($3::bytea in b.delivery) > 0`,
		[]byte(words), []byte(otherWords), []byte(other.number))
	require.NoError(w.t, err)
	found := 0
	for rows.Next() {
		var raw []byte
		require.NoError(w.t, rows.Scan(&raw))
		var d pluginv1.WebhookDelivery
		require.NoError(w.t, proto.Unmarshal(raw, &d))
		text := string(d.GetRequest().GetBody())
		require.Contains(w.t, text, words)
		require.Contains(w.t, text, own.number)
		for _, foreign := range []string{otherWords, other.number, other.business} {
			require.NotContains(w.t, string(raw), foreign)
		}
		require.True(w.t, d.GetRouted())
		found++
	}
	require.NoError(w.t, rows.Err())
	require.Equal(w.t, 1, found)
}

// operatorSettings is a file with the operator's own app for the plugin.
func operatorSettings(t *testing.T) string {
	t.Helper()
	raw, err := json.Marshal(object{"whatsapp": object{"app_secret": appSecret, "verify_token": verifyToken}})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "plugins.json")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return path
}
