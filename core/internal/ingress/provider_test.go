package ingress_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/webhook"
)

// body is a provider's webhook with one text message, for the number of an
// installation.
func (b *bundle) body(t *testing.T, to installation.Target, external, text string) []byte {
	t.Helper()
	var settings struct {
		Number  string `json:"phone_number_id"`
		Account string `json:"business_account_id"`
	}
	require.NoError(t, json.Unmarshal(b.Live(t, to).Settings, &settings))
	return fmt.Appendf(nil, `{"object":"whatsapp_business_account","entry":[{"id":%q,"changes":[{"field":"messages","value":{
		"messaging_product":"whatsapp","metadata":{"display_phone_number":"5491100000000","phone_number_id":%q},
		"contacts":[{"profile":{"name":"Lucía"},"wa_id":%q}],
		"messages":[{"from":%q,"id":%q,"timestamp":"%d","type":"text","text":{"body":%q}}]}}]}]}`,
		settings.Account, settings.Number, ana, ana, external, time.Now().Unix(), text)
}

// sign is the header of a webhook, by an installation's own secret.
func (b *bundle) sign(t *testing.T, to installation.Target, body []byte) string {
	t.Helper()
	return webhook.SignHub(b.Live(t, to).Secrets["/app_secret"], body)
}

// signed stores a genuine webhook that the plugin has not seen.
func (b *bundle) signed(t *testing.T, to installation.Target, external, text string) ingress.Ref {
	t.Helper()
	body := b.body(t, to, external, text)
	ref, err := b.inbox.Store(t.Context(), ingress.Row{Target: to, Plugin: hosttest.Provider, Delivery: &pluginv1.WebhookDelivery{
		Request: &pluginv1.HttpRequest{
			Method: http.MethodPost, Body: body, ReceivedAt: timestamppb.Now(),
			Headers: []*pluginv1.Header{{Name: webhook.HubHeader, Value: b.sign(t, to, body)}},
		},
		MatchedKeys: b.keys(t, to),
	}})
	require.NoError(t, err)
	return ref
}

func (b *bundle) keys(t *testing.T, to installation.Target) []*pluginv1.RouteKey {
	t.Helper()
	var out []*pluginv1.RouteKey
	for _, k := range b.Live(t, to).Keys {
		out = append(out, &pluginv1.RouteKey{Kind: k.Kind, Value: k.Value})
	}
	return out
}
