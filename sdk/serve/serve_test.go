package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/settings"
)

const manifest = `{
	"id": "demo", "name": "Demo", "version": "0.1.0", "protocol": 1, "capabilities": ["webhook"], "settings_version": 2,
	"settings_schema": {"type": "object", "required": ["account"], "properties": {
		"account": {"type": "string"}, "token": {"type": "string", "writeOnly": true}}}
}`

// handler is a plugin of one capability. Its account says what it does.
type handler struct {
	account string
	closed  *int
}

func (h *handler) HandleWebhook(_ context.Context, w sdk.Webhook) (sdk.WebhookResult, error) {
	if string(w.Request.Body) == "panic" {
		panic("boom")
	}
	if string(w.Request.Body) == "many" {
		return sdk.WebhookResult{Verified: true, Events: make([]sdk.Event, maxEvents+1)}, nil
	}
	return sdk.WebhookResult{Verified: true, Response: sdk.Response{Body: []byte(h.account)}}, nil
}

func (h *handler) Check(_ context.Context, deep bool) (sdk.CheckResult, error) {
	if h.account == "locked" {
		return sdk.CheckResult{}, failure.New(failure.Auth, "the token does not work")
	}
	return sdk.CheckResult{State: sdk.HealthOK, AccountLabel: h.account}, nil
}

func (h *handler) Validate(context.Context) ([]sdk.Diagnostic, []sdk.RouteKey) {
	return nil, []sdk.RouteKey{{Kind: "account", Value: h.account}}
}

// GetCall is a slip of the pen: it is not that of [sdk.Caller].
func (h *handler) GetCall(context.Context) (sdk.CallUpdate, error) { return sdk.CallUpdate{}, nil }

func (h *handler) Close() error {
	*h.closed++
	return nil
}

func demo(closed *int) Plugin[*handler] {
	return Plugin[*handler]{Manifest: []byte(manifest), New: func(_ context.Context, i sdk.Installation, _ Env) (*handler, error) {
		var s struct{ Account string }
		if err := settings.Decode(i, &s); err != nil {
			return nil, err
		}
		if s.Account == "broken" {
			return nil, errors.New("internal words")
		}
		return &handler{s.Account, closed}, nil
	}}
}

// started is a server after Start, and what it wrote to its log.
func started(t *testing.T, p Plugin[*handler]) (*server[*handler], *bytes.Buffer) {
	t.Helper()
	m, err := settings.Parse(p.Manifest)
	require.NoError(t, err)
	require.NoError(t, check(p, m))
	var out bytes.Buffer
	s, err := newServer(p, m, &out)
	require.NoError(t, err)
	_, err = s.Start(t.Context(), &pluginv1.StartRequest{})
	require.NoError(t, err)
	t.Cleanup(func() { s.close(context.Background()) })
	return s, &out
}

func account(name string) *pluginv1.Installation {
	return &pluginv1.Installation{InstallationId: "i", Revision: 1, SettingsVersion: 2, SettingsJson: []byte(`{"account":"` + name + `"}`)}
}

func TestByHand(t *testing.T) {
	t.Parallel()

	p := demo(new(int))
	var out, errs bytes.Buffer
	require.Equal(t, 2, run(p, nil, &out, &errs))
	require.Contains(t, errs.String(), "Strato plugin demo 0.1.0")
	require.Empty(t, out.String())

	errs.Reset()
	require.Equal(t, 0, run(p, []string{"manifest"}, &out, &errs))
	require.JSONEq(t, manifest, out.String())
	require.Empty(t, errs.String())

	require.Equal(t, 2, run(p, []string{"simulate"}, &out, &errs))
	require.Contains(t, errs.String(), "has no simulator")

	p.Manifest = []byte(strings.Replace(manifest, `"id"`, `"simulator": true, "surprise": 1, "id"`, 1))
	var words []string
	p.Simulate = func(args []string) int { words = args; return 7 }
	require.Equal(t, 7, run(p, []string{"simulate", "say", "hello"}, &out, &errs))
	require.Equal(t, []string{"say", "hello"}, words)
	require.Equal(t, 0, run(p, []string{"manifest"}, &out, &errs))
	require.Contains(t, errs.String(), `"surprise"`)
}

func TestManifestAndMethodsMustAgree(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		change func(*Plugin[*handler])
		want   string
	}{
		"declares too much": {func(p *Plugin[*handler]) {
			p.Manifest = []byte(strings.Replace(manifest, `["webhook"]`, `["webhook", "channel"]`, 1))
		}, "declares channel"},
		"lacks methods": {func(p *Plugin[*handler]) {
			p.Manifest = []byte(strings.Replace(manifest, `["webhook"]`, `["webhook", "calls"]`, 1))
		}, "declares calls, but *serve.handler does not have EndCall, GetCall of the right signature, PlaceCall (sdk.Caller)"},
		"declares too little": {func(p *Plugin[*handler]) {
			p.Manifest = []byte(strings.Replace(manifest, `["webhook"]`, `["channel"]`, 1))
		}, "can do webhook"},
		"other protocol": {func(p *Plugin[*handler]) {
			p.Manifest = []byte(strings.Replace(manifest, `"protocol": 1`, `"protocol": 2`, 1))
		}, "protocol is 2"},
		"no New":    {func(p *Plugin[*handler]) { p.New = nil }, "there is no New"},
		"simulator": {func(p *Plugin[*handler]) { p.Simulate = func([]string) int { return 0 } }, "simulator"},
		"not JSON":  {func(p *Plugin[*handler]) { p.Manifest = []byte("{") }, "manifest is not"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			p := demo(new(int))
			tt.change(&p)
			var errs bytes.Buffer
			require.Equal(t, 2, run(p, nil, &bytes.Buffer{}, &errs))
			require.Contains(t, errs.String(), tt.want)
		})
	}
}

func TestWebhooksAreAnsweredEachForItself(t *testing.T) {
	t.Parallel()

	s, out := started(t, demo(new(int)))
	w := &webhooks[*handler]{server: s}
	r, err := w.HandleWebhooks(t.Context(), &pluginv1.HandleWebhooksRequest{Installation: account("acme"), Deliveries: []*pluginv1.WebhookDelivery{
		{Request: &pluginv1.HttpRequest{Body: []byte("one")}}, {Request: &pluginv1.HttpRequest{Body: []byte("panic")}},
		{Request: &pluginv1.HttpRequest{Body: []byte("many")}}, {Request: &pluginv1.HttpRequest{Body: []byte("two")}},
	}})
	require.NoError(t, err)
	require.Equal(t, "acme", string(r.GetResults()[0].GetResponse().GetBody()))
	require.Equal(t, pluginv1.Blame_BLAME_PLUGIN, r.GetResults()[1].GetFailure().GetBlame())
	require.Equal(t, pluginv1.FailureCode_FAILURE_CODE_UNSUPPORTED, r.GetResults()[2].GetFailure().GetCode())
	require.Equal(t, "acme", string(r.GetResults()[3].GetResponse().GetBody()))
	require.Contains(t, out.String(), "boom")
	require.Contains(t, out.String(), "HandleWebhook")

	r, err = w.HandleWebhooks(t.Context(), &pluginv1.HandleWebhooksRequest{
		Installation: &pluginv1.Installation{InstallationId: "other", Revision: 1, SettingsJson: []byte(`{"account":"broken"}`)},
		Deliveries:   []*pluginv1.WebhookDelivery{{}, {}},
	})
	require.NoError(t, err)
	require.Len(t, r.GetResults(), 2)
	require.NotContains(t, r.GetResults()[1].GetFailure().GetMessage(), "internal words")
}

func TestRoute(t *testing.T) {
	t.Parallel()

	p := demo(new(int))
	s, _ := started(t, p)
	r, err := (&webhooks[*handler]{server: s}).RouteWebhooks(t.Context(), &pluginv1.RouteWebhooksRequest{Requests: []*pluginv1.WebhookRoute{{}}})
	require.NoError(t, err)
	require.Equal(t, uint32(404), r.GetRoutings()[0].GetFinalResponse().GetStatus())

	p.Route = func(_ context.Context, env Env, endpoint string, r sdk.Request) (sdk.Routing, error) {
		if string(r.Body) == "bad" {
			return sdk.Routing{}, failure.New(failure.Malformed, "not so")
		}
		return sdk.Routing{Verified: env.Operator != nil, Parts: []sdk.RoutedPart{{Keys: []sdk.RouteKey{{Kind: "k", Value: endpoint}}}}}, nil
	}
	s, _ = started(t, p)
	r, err = (&webhooks[*handler]{server: s}).RouteWebhooks(t.Context(), &pluginv1.RouteWebhooksRequest{Requests: []*pluginv1.WebhookRoute{
		{Endpoint: "e"}, {Request: &pluginv1.HttpRequest{Body: []byte("bad")}},
	}})
	require.NoError(t, err)
	require.True(t, r.GetRoutings()[0].GetVerified())
	require.Equal(t, "e", r.GetRoutings()[0].GetParts()[0].GetRouteKeys()[0].GetValue())
	require.Equal(t, pluginv1.FailureCode_FAILURE_CODE_MALFORMED, r.GetRoutings()[1].GetFailure().GetCode())
	require.Equal(t, pluginv1.Blame_BLAME_PROVIDER, r.GetRoutings()[1].GetFailure().GetBlame())
}

// Settings that are tried out never serve the calls of those in force.
func TestTriedSettingsStayOutOfTheCache(t *testing.T) {
	t.Parallel()

	closed := 0
	s, _ := started(t, demo(&closed))
	tried := account("tried")
	tried.Revision = 9
	c, err := s.CheckInstallation(t.Context(), &pluginv1.CheckInstallationRequest{Installation: tried, Deep: true})
	require.NoError(t, err)
	require.Equal(t, "tried", c.GetAccountLabel())
	v, err := s.ValidateSettings(t.Context(), &pluginv1.ValidateSettingsRequest{Installation: tried})
	require.NoError(t, err)
	require.Empty(t, v.GetDiagnostics())
	require.Equal(t, "tried", v.GetRouteKeys()[0].GetValue())
	require.Equal(t, 2, closed)

	value, release, err := s.instance(t.Context(), account("in force"))
	require.NoError(t, err)
	require.Equal(t, "in force", value.account)
	release()
}

func TestCheckAndValidateRefusals(t *testing.T) {
	t.Parallel()

	s, _ := started(t, demo(new(int)))
	c, err := s.CheckInstallation(t.Context(), &pluginv1.CheckInstallationRequest{Installation: account("locked")})
	require.NoError(t, err)
	require.Equal(t, pluginv1.HealthState_HEALTH_STATE_FAILED, c.GetState())
	require.Equal(t, pluginv1.FailureCode_FAILURE_CODE_AUTH, c.GetChecks()[0].GetFailure().GetCode())
	require.Equal(t, pluginv1.Blame_BLAME_TENANT, c.GetChecks()[0].GetFailure().GetBlame())

	v, err := s.ValidateSettings(t.Context(), &pluginv1.ValidateSettingsRequest{Installation: account("broken")})
	require.NoError(t, err)
	require.Len(t, v.GetDiagnostics(), 1)
	require.NotContains(t, v.GetDiagnostics()[0].String(), "internal words")
	v, err = s.ValidateSettings(t.Context(), &pluginv1.ValidateSettingsRequest{Installation: &pluginv1.Installation{}})
	require.NoError(t, err)
	require.Equal(t, "/account", v.GetDiagnostics()[0].GetPointer())
}

func TestMigrate(t *testing.T) {
	t.Parallel()

	p := demo(new(int))
	s, _ := started(t, p)
	current := account("a")
	r, err := s.MigrateSettings(t.Context(), &pluginv1.MigrateSettingsRequest{Installation: current, ToVersion: 2})
	require.NoError(t, err)
	require.JSONEq(t, `{"account":"a"}`, string(r.GetSettingsJson()))
	old := account("a")
	old.SettingsVersion = 1
	_, err = s.MigrateSettings(t.Context(), &pluginv1.MigrateSettingsRequest{Installation: old, ToVersion: 2})
	require.Equal(t, codes.Unimplemented, status.Code(err))
	_, err = s.MigrateSettings(t.Context(), &pluginv1.MigrateSettingsRequest{Installation: old, ToVersion: 3})
	require.Equal(t, codes.InvalidArgument, status.Code(err))

	p.Migrate = func(context.Context, sdk.Installation) ([]byte, map[string]string, error) {
		return []byte(`{"account":7}`), map[string]string{"/token": "moved-token"}, nil
	}
	s, _ = started(t, p)
	r, err = s.MigrateSettings(t.Context(), &pluginv1.MigrateSettingsRequest{Installation: old, ToVersion: 2})
	require.NoError(t, err)
	require.Equal(t, "moved-token", r.GetSecrets()["/token"])
	require.Equal(t, "/account", r.GetDiagnostics()[0].GetPointer(), "a migration's result is checked too")
}

func TestStart(t *testing.T) {
	t.Parallel()

	p := demo(new(int))
	m, err := settings.Parse(p.Manifest)
	require.NoError(t, err)
	var out bytes.Buffer
	s, err := newServer(p, m, &out)
	require.NoError(t, err)
	defer s.close(t.Context())
	info := &grpc.UnaryServerInfo{FullMethod: pluginv1.ChannelService_Send_FullMethodName}
	_, err = s.unary(t.Context(), &pluginv1.SendRequest{}, info, nil)
	require.Equal(t, codes.FailedPrecondition, status.Code(err), "a tenant's call before Start")
	_, err = s.Start(t.Context(), &pluginv1.StartRequest{OperatorSettings: map[string]string{"base_url": "nonsense"}})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	_, err = s.Start(t.Context(), &pluginv1.StartRequest{LogLevel: "debug"})
	require.NoError(t, err)
	_, err = s.Start(t.Context(), &pluginv1.StartRequest{})
	require.Equal(t, codes.FailedPrecondition, status.Code(err), "started twice")

	d, err := s.Describe(t.Context(), &pluginv1.DescribeRequest{})
	require.NoError(t, err)
	require.Equal(t, []string{"/token"}, d.GetSecretPointers())
	require.Equal(t, []pluginv1.Capability{pluginv1.Capability_CAPABILITY_WEBHOOK}, d.GetCapabilities())
	metrics, err := s.CollectMetrics(t.Context(), &pluginv1.CollectMetricsRequest{})
	require.NoError(t, err)
	require.Contains(t, string(metrics.GetPrometheusText()), "# TYPE instances gauge\ninstances 0\n")
}

// A plugin whose struct is its schema needs none in the manifest, and writes it there.
func TestSettingsOfAStruct(t *testing.T) {
	t.Parallel()

	type config struct {
		Account string `json:"account" settings:"required"`
		Token   string `json:"token" settings:"secret"`
	}
	p := demo(new(int))
	p.Settings = config{}
	p.Manifest = []byte(`{"id": "demo", "name": "Demo", "version": "0.1.0", "protocol": 1, "capabilities": ["webhook"], "settings_version": 2}`)
	file := filepath.Join(t.TempDir(), "plugin.json")
	var out, errs bytes.Buffer
	require.Equal(t, 0, run(p, []string{"manifest", file}, &out, &errs), errs.String())
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 0, run(p, []string{"manifest"}, &out, &errs))
	require.Equal(t, string(written), out.String())

	// What is served is what was written, byte for byte: the host compares them.
	left, m, err := prepare(p)
	require.NoError(t, err)
	require.Equal(t, string(written), string(left.Manifest))
	require.JSONEq(t, `["/token"]`, secretsOf(t, m))
	p.Manifest = written
	same, _, err := prepare(p)
	require.NoError(t, err)
	require.Equal(t, string(written), string(same.Manifest))

	p.Settings = struct {
		Account string `json:"account"`
	}{}
	errs.Reset()
	require.Equal(t, 2, run(p, nil, &out, &errs))
	require.Contains(t, errs.String(), "is not that of Settings")
	require.Equal(t, 0, run(p, []string{"manifest", file}, &out, &errs), "which mends it")
	p.Manifest, err = os.ReadFile(file)
	require.NoError(t, err)
	_, _, err = prepare(p)
	require.NoError(t, err)
	require.Equal(t, 2, run(p, []string{"manifest", "a", "b"}, &out, &errs))
	p.Settings = 7
	require.Equal(t, 2, run(p, []string{"manifest"}, &out, &errs))
}

func secretsOf(t *testing.T, m *settings.Manifest) string {
	t.Helper()
	s, err := m.Schema()
	require.NoError(t, err)
	b, err := json.Marshal(s.Secrets())
	require.NoError(t, err)
	return string(b)
}

func TestPanicBecomesInternal(t *testing.T) {
	t.Parallel()

	s, out := started(t, demo(new(int)))
	s.secrets.Add("i", 1, map[string]string{"/token": "a-secret-token"})
	_, err := s.unary(t.Context(), &pluginv1.HealthRequest{}, &grpc.UnaryServerInfo{FullMethod: "/m"},
		func(context.Context, any) (any, error) { panic("with a-secret-token") })
	require.Equal(t, codes.Internal, status.Code(err))
	require.NotContains(t, err.Error(), "secret")
	require.Contains(t, out.String(), "serve_test.go")
	require.NotContains(t, out.String(), "a-secret-token")
	require.Zero(t, s.inFlight.Load())
}
