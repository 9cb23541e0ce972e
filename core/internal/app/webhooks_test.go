package app_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/simulation"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/simulator"
)

// connected is an agency whose installation the provider accepted.
type connected struct {
	*agency
	path   string // of its own webhook
	secret string
	number string
}

// webhooks is a world in which the provider's simulator runs.
type webhooks struct {
	*world
	acme, norte connected
	draft       connected // whose settings were never saved
	platform    string    // the secret of the operator's app
}

func newWebhooks(t *testing.T) *webhooks {
	t.Helper()
	plugins := buildPlugin(t)
	sim, err := simulation.Start(t.Context(), "whatsapp", filepath.Join(plugins, "whatsapp", "whatsapp"), t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(sim.Stop)
	h := &webhooks{platform: "the operator's own"}
	h.world = newWorldWith(t, plugins, map[string]string{"base_url": sim.BaseURL, "app_secret": h.platform, "verify_token": "operator"})
	h.acme, h.norte = h.connect(t, sim, h.world.acme), h.connect(t, sim, h.world.norte)
	h.draft = connected{agency: h.beta, path: h.webhookPath(t, h.beta)}
	return h
}

func (h *webhooks) connect(t *testing.T, sim *simulation.Simulator, a *agency) connected {
	t.Helper()
	c := connected{agency: a, path: h.webhookPath(t, a)}
	account, err := sim.Account(t.Context(), simulator.AccountRequest{Label: a.Slug, WebhookURL: h.URL() + c.path})
	require.NoError(t, err)
	c.secret, c.number = account.Settings["app_secret"], account.Settings["phone_number_id"]
	require.NotEmpty(t, c.secret)
	form, err := json.Marshal(account.Settings)
	require.NoError(t, err)
	n, err := h.SaveSettings(t.Context(), installation.Target{Tenant: a.ID, Installation: a.installation}, form, 1)
	require.NoError(t, err)
	require.Equal(t, installation.Active, n.State)
	return c
}

func (h *webhooks) webhookPath(t *testing.T, a *agency) string {
	t.Helper()
	var n *installation.Installation
	require.NoError(t, h.Pool.Read(t.Context(), a.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		n, err = installation.Get(ctx, s, a.installation)
		return err
	}))
	u, err := url.Parse(n.WebhookURL)
	require.NoError(t, err)
	require.Equal(t, h.URL(), u.Scheme+"://"+u.Host, "where the provider must post to")
	return u.Path
}

// text is the change of one message to a number.
func text(number, id, words string) string {
	return fmt.Sprintf(`{"id":"700","changes":[{"field":"messages","value":{"messaging_product":"whatsapp",
		"metadata":{"display_phone_number":"15550001","phone_number_id":%q},
		"contacts":[{"profile":{"name":"Ana"},"wa_id":"5491160009999"}],
		"messages":[{"from":"5491160009999","id":%q,"timestamp":"1790000000","type":"text","text":{"body":%q}}]}}]}`, number, id, words)
}

func payload(entries ...string) string {
	return `{"object":"whatsapp_business_account","entry":[` + strings.Join(entries, ",") + `]}`
}

func sign(secret, body string) http.Header {
	return http.Header{"X-Hub-Signature-256": {"sha256=" + digest(sha256.New, secret, body)}}
}

func digest(of func() hash.Hash, secret, body string) string {
	h := hmac.New(of, []byte(secret))
	_, _ = io.WriteString(h, body)
	return hex.EncodeToString(h.Sum(nil))
}

func (h *webhooks) post(t *testing.T, path, body string, header http.Header) answer {
	t.Helper()
	return h.do(t, ask{method: "POST", path: path, body: body, header: header})
}

// inbox is what is stored of webhooks for an agency, its texts together.
func (h *webhooks) inbox(t *testing.T, a *agency) (rows int, content string) {
	t.Helper()
	u := h.db.AdminURL
	if a == h.world.norte {
		u = h.dedicated.AdminURL
	}
	conn, err := pgx.Connect(t.Context(), u)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	err = conn.QueryRow(t.Context(), "select count(*), coalesce(string_agg(encode(delivery || coalesce(result, ''), 'escape'), ' '), '') from crm.inbox where tenant_id = $1", a.ID.UUID).
		Scan(&rows, &content)
	require.NoError(t, err)
	return rows, content
}

// What is refused leaves nothing behind, anywhere.
func TestWebhooksRefused(t *testing.T) {
	t.Parallel()

	h := newWebhooks(t)
	body := payload(text(h.acme.number, "wamid.x", "hola"))
	before := h.contents(t)
	shared := "/api/webhooks/whatsapp"
	token := strings.TrimPrefix(h.acme.path, shared+"/")
	for name, tt := range map[string]struct {
		path, body string
		header     http.Header
		status     int
		code       string
	}{
		"no signature":                        {h.acme.path, body, nil, 401, "webhook.unverified"},
		"an empty signature":                  {h.acme.path, body, http.Header{"X-Hub-Signature-256": {""}}, 401, "webhook.unverified"},
		"only its name":                       {h.acme.path, body, http.Header{"X-Hub-Signature-256": {"sha256="}}, 401, "webhook.unverified"},
		"a wrong secret":                      {h.acme.path, body, sign("wrong", body), 401, "webhook.unverified"},
		"an empty secret":                     {h.acme.path, body, sign("", body), 401, "webhook.unverified"},
		"another agency's secret":             {h.acme.path, body, sign(h.norte.secret, body), 401, "webhook.unverified"},
		"the platform's secret":               {h.acme.path, body, sign(h.platform, body), 401, "webhook.unverified"},
		"cut short":                           {h.acme.path, body, http.Header{"X-Hub-Signature-256": {"sha256=" + digest(sha256.New, h.acme.secret, body)[:32]}}, 401, "webhook.unverified"},
		"too long":                            {h.acme.path, body, http.Header{"X-Hub-Signature-256": {"sha256=" + digest(sha256.New, h.acme.secret, body) + "00"}}, 401, "webhook.unverified"},
		"no hexadecimal":                      {h.acme.path, body, http.Header{"X-Hub-Signature-256": {"sha256=" + strings.Repeat("z", 64)}}, 401, "webhook.unverified"},
		"the older signature":                 {h.acme.path, body, http.Header{"X-Hub-Signature": {"sha1=" + digest(sha1.New, h.acme.secret, body)}}, 401, "webhook.unverified"},
		"of another body":                     {h.acme.path, body + " ", sign(h.acme.secret, body), 401, "webhook.unverified"},
		"malformed, not signed":               {h.acme.path, "{", nil, 401, "webhook.unverified"},
		"malformed":                           {h.acme.path, `{"object":`, sign(h.acme.secret, `{"object":`), 400, "webhook.malformed"},
		"empty":                               {h.acme.path, "", sign(h.acme.secret, ""), 400, "webhook.malformed"},
		"no object":                           {h.acme.path, "[]", sign(h.acme.secret, "[]"), 400, "webhook.malformed"},
		"4 MiB":                               {h.acme.path, strings.Repeat("x", 4<<20), sign(h.acme.secret, strings.Repeat("x", 4<<20)), 413, "webhook.too_large"},
		"to a draft, by an empty secret":      {h.draft.path, body, sign("", body), 401, "webhook.unverified"},
		"an unknown token":                    {shared + "/AAAAAAAAAAAAAAAAAAAAAA", body, sign(h.acme.secret, body), 404, "webhook.not_found"},
		"a token cut short":                   {h.acme.path[:len(h.acme.path)-1], body, sign(h.acme.secret, body), 404, "webhook.not_found"},
		"a token in another case":             {shared + "/" + strings.ToLower(token) + "A", body, sign(h.acme.secret, body), 404, "webhook.not_found"},
		"a token that is a NUL":               {shared + "/%00", body, sign(h.acme.secret, body), 404, "webhook.not_found"},
		"a token at another plugin":           {"/api/webhooks/other/" + token, body, sign(h.acme.secret, body), 404, "webhook.not_found"},
		"an unknown plugin":                   {"/api/webhooks/other", body, sign(h.platform, body), 404, "webhook.not_found"},
		"a plugin outside its folder":         {"/api/webhooks/..%2Fwhatsapp", body, sign(h.platform, body), 404, ""},
		"for all: no signature":               {shared, body, nil, 401, "webhook.unverified"},
		"for all: an agency's secret":         {shared, body, sign(h.acme.secret, body), 401, "webhook.unverified"},
		"for all: an empty secret":            {shared, body, sign("", body), 401, "webhook.unverified"},
		"for all: cut short":                  {shared, body, http.Header{"X-Hub-Signature-256": {"sha256=" + digest(sha256.New, h.platform, body)[:40]}}, 401, "webhook.unverified"},
		"for all: malformed":                  {shared, "{", sign(h.platform, "{"), 400, "webhook.malformed"},
		"for all: 4 MiB":                      {shared, strings.Repeat("x", 4<<20), sign(h.platform, strings.Repeat("x", 4<<20)), 413, "webhook.too_large"},
		"for all: a number nobody has":        {shared, payload(text("999999999", "wamid.y", "hola")), sign(h.platform, payload(text("999999999", "wamid.y", "hola"))), 200, ""},
		"for all: a number that is no number": {shared, payload(text("1 or 1=1", "wamid.y", "hola")), sign(h.platform, payload(text("1 or 1=1", "wamid.y", "hola"))), 200, ""},
		"for all: nothing":                    {shared, payload(), sign(h.platform, payload()), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.post(t, tt.path, tt.body, tt.header)

			if tt.status == 200 {
				require.Equal(t, 200, got.status, got.text)
			} else {
				got.refused(t, tt.status, tt.code)
			}
			require.Equal(t, before, h.contents(t))
		})
	}

	t.Run("4 MiB in pieces", func(t *testing.T) {
		long := strings.Repeat("x", 4<<20)
		got := h.do(t, ask{method: "POST", path: h.acme.path, body: struct{ io.Reader }{strings.NewReader(long)}, header: sign(h.acme.secret, long)})
		got.refused(t, 413, "webhook.too_large")
		require.Equal(t, before, h.contents(t))
	})

	t.Run("handshakes", func(t *testing.T) {
		get := func(path, token string) answer {
			q := url.Values{"hub.mode": {"subscribe"}, "hub.verify_token": {token}, "hub.challenge": {"1158201444"}}
			return h.do(t, ask{method: "GET", path: path + "?" + q.Encode()})
		}
		require.Equal(t, "1158201444", get(shared, "operator").text)
		for _, path := range []string{shared, h.acme.path, h.draft.path} {
			for _, token := range []string{"", "wrong"} {
				got := get(path, token)
				require.Contains(t, []int{401, 403}, got.status, "%s %s: %s", path, token, got.text)
				require.NotContains(t, got.text, "1158201444")
			}
		}
	})

	t.Run("switched off", func(t *testing.T) {
		path := "/api/installations/" + h.norte.installation.String() + "/state"
		got := h.do(t, ask{method: "PUT", path: path, token: h.norte.owner, body: map[string]string{"state": "disabled"}})
		require.Equal(t, 200, got.status, got.text)
		before := h.contents(t)
		body := payload(text(h.norte.number, "wamid.z", "hola"))
		h.post(t, h.norte.path, body, sign(h.norte.secret, body)).refused(t, 404, "webhook.not_found")
		require.Equal(t, 200, h.post(t, shared, body, sign(h.platform, body)).status)
		require.Equal(t, before, h.contents(t))
	})
}

// What is taken is stored for its own agency before it is answered, and nobody's
// row holds another's part.
func TestWebhooksTaken(t *testing.T) {
	t.Parallel()

	h := newWebhooks(t)
	own := payload(text(h.acme.number, "wamid.1", "palabras de acme"))
	require.Equal(t, 200, h.post(t, h.acme.path, own, sign(h.acme.secret, own)).status)
	rows, content := h.inbox(t, h.acme.agency)
	require.Equal(t, 1, rows)
	require.Contains(t, content, "palabras de acme")

	mixed := payload(text(h.acme.number, "wamid.2", "otra de acme"), text("999999999", "wamid.3", "de nadie"), text(h.norte.number, "wamid.4", "palabras de norte"))
	require.Equal(t, 200, h.post(t, "/api/webhooks/whatsapp", mixed, sign(h.platform, mixed)).status)
	rows, content = h.inbox(t, h.acme.agency)
	require.Equal(t, 2, rows)
	require.Contains(t, content, "otra de acme")
	require.NotContains(t, content, "norte")
	require.NotContains(t, content, "de nadie")
	rows, content = h.inbox(t, h.norte.agency)
	require.Equal(t, 1, rows)
	require.Contains(t, content, "palabras de norte")
	require.NotContains(t, content, "acme")
	require.NotContains(t, content, "de nadie")

	// The most that Meta documents: 1000 updates, in 3 MB.
	most := make([]string, 1000)
	for n := range most {
		most[n] = text(h.acme.number, fmt.Sprint("wamid.most.", n), strings.Repeat("largo ", 420))
	}
	large := payload(most...)
	require.Greater(t, len(large), 2_800_000)
	require.Equal(t, 200, h.post(t, h.acme.path, large, sign(h.acme.secret, large)).status)
	rows, _ = h.inbox(t, h.acme.agency)
	require.Equal(t, 3, rows)

	// A webhook of one's own that names another's number takes it nowhere else.
	stray := payload(text(h.norte.number, "wamid.5", "extraviado"))
	require.Equal(t, 200, h.post(t, h.acme.path, stray, sign(h.acme.secret, stray)).status)
	rows, content = h.inbox(t, h.norte.agency)
	require.Equal(t, 1, rows)
	require.NotContains(t, content, "extraviado")
	rows, _ = h.inbox(t, h.beta)
	require.Zero(t, rows)
}
