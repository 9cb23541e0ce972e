package main

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/uchat/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/serve"
	manifests "github.com/stratohub/strato/sdk/settings"
)

func TestCheck(t *testing.T) {
	t.Parallel()

	b := setup(t)
	for _, deep := range []bool{false, true} {
		got, err := b.Check(t.Context(), deep)
		require.NoError(t, err)
		require.Equal(t, sdk.HealthOK, got.State)
	}
	for name, tt := range map[string]struct {
		setting, value string
		faults         simulator.Faults
		state          sdk.Health
		pointer        string
	}{
		"a wrong key":        {"api_key", "uchat-wrong", simulator.Faults{}, sdk.HealthFailed, "/api_key"},
		"another bot":        {"flow_ns", "f1", simulator.Faults{}, sdk.HealthFailed, "/flow_ns"},
		"a bot with nothing": {"flow_ns", "", simulator.Faults{EmptyBot: true}, sdk.HealthOK, "/flow_ns"},
		"UChat is away":      {"flow_ns", "", simulator.Faults{HTTPStatus: 503}, sdk.HealthDegraded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t)
			b.simulator.SetFaults(tt.faults)
			values := maps.Clone(b.settings)
			if tt.value != "" {
				values[tt.setting] = tt.value
			}
			got, err := newInstance(t, b.base, values).Check(t.Context(), true)
			require.NoError(t, err)
			require.Equal(t, tt.state, got.State)
			require.Equal(t, tt.pointer, got.Checks[len(got.Checks)-1].Pointer)
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()

	good := map[string]string{"flow_ns": "f154820", "api_key": "a key of the tests", "webhook_secret": "a-secret-of-the-tests"}
	for name, tt := range map[string]struct {
		setting, value string
		pointers       []string
	}{
		"right":          {"channel", "whatsapp", nil},
		"white space":    {"webhook_secret", "a secret of the tests", []string{"/webhook_secret"}},
		"a short secret": {"webhook_secret", "short", []string{"/webhook_secret"}},
		"no key":         {"api_key", "", []string{"/api_key"}},
		"an old secret":  {"previous_webhook_secret", "the-one-of-last-month", []string{"/previous_webhook_secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			values := maps.Clone(good)
			values["api_key"] = "a-key-of-the-tests"
			values[tt.setting] = tt.value
			found, keys := newInstance(t, "http://127.0.0.1:1", values).Validate(t.Context())
			require.Empty(t, keys)
			var pointers []string
			for _, d := range found {
				pointers = append(pointers, d.Pointer)
			}
			require.Equal(t, tt.pointers, pointers)
		})
	}
}

// TestPlaces says where requests go: only the operator names addresses.
func TestPlaces(t *testing.T) {
	t.Parallel()

	resellers := "cig=https://www.cig.example/api, nico=https://app.nico.example"
	for name, tt := range map[string]struct {
		operator map[string]string
		reseller string
		want     place
		fails    bool
	}{
		"UChat itself":        {nil, "", place{base: baseURL}, false},
		"a reseller":          {map[string]string{"resellers": resellers}, "cig", place{"https://www.cig.example/api", "www.cig.example"}, false},
		"one without a path":  {map[string]string{"resellers": resellers}, "nico", place{"https://app.nico.example/api", "app.nico.example"}, false},
		"an unknown one":      {map[string]string{"resellers": resellers}, "otro", place{}, true},
		"none are named":      {nil, "cig", place{}, true},
		"the operator's own":  {map[string]string{"base_url": "http://127.0.0.1:9", "resellers": resellers}, "cig", place{base: "http://127.0.0.1:9/api"}, false},
		"an address not safe": {map[string]string{"resellers": "cig=http://www.cig.example"}, "cig", place{}, true},
		"no address":          {map[string]string{"base_url": "uchat"}, "", place{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got, err := placeOf(tt.operator, tt.reseller)
			require.Equal(t, tt.fails, err != nil)
			require.Equal(t, tt.want, got)
		})
	}
	require.Error(t, start(t.Context(), serve.Env{Operator: map[string]string{"resellers": "x"}}))
	require.NoError(t, start(t.Context(), serve.Env{Operator: map[string]string{"resellers": resellers}}))

	own, err := newAPI(place{"https://www.cig.example/api", "www.cig.example"}, "k", nil)
	require.NoError(t, err)
	own.close()
}

// TestManifest holds the form against what the simulator fills in.
func TestManifest(t *testing.T) {
	t.Parallel()

	m, err := manifests.Parse(manifest)
	require.NoError(t, err)
	require.Empty(t, m.Unknown)
	s, err := m.Schema()
	require.NoError(t, err)
	require.Equal(t, []string{"/api_key", "/inbound_webhook", "/previous_webhook_secret", "/webhook_secret"}, s.Secrets())
}
