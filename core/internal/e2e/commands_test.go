package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/sdk/simulator"
)

const password = "una palabra larga"

// TestCommandsBesideDemo manages agencies and people beside a running demo.
func TestCommandsBesideDemo(t *testing.T) {
	t.Parallel()

	d := demoIn(t, folder(t))
	code, said := strato(t, d.env, "", "tenant", "create", "sur", "--name", "Sur")
	require.Equal(t, 1, code)
	require.Contains(t, said, "no Strato runs on "+d.data)
	code, said = strato(t, d.env, "", "doctor")
	require.Zero(t, code, said)
	require.Contains(t, said, "not running")
	d.run()

	code, said = strato(t, d.env, "", "doctor")
	require.Zero(t, code, said)
	require.NotContains(t, said, "FAIL")
	for _, words := range []string{"whatsapp 0.1.0", "database shared", "database norte", "row-level security is whole"} {
		require.Contains(t, said, words)
	}

	// Asked for before it is there, an agency is there as soon as it is made.
	early := signIn(t, d.url(), "operator@strato.example", "strato-demo")
	require.Equal(t, http.StatusNotFound, early.do(http.MethodGet, "/t/sur/api/leads", nil).status)

	run := func(want int, in string, words ...string) string {
		t.Helper()
		code, said := strato(t, d.env, in, words...)
		require.Equal(t, want, code, said)
		return said
	}
	require.Contains(t, run(0, "", "tenant", "create", "sur", "--name", "Sur Propiedades"), "agency sur made")
	require.Contains(t, run(0, "", "tenant", "create", "este", "--name", "Este", "--plan", "enterprise", "--database", "norte"), "in database norte")
	require.Contains(t, run(1, "", "tenant", "create", "sur", "--name", "Otra"), "tenant.slug_taken")
	require.Contains(t, run(1, "", "tenant", "create", "Sur!", "--name", "Otra"), "short name")
	require.Contains(t, run(1, "", "tenant", "create", "oeste", "--name", "Oeste", "--plan", "gold"), "basic, pro or enterprise")
	require.Contains(t, run(1, "", "tenant", "create", "oeste", "--name", "Oeste", "--database", "nil"), "norte")

	owner := []string{"user", "create", "ana@sur.example", "--name", "Ana Paz", "--tenant", "sur", "--role", "owner"}
	require.Contains(t, run(1, "", owner...), "no password was given")
	require.Contains(t, run(1, "corta\n", owner...), "at least 10 characters")
	require.Contains(t, run(0, password+"\n", owner...), "ana@sur.example is owner of agency sur")
	require.Contains(t, run(0, "", "user", "create", "ana@sur.example", "--tenant", "este", "--role", "viewer"), "viewer of agency este")
	require.Contains(t, run(1, password+"\n", "user", "create", "x@sur.example", "--tenant", "nada"), "nada")
	require.Contains(t, run(1, password+"\n", "user", "create", "x@sur.example", "--tenant", "sur", "--role", "king"), `no role "king"`)
	require.Contains(t, run(1, "", "user", "create", "x@sur.example", "--tenant", "sur"), "no password was given", "it was made with a role that does not exist")
	require.Contains(t, run(1, "", "user", "create", "ana@sur.example", "--operator"), "user.email_taken")

	c := &client{t: t, base: d.url(), http: &http.Client{Timeout: patience}}
	c.refused(http.StatusConflict, "session.tenant_required", http.MethodPost, "/api/session", object{"email": "ana@sur.example", "password": password})
	for _, slug := range []string{"sur", "este"} {
		var session struct {
			AccessToken string `json:"access_token"`
			Role        string
		}
		c.token = ""
		c.post("/api/session", object{"email": "ana@sur.example", "password": password, "tenant": slug}, &session)
		c.token = session.AccessToken
		require.Empty(t, all[leadView](c, "/api/leads"))
		require.Equal(t, http.StatusOK, c.do(http.MethodGet, "/t/"+slug+"/api/leads", nil).status)
		require.Equal(t, http.StatusForbidden, c.do(http.MethodGet, "/t/acme/api/leads", nil).status)
	}
	// And they stay.
	d.stop()
	d.run()
	require.Contains(t, run(1, "", "tenant", "create", "sur", "--name", "Otra"), "tenant.slug_taken")
	require.Contains(t, run(0, "", "doctor"), "row-level security is whole")
}

// TestServe runs Strato as in production: a database server and Redis that are
// there, migrations by hand, one node for the API and one for the work.
func TestServe(t *testing.T) {
	t.Parallel()

	server, err := embedded.StartPostgres(t.Context(), embedded.Options{Data: folder(t), Binaries: os.Getenv("STRATO_POSTGRES_BIN")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(t.Context())) })
	admin, err := embedded.EnsureDatabase(t.Context(), server.URL("postgres"), "strato")
	require.NoError(t, err)
	redis := freePort(t)
	startRedis(t, redis)
	provider := startSimulator(t)
	settings := filepath.Join(t.TempDir(), "plugins.json")
	raw, err := json.Marshal(object{"whatsapp": object{"base_url": provider.url}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(settings, raw, 0o600))
	node := func(roles string) *demo {
		return demoIn(t, folder(t), "STRATO_DATABASE_URL="+admin, "STRATO_REDIS_URL=redis://"+redis+"/0",
			"STRATO_SECRET_KEYS=k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "STRATO_PLUGIN_SETTINGS="+settings, "STRATO_ROLES="+roles)
	}
	api, worker := node("api"), node("worker")
	run := func(want int, in string, words ...string) string {
		t.Helper()
		code, said := strato(t, api.env, in, words...)
		require.Equal(t, want, code, said)
		require.NotContains(t, said, "MDEyMzQ1")
		return said
	}

	api.tries("serve", `run "strato migrate"`)
	run(1, "", "doctor")
	require.Contains(t, run(0, "", "migrate"), "1 databases are up to date")
	require.NotContains(t, run(0, "", "migrate"), "applied")
	require.Contains(t, run(0, "", "tenant", "create", "sur", "--name", "Sur"), "agency sur made")
	run(0, password+"\n", "user", "create", "ana@sur.example", "--name", "Ana", "--tenant", "sur", "--role", "owner")
	require.NotContains(t, run(0, "", "config"), server.URL("")[len("postgres://strato_admin:"):len("postgres://strato_admin:")+12])
	for _, n := range []*demo{api, worker} {
		n.program = start(t, n.env, "serve")
		n.says(`"msg":"serving"`)
	}
	require.Contains(t, run(0, "", "doctor"), "row-level security is whole")

	owner := signIn(t, api.url(), "ana@sur.example", password)
	live := owner.follow()
	var n struct {
		ID         string
		Version    int
		State      string
		WebhookURL string `json:"webhook_url"`
	}
	owner.post("/api/installations", object{"plugin": "whatsapp"}, &n)
	account, err := provider.Account(t.Context(), simulator.AccountRequest{Label: "sur", WebhookURL: n.WebhookURL})
	require.NoError(t, err)
	wrong := object{}
	for k, v := range account.Settings {
		wrong[k] = v
	}
	wrong["access_token"] = "EAAnobody-has-this-one"
	owner.refused(http.StatusUnprocessableEntity, "installation.refused", http.MethodPut,
		"/api/installations/"+n.ID+"/settings", object{"version": n.Version, "settings": wrong})
	a := owner.do(http.MethodPut, "/api/installations/"+n.ID+"/settings", object{"version": n.Version, "settings": account.Settings})
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	require.NotContains(t, string(a.body), account.Settings["access_token"])

	// The API's node takes the webhook, the worker's does the rest, and tells the
	// API's by Redis.
	said, err := provider.Say(t.Context(), object{"to": "sur", "from": "+5491160006001", "text": "Hola"})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, said.Status)
	conversation := owner.lead("wa_id", "5491160006001").ConversationID
	greeting := owner.message(conversation, "the greeting, read", func(m messageView) bool { return byAssistant(m) && m.Status == "read" })
	live.wait(t, "message.created", greeting.ID, conversation)
	reply := owner.say(conversation, "¡Hola!")
	owner.reaches(conversation, reply.ID, "read")

	// Settings that the API's node changes count on the worker's at once.
	a = owner.do(http.MethodPut, "/api/installations/"+n.ID+"/state", object{"state": "disabled"})
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	quiet := owner.say(conversation, "Nadie lo lleva")
	said, err = provider.Say(t.Context(), object{"to": "sur", "from": "+5491160006001", "text": "¿Hola?"})
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, said.Status)
	owner.do(http.MethodPut, "/api/installations/"+n.ID+"/state", object{"state": "active"})
	owner.reaches(conversation, quiet.ID, "read")

	for _, n := range []*demo{worker, api} {
		n.stop()
	}
}

// simulated is a provider that a test runs itself.
type simulated struct {
	*simulator.Client
	url string
}

func startSimulator(t *testing.T) simulated {
	t.Helper()
	addr := freePort(t)
	p := start(t, []string{"STRATO_DATA=" + folder(t)}, "simulate", "whatsapp", "serve", "--stay", "--addr", addr)
	p.says("base_url")
	url := "http://" + addr
	return simulated{simulator.NewClient(url), url}
}
