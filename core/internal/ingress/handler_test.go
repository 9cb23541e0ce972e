package ingress_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/core/internal/tenanttest"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/webhook"
)

// post sends a webhook and returns the answer's status and body.
func post(t *testing.T, url string, body []byte, headers ...string) (status int, answer string) {
	t.Helper()
	return request(t, http.MethodPost, url, body, headers...)
}

func request(t *testing.T, method, url string, body []byte, headers ...string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func TestDirect(t *testing.T) {
	t.Parallel()

	t.Run("a signed webhook is stored before it is answered, and taken", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Connect(t, "acme", b.url+"/elsewhere")
		body := b.body(t, to, "wamid.1", "Hola")
		status, _ := post(t, b.address(t, hosttest.Provider, to), body, webhook.HubHeader, b.sign(t, to, body))
		require.Equal(t, 200, status)
		refs := b.waiting(t)
		require.Len(t, refs, 1)
		require.Equal(t, "ready", b.state(t, refs[0]).State)
		require.Equal(t, 1, jobs(t, "inbox_received", refs[0].ID.String()))
		require.NoError(t, b.work(t, refs...))
		require.Equal(t, []string{"Hola"}, b.texts(t))
	})

	t.Run("as many updates as a provider sends at once are taken", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Connect(t, "acme", b.url+"/elsewhere")
		body := bytes.TrimSuffix(b.body(t, to, "wamid.1", "Hola"), []byte("\n"))
		body = append(body, bytes.Repeat([]byte(" "), 3_000_000-len(body))...)
		status, answer := post(t, b.address(t, hosttest.Provider, to), body, webhook.HubHeader, b.sign(t, to, body))
		require.Equal(t, 200, status, answer)
		require.NoError(t, b.work(t, b.waiting(t)...))
		require.Equal(t, []string{"Hola"}, b.texts(t))
	})

	t.Run("large ones are put off while others fill the room, small ones are not", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Connect(t, "acme", b.url+"/elsewhere")
		free := b.handler.Fill()
		small := b.body(t, to, "wamid.1", "Hola")
		large := append(slices.Clone(small), bytes.Repeat([]byte(" "), 64<<10)...)
		at := b.address(t, hosttest.Provider, to)
		status, code := post(t, at, large, webhook.HubHeader, b.sign(t, to, large))
		require.Equal(t, 503, status)
		require.Equal(t, "webhook.full", code)
		status, _ = post(t, at, small, webhook.HubHeader, b.sign(t, to, small))
		require.Equal(t, 200, status)
		free()
		status, code = post(t, at, large, webhook.HubHeader, b.sign(t, to, large))
		require.Equal(t, 200, status, code)
	})

	t.Run("what is refused leaves no row", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to, echo := b.Connect(t, "acme", b.url+"/elsewhere"), b.Echo(t)
		good, broken := b.body(t, to, "wamid.1", "Hola"), []byte(`{"object":`)
		at := b.address(t, hosttest.Provider, to)
		for name, tt := range map[string]struct {
			url       string
			body      []byte
			signature string
			status    int
			code      string
		}{
			"no signature":               {at, good, "", 401, "webhook.unverified"},
			"another's signature":        {at, good, webhook.SignHub("not the secret", good), 401, "webhook.unverified"},
			"a signature of other bytes": {at, good, b.sign(t, to, broken), 401, "webhook.unverified"},
			"broken JSON, well signed":   {at, broken, b.sign(t, to, broken), 400, "webhook.malformed"},
			"too large":                  {at, make([]byte, 3<<20+1), "", 400, "webhook.too_large"},
			"no such plugin":             {b.url + "/api/webhooks/nothing", good, "", 404, "webhook.not_found"},
			"no such token":              {b.url + "/api/webhooks/" + hosttest.Provider + "/AAAAAAAAAAAAAAAAAAAAAA", good, b.sign(t, to, good), 404, "webhook.not_found"},
			"no token at all":            {b.url + "/api/webhooks/" + hosttest.Provider + "/x", good, "", 404, "webhook.not_found"},
			"another plugin's token":     {strings.Replace(b.address(t, hosttest.Echo, echo), hosttest.Echo, hosttest.Provider, 1), good, "", 404, "webhook.not_found"},
		} {
			status, code := post(t, tt.url, tt.body, webhook.HubHeader, tt.signature)
			require.Equal(t, tt.status, status, name)
			require.Equal(t, tt.code, code, name)
		}
		require.Zero(t, b.rows(t, b.Agency.ID))
	})

	t.Run("an installation that is switched off, and an agency, have no address", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Echo(t)
		at := b.address(t, hosttest.Echo, to)
		status, _ := post(t, at, []byte("hello"))
		require.Equal(t, 200, status)
		_, err := b.Configurator.SetState(t.Context(), to, installation.Disabled)
		require.NoError(t, err)
		status, _ = post(t, at, []byte("hello"))
		require.Equal(t, 404, status)
		_, err = b.Configurator.SetState(t.Context(), to, installation.Active)
		require.NoError(t, err)
		status, _ = post(t, at, []byte("hello"))
		require.Equal(t, 200, status)
		admin(t, `update control.tenants set active = false where id = $1`, b.Agency.ID.UUID)
		b.Pool.Forget(b.Agency.ID)
		b.Directory.Forget(to)
		status, _ = post(t, at, []byte("hello"))
		require.Equal(t, 404, status)
	})

	t.Run("a handshake is answered and leaves no row", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Connect(t, "acme", b.url+"/elsewhere")
		at := b.address(t, hosttest.Provider, to) + "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
		status, answer := request(t, http.MethodGet, at+b.Live(t, to).Secrets["/verify_token"], nil)
		require.Equal(t, 200, status)
		require.Equal(t, "1158201444", answer)
		status, _ = request(t, http.MethodGet, at+"wrong", nil)
		require.Contains(t, []int{401, 403}, status)
		require.Zero(t, b.rows(t, b.Agency.ID))
	})

	t.Run("a plugin that is too slow does not lose the webhook", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Echo(t)
		until := file(t)
		status, _ := post(t, b.address(t, hosttest.Echo, to), []byte("wait "+until))
		require.Equal(t, 200, status)
		refs := b.waiting(t)
		require.Len(t, refs, 1)
		require.Equal(t, "raw", b.state(t, refs[0]).State)
		require.True(t, exists(until))
		require.NoError(t, os.Remove(until))
		require.NotContains(t, b.Log.String(), "a token of the tests")
	})

	t.Run("a plugin that is away does not either, but cannot shake hands", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Echo(t)
		at := b.address(t, hosttest.Echo, to)
		b.Registry.Close()
		status, _ := post(t, at, []byte("hello"))
		require.Equal(t, 200, status)
		require.Len(t, b.waiting(t), 1)
		status, code := request(t, http.MethodGet, at, nil)
		require.Equal(t, 503, status)
		require.Equal(t, "webhook.later", code)
		require.Len(t, b.waiting(t), 1)
	})

	t.Run("what the plugin fails at is not taken, so that the provider sends it again", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Echo(t)
		for _, word := range []string{"refuse", "fail", "panic"} {
			status, code := post(t, b.address(t, hosttest.Echo, to), []byte(word))
			require.Equal(t, 503, status, word)
			require.Equal(t, "webhook.later", code, word)
		}
		require.Zero(t, b.rows(t, b.Agency.ID))
	})

	t.Run("what is the provider's but cannot be read yet is kept and shown again", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		status, _ := post(t, b.address(t, hosttest.Echo, b.Echo(t)), []byte("later"))
		require.Equal(t, 200, status)
		refs := b.waiting(t)
		require.Len(t, refs, 1)
		require.Equal(t, "raw", b.state(t, refs[0]).State)
		require.NoError(t, b.work(t, refs...))
		require.Equal(t, "done", b.state(t, refs[0]).State)
	})

	t.Run("a sender that stops sending is not waited for", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		r, w := io.Pipe()
		t.Cleanup(func() { _ = w.Close() })
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.address(t, hosttest.Echo, b.Echo(t)), r)
		require.NoError(t, err)
		began := time.Now()
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			require.Equal(t, 400, resp.StatusCode)
			_ = resp.Body.Close()
		}
		require.Less(t, time.Since(began), patience)
	})
}

func TestShared(t *testing.T) {
	t.Parallel()

	t.Run("each agency gets its own part and nothing else", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		mine := b.Connect(t, "acme", b.url+"/elsewhere")
		other := tenanttest.Create(t, b.Pool, dbtest.Database(t).Name)
		theirs := hosttest.Install(t, b.Pool, other, hosttest.Provider)
		b.Save(t, theirs, b.Account(t, "norte", b.url+"/elsewhere"))
		body := join(b.body(t, mine, "wamid.1", "para acme"), b.body(t, theirs, "wamid.2", "para norte"))
		at := b.url + "/api/webhooks/" + hosttest.Provider

		status, code := post(t, at, body, webhook.HubHeader, b.sign(t, mine, body))
		require.Equal(t, 401, status, "the operator's secret counts here")
		require.Equal(t, "webhook.unverified", code)
		status, _ = post(t, at, body, webhook.HubHeader, webhook.SignHub(hosttest.AppSecret, body))
		require.Equal(t, 200, status)
		require.Equal(t, 1, b.rows(t, b.Agency.ID))
		require.Equal(t, 1, b.rows(t, other.ID))
		stored := b.value(t, `select encode(delivery || result, 'escape') from crm.inbox where tenant_id = $1`)
		require.Contains(t, stored, "para acme")
		require.NotContains(t, stored, "para norte")
		require.NoError(t, b.work(t, b.waiting(t)...))
		require.Equal(t, []string{"para acme"}, b.texts(t))
	})

	t.Run("a number of nobody's is answered and dropped", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Connect(t, "acme", b.url+"/elsewhere")
		body := replaceKey(b.body(t, to, "wamid.1", "Hola"), b.keyValue(t, to, "phone_number_id"), "999999999")
		body = replaceKey(body, b.keyValue(t, to, "waba_id"), "888888888")
		status, _ := post(t, b.url+"/api/webhooks/"+hosttest.Provider, body, webhook.HubHeader, webhook.SignHub(hosttest.AppSecret, body))
		require.Equal(t, 200, status)
		require.Zero(t, b.rows(t, b.Agency.ID))
	})
}

// join makes one webhook of two.
func join(one, two []byte) []byte {
	_, entry, _ := bytes.Cut(two, []byte(`"entry":[`))
	return slices.Concat(bytes.TrimSuffix(one, []byte("]}")), []byte(","), entry)
}

// replaceKey makes a webhook that of another account.
func replaceKey(body []byte, from, to string) []byte {
	return bytes.ReplaceAll(body, []byte(from), []byte(to))
}

func (b *bundle) keyValue(t *testing.T, to installation.Target, kind string) string {
	t.Helper()
	for _, k := range b.keys(t, to) {
		if k.GetKind() == kind {
			return k.GetValue()
		}
	}
	t.Fatalf("the installation has no key of kind %s", kind)
	return ""
}

func TestOurs(t *testing.T) {
	t.Parallel()

	key := func(v string) *pluginv1.RouteKey { return &pluginv1.RouteKey{Kind: "number", Value: v} }
	delivery := &pluginv1.WebhookDelivery{MatchedKeys: []*pluginv1.RouteKey{key("1"), key("2")}}
	var events []*pluginv1.Event
	for name, keys := range map[string][]*pluginv1.RouteKey{
		"own": {key("1")}, "both": {key("2"), key("1")}, "foreign": {key("3")}, "half foreign": {key("1"), key("3")}, "none": nil,
		"same value, another kind": {{Kind: "account", Value: "1"}},
	} {
		events = append(events, &pluginv1.Event{DedupeKey: name, RouteKeys: keys})
	}
	log := &hosttest.Log{}
	metrics := ingress.NewMetrics(telemetry.NewMetrics(telemetry.NewTenants(10, uuid.UUID.String)))
	var left []string
	for _, e := range ingress.Ours(t.Context(), metrics, log.Logger(), &installation.Live{}, delivery, events) {
		left = append(left, e.GetDedupeKey())
	}
	require.ElementsMatch(t, []string{"own", "both", "none"}, left)
	require.Equal(t, 3, strings.Count(log.String(), "event of another account dropped"))
}
