package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

const password = "una clave que nadie adivina"

// world is an app that serves in this process, with three agencies: two in the
// shared database, one in a database of its own. Nothing works its jobs.
type world struct {
	*app.App

	db, dedicated     dbtest.DB
	acme, beta, norte *agency
	operator          string // access token
	log               *journal
	client            *http.Client
}

// agency is a tenant with one customer who wrote and was answered.
type agency struct {
	tenant.Tenant
	ids

	owner string // access token
	mark  string // is in every text of the agency's, and in nobody else's
}

// ids are those of an agency that requests can name.
type ids struct {
	lead         lead.ID
	contact      contact.ID
	conversation conversation.ID
	received     conversation.MessageID
	failed       conversation.MessageID // out, can be sent again
	installation installation.ID
	account      installation.AccountKey
	event        event.ID
}

func (i ids) all() []string {
	return []string{
		i.lead.String(), i.contact.String(), i.conversation.String(), i.received.String(), i.failed.String(),
		i.installation.String(), i.event.String(),
	}
}

// unknown are ids of nothing.
func unknown() ids {
	return ids{
		lead: lead.ID{UUID: newID()}, contact: contact.ID{UUID: newID()}, conversation: conversation.ID{UUID: newID()},
		received: conversation.MessageID{UUID: newID()}, failed: conversation.MessageID{UUID: newID()},
		installation: installation.ID{UUID: newID()}, event: event.ID{UUID: newID()},
	}
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// newWorld starts an app. settings are variables on top of the usual ones.
func newWorld(t *testing.T, settings ...string) *world {
	t.Helper()
	return newWorldWith(t, buildPlugin(t), nil, settings...)
}

// newWorldWith starts an app over a folder of plugins, for which the operator
// has settings.
func newWorldWith(t *testing.T, plugins string, operator map[string]string, settings ...string) *world {
	t.Helper()
	data, err := os.MkdirTemp("", "sa") // the plugins' sockets need short paths
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(data)) })
	w := &world{db: database(t), dedicated: dedicatedDatabase(t), log: &journal{}, client: &http.Client{Timeout: 30 * time.Second}}
	cfg, err := config.Load(append([]string{
		"STRATO_ADDR=127.0.0.1:0", "STRATO_METRICS_ADDR=127.0.0.1:0", "STRATO_DATA=" + data, "STRATO_ROLES=api", "STRATO_NODE_ID=test",
		"STRATO_DATABASE_URL=" + w.db.AdminURL, "STRATO_SECRET_KEYS=" + masterKeys, "STRATO_PLUGIN_DIR=" + plugins,
		"STRATO_DATABASE_MAX_CONNS=8",
	}, settings...))
	require.NoError(t, err)
	w.App, err = app.New(t.Context(), cfg, app.Options{
		Version: "test", Log: slog.New(w.log), PluginSettings: func(string) map[string]string { return operator },
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		require.NoError(t, w.Stop(ctx))
		require.Empty(t, w.log.errors(), "the log has errors")
	})

	_, err = w.Pool.AddDatabase(t.Context(), tenant.Database{Name: "norte", Kind: "dedicated", DSNRef: "same:" + w.dedicated.Name})
	require.NoError(t, err)
	w.acme, w.beta, w.norte = w.agency(t, "acme", "shared"), w.agency(t, "beta", "shared"), w.agency(t, "norte", "norte")
	w.operator = w.user(t, "operator@strato.example", nil, "")
	return w
}

// buildPlugin returns a folder of plugins with the WhatsApp one in it.
func buildPlugin(t *testing.T) string {
	t.Helper()
	const source = "../../../plugins/whatsapp"
	dir := t.TempDir()
	folder := filepath.Join(dir, "whatsapp")
	require.NoError(t, os.Mkdir(folder, 0o755))
	manifest, err := os.ReadFile(filepath.Join(source, "plugin.json"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "plugin.json"), manifest, 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", filepath.Join(folder, "whatsapp"), source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return dir
}

func (w *world) agency(t *testing.T, slug, database string) *agency {
	t.Helper()
	list, err := w.Pool.Databases(t.Context())
	require.NoError(t, err)
	a := &agency{mark: "marca-" + slug}
	for _, d := range list {
		if d.Name == database {
			a.Tenant, err = w.Pool.Create(t.Context(), tenant.CreateInput{Slug: slug, Name: "Agencia " + a.mark, Database: d.ID}, app.Seed("Agencia "+a.mark))
			require.NoError(t, err)
		}
	}
	require.False(t, a.ID.IsZero(), "no database %s", database)
	a.owner = w.user(t, "owner@"+slug+".example", a, rbac.RoleOwner)

	n, err := w.Install(t.Context(), a.ID, "whatsapp", "canal "+a.mark)
	require.NoError(t, err)
	a.installation = n.ID
	a.account = installation.AccountKey{Installation: n.ID, Kind: "phone_number_id", Value: "100200300"}
	w.receive(t, a, a.message("549116000", "wamid."+slug, "hola "+a.mark))
	require.NoError(t, w.Pool.Do(t.Context(), a.ID, func(ctx context.Context, s tenant.Scope) error {
		views, err := conversation.List(ctx, s, conversation.Filter{Limit: 2})
		require.NoError(t, err)
		require.Len(t, views, 1)
		a.lead, a.contact, a.conversation = views[0].LeadID, views[0].ContactID, views[0].ID
		messages, err := conversation.Messages(ctx, s, a.conversation, time.Time{}, conversation.MessageID{}, 2)
		require.NoError(t, err)
		a.received = messages[0].ID
		events, err := event.OfLead(ctx, s, a.lead.UUID, event.ID{}, 1)
		require.NoError(t, err)
		a.event = events[0].ID
		sent, err := conversation.Send(ctx, s, conversation.Draft{Conversation: a.conversation, Text: "respuesta " + a.mark, Author: conversation.ByUser, AuthorID: newID()})
		require.NoError(t, err)
		a.failed = sent.ID
		_, err = s.Exec(ctx, "update crm.messages set status = 'failed' where tenant_id = $1 and id = $2", s.Tenant(), sent.ID)
		return err
	}))
	return a
}

// message is one that a customer of the agency wrote.
func (a *agency) message(phone, external, text string) conversation.Incoming {
	now := time.Now().UTC().Truncate(time.Second)
	return conversation.Incoming{
		Account: a.account, Channel: "whatsapp", ExternalID: external, Type: "text", Text: text,
		Party:      contact.Party{Name: "Persona " + a.mark, Addresses: []contact.Address{{Kind: "wa_id", Value: phone}}},
		OccurredAt: now, WindowExpiresAt: now.Add(24 * time.Hour),
	}
}

func (w *world) receive(t *testing.T, a *agency, in ...conversation.Incoming) {
	t.Helper()
	require.NoError(t, w.Pool.Do(t.Context(), a.ID, func(ctx context.Context, s tenant.Scope) error {
		return conversation.Receive(ctx, s, in)
	}))
}

// user makes somebody and signs them in. Without an agency it is an operator.
func (w *world) user(t *testing.T, email string, a *agency, role rbac.Role) string {
	t.Helper()
	u, err := w.Accounts.CreateUser(t.Context(), auth.NewUser{Email: email, Name: email, Password: password, Operator: a == nil})
	require.NoError(t, err)
	if a != nil {
		require.NoError(t, w.Accounts.SetMembership(t.Context(), u.ID, a.ID, role))
	}
	got := w.do(t, ask{method: "POST", path: "/api/session", body: map[string]string{"email": email, "password": password}})
	require.Equal(t, 200, got.status, got.text)
	return got.string(t, "access_token")
}

// ask is a request. A body that is no string is sent as JSON.
type ask struct {
	method, path string
	host         string
	token        string
	cookie       string // the access token, as browsers send it
	header       http.Header
	body         any
}

type answer struct {
	status int
	header http.Header
	text   string
}

func (w *world) request(t *testing.T, a ask) *http.Request {
	t.Helper()
	var body io.Reader
	switch b := a.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	case io.Reader:
		body = b
	default:
		text, err := json.Marshal(b)
		require.NoError(t, err)
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), a.method, w.URL()+a.path, body)
	require.NoError(t, err)
	if a.host != "" {
		req.Host = a.host
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, a.header)
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.cookie != "" {
		req.AddCookie(&http.Cookie{Name: auth.AccessCookie, Value: a.cookie})
	}
	return req
}

func (w *world) do(t *testing.T, a ask) answer {
	t.Helper()
	resp, err := w.client.Do(w.request(t, a))
	require.NoError(t, err, "%s %s", a.method, a.path)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err, "%s %s", a.method, a.path)
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.text), &v), a.text)
	return v
}

func (a answer) string(t *testing.T, name string) string {
	t.Helper()
	s, ok := a.json(t)[name].(string)
	require.True(t, ok, a.text)
	return s
}

// refused requires a problem with a status and a code; an empty code is any.
func (a answer) refused(t *testing.T, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, a.text)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), a.text)
	require.NotEmpty(t, a.string(t, "code"), a.text)
	require.NotEmpty(t, a.string(t, "request_id"), a.text)
	if code != "" {
		require.Equal(t, code, a.string(t, "code"), a.text)
	}
}

// journal keeps the errors of a log.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler           { return j }
func (j *journal) WithGroup(string) slog.Handler                { return j }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	return nil
}

func (j *journal) errors() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines
}
