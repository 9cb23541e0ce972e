package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/webhook"
)

// TestProcess runs the real binary under the real host, against the simulator.
func TestProcess(t *testing.T) {
	t.Parallel()

	dir := filepath.Join(t.TempDir(), "plugins")
	folder := filepath.Join(dir, "whatsapp")
	require.NoError(t, os.MkdirAll(folder, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "plugin.json"), manifest, 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "whatsapp"), ".").CombinedOutput()
	require.NoError(t, err, string(out))

	b := setup(t, simulator.Options{})
	b.write(t, simulator.Say{Text: "hola"})
	runtime, err := os.MkdirTemp("", "wa") // sockets have short paths
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	h, err := host.New(host.Config{Dir: dir, RuntimeDir: runtime, OperatorSettings: func(string) map[string]string {
		return map[string]string{"base_url": b.base, "app_secret": "operator's"}
	}})
	require.NoError(t, err)
	t.Cleanup(func() {
		// The test's own context has ended by then.
		stopping, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, h.Stop(stopping))
	})
	within := ctx(t, 20*time.Second)
	plugin, release, err := h.Acquire(within, "whatsapp")
	require.NoError(t, err)
	defer release()

	secrets := map[string]string{}
	for _, name := range []string{"access_token", "app_secret", "verify_token"} {
		secrets["/"+name] = b.settings[name]
	}
	public, err := json.Marshal(map[string]string{
		"phone_number_id": b.settings["phone_number_id"], "business_account_id": b.settings["business_account_id"],
	})
	require.NoError(t, err)
	installation := &pluginv1.Installation{
		TenantId: "00000000-0000-0000-0000-000000000001", InstallationId: "00000000-0000-0000-0000-000000000002",
		Revision: 1, SettingsVersion: 1, SettingsJson: public, Secrets: secrets,
	}

	checked, err := plugin.Provider.CheckInstallation(within, &pluginv1.CheckInstallationRequest{Installation: installation, Deep: true})
	require.NoError(t, err)
	require.Equal(t, pluginv1.HealthState_HEALTH_STATE_OK, checked.GetState())
	require.Len(t, checked.GetConfirmedRouteKeys(), 2)

	sent, err := plugin.Channel.Send(within, &pluginv1.SendRequest{
		Installation: installation, IdempotencyKey: "k", Attempt: 1,
		To:      []*pluginv1.Address{{Kind: kindPhone, Value: customer}},
		Content: &pluginv1.Content{Kind: &pluginv1.Content_Text{Text: &pluginv1.Text{Body: "buenas"}}},
	})
	require.NoError(t, err)
	require.Nil(t, sent.GetFailure())
	require.Len(t, sent.GetReceipts(), 1)
	require.Equal(t, customer, sent.GetReceipts()[0].GetRecipient()[0].GetValue())

	body := []byte(`{"object":"whatsapp_business_account","entry":[{"id":"700","changes":[` + ofTenant("alpha", "111111") + `,` + ofTenant("beta", "222222") + `]}]}`)
	request := &pluginv1.HttpRequest{
		Method: http.MethodPost, Body: body, ReceivedAt: timestamppb.New(arrival),
		Headers: []*pluginv1.Header{{Name: webhook.HubHeader, Value: webhook.SignHub("operator's", body)}},
	}
	routed, err := plugin.Webhook.RouteWebhooks(within, &pluginv1.RouteWebhooksRequest{Requests: []*pluginv1.WebhookRoute{{Request: request}}})
	require.NoError(t, err)
	parts := routed.GetRoutings()[0].GetParts()
	require.Len(t, parts, 2)

	request.Body = parts[1].GetBody()
	handled, err := plugin.Webhook.HandleWebhooks(within, &pluginv1.HandleWebhooksRequest{
		Installation: installation,
		Deliveries: []*pluginv1.WebhookDelivery{
			{Request: request, Routed: true, MatchedKeys: parts[1].GetRouteKeys()},
			{Request: request},
		},
	})
	require.NoError(t, err)
	require.True(t, handled.GetResults()[0].GetVerified())
	require.Len(t, handled.GetResults()[0].GetEvents(), 2)
	require.Equal(t, "secreto de beta <b>&ñ", handled.GetResults()[0].GetEvents()[0].GetInbound().GetContent().GetText().GetBody())
	require.False(t, handled.GetResults()[1].GetVerified(), "a part alone has no valid signature")
}
