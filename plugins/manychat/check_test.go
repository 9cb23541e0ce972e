package main

import (
	"encoding/json"
	"maps"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/manychat/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/serve"
	"github.com/stratohub/strato/sdk/settings"
)

func TestCheck(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		changes []string
		faults  simulator.Faults
		state   sdk.Health
		pointer string
	}{
		"well":             {nil, simulator.Faults{}, sdk.HealthOK, ""},
		"flows too":        {[]string{"reply_by", "flow"}, simulator.Faults{}, sdk.HealthOK, ""},
		"not paid":         {nil, simulator.Faults{NotPro: true}, sdk.HealthDegraded, ""},
		"a wrong key":      {[]string{"api_key", "1:0123456789abcdef0123"}, simulator.Faults{}, sdk.HealthFailed, "/api_key"},
		"trouble":          {nil, simulator.Faults{HTTPStatus: 503}, sdk.HealthDegraded, ""},
		"an unknown field": {[]string{"phone_field", "No hay"}, simulator.Faults{}, sdk.HealthFailed, "/phone_field"},
		"a field of dates": {[]string{"phone_field", "Fecha visita"}, simulator.Faults{}, sdk.HealthFailed, "/phone_field"},
		"an unknown flow":  {[]string{"reply_by", "flow", "flow_messenger", "content20260101000000_1"}, simulator.Faults{}, sdk.HealthFailed, "/flow_messenger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, tt.changes...)
			b.faults(tt.faults)
			got, err := b.Check(t.Context(), true)
			require.NoError(t, err)
			require.Equal(t, tt.state, got.State)
			for _, c := range got.Checks {
				require.True(t, c.State == sdk.HealthOK || c.Pointer == tt.pointer, "%+v", c)
				require.True(t, c.State == sdk.HealthOK || c.Message != "")
			}
			if tt.state == sdk.HealthOK {
				require.Equal(t, "Acme Propiedades", got.AccountLabel)
				require.Equal(t, keyPage, got.ConfirmedKeys[0].Kind)
				require.Len(t, got.ConfirmedKeys, 1+len(channelKeys))
			}
		})
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()

	b := setup(t)
	flows, next, err := b.Options(t.Context(), sdk.OptionQuery{Source: "flows", Query: "respuesta"})
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, []sdk.Option{{Value: simulator.FlowReply, Label: "Respuesta de Strato", Description: simulator.FlowReply}}, flows)
	fields, _, err := b.Options(t.Context(), sdk.OptionQuery{Source: "text_fields"})
	require.NoError(t, err)
	require.Len(t, fields, 4)
	_, _, err = b.Options(t.Context(), sdk.OptionQuery{Source: "no"})
	require.Error(t, err)
}

func TestValidate(t *testing.T) {
	t.Parallel()

	good := map[string]string{"api_key": "3300112:0123456789abcdef", "webhook_secret": "0123456789abcdef"}
	for name, tt := range map[string]struct {
		key, value string
		pointer    string
		severity   sdk.Severity
	}{
		"good":              {"", "", "", 0},
		"key without colon": {"api_key", "0123456789abcdef", "/api_key", sdk.SeverityError},
		"no secret":         {"webhook_secret", "", "/webhook_secret", sdk.SeverityError},
		"short secret":      {"webhook_secret", "short", "/webhook_secret", sdk.SeverityError},
		"secret with space": {"second_webhook_secret", "0123456789 abcdef", "/second_webhook_secret", sdk.SeverityError},
		"the same twice":    {"second_webhook_secret", "0123456789abcdef", "/second_webhook_secret", sdk.SeverityWarning},
		"flow without any":  {"reply_by", "flow", "/reply_field", sdk.SeverityError},
		"no flow":           {"flow_telegram", "respuesta", "/flow_telegram", sdk.SeverityError},
		"no tag":            {"message_tag", "account update", "/message_tag", sdk.SeverityError},
		"create blindly":    {"create_contacts", "true", "/phone_field", sdk.SeverityWarning},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			given := maps.Clone(good)
			if tt.key != "" {
				given[tt.key] = tt.value
			}
			found, _ := newInstance(t, "http://127.0.0.1:9", given).Validate(t.Context())
			if tt.pointer == "" {
				require.Empty(t, found)
				return
			}
			require.NotEmpty(t, found)
			require.Equal(t, tt.pointer, found[0].Pointer)
			require.Equal(t, tt.severity, found[0].Severity)
		})
	}
}

func TestManifest(t *testing.T) {
	t.Parallel()

	m, err := settings.Parse(manifest)
	require.NoError(t, err)
	require.Empty(t, m.Unknown)
	schema, err := m.Schema()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"/api_key", "/second_webhook_secret", "/webhook_secret"}, schema.Secrets())
	require.ElementsMatch(t, m.RouteKinds, func() (kinds []string) {
		for _, k := range claims("1") {
			kinds = append(kinds, k.Kind)
		}
		return kinds
	}())
	b := setup(t)
	form, err := json.Marshal(b.settings)
	require.NoError(t, err)
	require.Empty(t, schema.Validate(form), "what the simulator hands out fits the form")
	require.Error(t, start(t.Context(), serve.Env{Operator: map[string]string{"base_url": "ftp://x"}}))
	require.NoError(t, start(t.Context(), serve.Env{}))
}

// TestRefusals reads the answers that were seen.
func TestRefusals(t *testing.T) {
	t.Parallel()

	var cases []struct {
		Status int             `json:"http_status"`
		Body   json.RawMessage `json:"body"`
		Code   string          `json:"code"`
	}
	raw, err := os.ReadFile("testdata/refusals.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &cases))
	require.GreaterOrEqual(t, len(cases), 12)
	for _, c := range cases {
		var a answer
		require.NoError(t, read(c.Body, &a))
		f := refuse(a, c.Status)
		require.Equal(t, c.Code, f.Code.String(), string(c.Body))
		require.Equal(t, failure.NotSent, f.Outcome)
		require.NotEmpty(t, f.Message)
	}
	var a answer
	require.NoError(t, read([]byte(`{"status":"error","details":{"messages":{"wa_id":{"message":["This WhatsApp ID already exists: 5491155550142"]}}}}`), &a))
	number, exists := a.existingNumber()
	require.True(t, exists)
	require.Equal(t, "5491155550142", number)
}
