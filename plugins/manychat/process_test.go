package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/plugins/manychat/simulator"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// TestProcess runs the real binary under the real host, against the simulator.
func TestProcess(t *testing.T) {
	t.Parallel()

	dir := filepath.Join(t.TempDir(), "plugins")
	folder := filepath.Join(dir, "manychat")
	require.NoError(t, os.MkdirAll(folder, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "plugin.json"), manifest, 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "manychat"), ".").CombinedOutput()
	require.NoError(t, err, string(out))

	b := setup(t)
	m := b.hear(t, simulator.Say{Text: "hola"})
	runtime, err := os.MkdirTemp("", "mc") // sockets have short paths
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	h, err := host.New(host.Config{Dir: dir, RuntimeDir: runtime, OperatorSettings: func(string) map[string]string {
		return map[string]string{"base_url": b.base}
	}})
	require.NoError(t, err)
	t.Cleanup(func() {
		// The test's own context has ended by then.
		stopping, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, h.Stop(stopping))
	})
	within, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	plugin, release, err := h.Acquire(within, "manychat")
	require.NoError(t, err)
	defer release()

	i := installation(t, b.settings)
	wire := &pluginv1.Installation{
		TenantId: "00000000-0000-0000-0000-000000000001", InstallationId: "00000000-0000-0000-0000-000000000002",
		Revision: 1, SettingsVersion: 1, SettingsJson: i.Settings, Secrets: i.Secrets,
	}
	checked, err := plugin.Provider.CheckInstallation(within, &pluginv1.CheckInstallationRequest{Installation: wire, Deep: true})
	require.NoError(t, err)
	require.Equal(t, pluginv1.HealthState_HEALTH_STATE_OK, checked.GetState())
	require.Len(t, checked.GetConfirmedRouteKeys(), 6)

	request := func(secret string) *pluginv1.WebhookDelivery {
		return &pluginv1.WebhookDelivery{MatchedKeys: checked.GetConfirmedRouteKeys(), Request: &pluginv1.HttpRequest{
			Method: http.MethodPost, Body: []byte(b.hooks.bodies[0]), ReceivedAt: timestamppb.New(arrivedAt),
			Headers: []*pluginv1.Header{{Name: "Authorization", Value: "Bearer " + secret}},
		}}
	}
	handled, err := plugin.Webhook.HandleWebhooks(within, &pluginv1.HandleWebhooksRequest{
		Installation: wire, Deliveries: []*pluginv1.WebhookDelivery{request(b.settings["webhook_secret"]), request("no")},
	})
	require.NoError(t, err)
	require.True(t, handled.GetResults()[0].GetVerified())
	require.Equal(t, "hola", handled.GetResults()[0].GetEvents()[0].GetInbound().GetContent().GetText().GetBody())
	require.False(t, handled.GetResults()[1].GetVerified())

	send := &pluginv1.SendRequest{
		Installation: wire, IdempotencyKey: "k", Attempt: 1, From: &pluginv1.Address{Kind: m.To.Kind, Value: m.To.Value},
		To:      []*pluginv1.Address{{Kind: m.From.Addresses[0].Kind, Value: m.From.Addresses[0].Value}},
		Content: &pluginv1.Content{Kind: &pluginv1.Content_Text{Text: &pluginv1.Text{Body: "buenas"}}},
	}
	sent, err := plugin.Channel.Send(within, send)
	require.NoError(t, err)
	require.Nil(t, sent.GetFailure())
	require.Len(t, sent.GetReceipts(), 1)
	require.Empty(t, sent.GetReceipts()[0].GetProviderMessageId())
	require.Equal(t, []string{"text: buenas"}, b.shown(t))

	b.faults(simulator.Faults{ErrorCode: 3011})
	sent, err = plugin.Channel.Send(within, send)
	require.NoError(t, err)
	require.Equal(t, pluginv1.FailureCode_FAILURE_CODE_WINDOW_CLOSED, sent.GetFailure().GetCode())
	require.Equal(t, pluginv1.Outcome_OUTCOME_NOT_SENT, sent.GetFailure().GetOutcome())
}
