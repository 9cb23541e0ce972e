package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/httpx"
	"github.com/stratohub/strato/sdk/serve"
	manifests "github.com/stratohub/strato/sdk/settings"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

func request(url string) httpx.Request { return httpx.Request{URL: url} }

func TestCheck(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	for _, deep := range []bool{false, true} {
		got, err := b.Check(t.Context(), deep)
		require.NoError(t, err)
		require.Equal(t, sdk.HealthOK, got.State)
		require.Regexp(t, `^Acme Propiedades, \+54 9 11 \d{4}-\d{4}$`, got.AccountLabel)
		if deep {
			require.Equal(t, b.claims(), got.ConfirmedKeys)
			continue
		}
		require.Empty(t, got.ConfirmedKeys, "only a deep check confirms")
	}

	for name, tt := range map[string]struct {
		setting, value, pointer string
		deep                    bool
	}{
		"token, deep":       {"access_token", "EAAwrong", "/access_token", true},
		"token, shallow":    {"access_token", "EAAwrong", "/access_token", false},
		"account, deep":     {"business_account_id", "299999999999999", "/business_account_id", true},
		"number, deep":      {"phone_number_id", "199999999999999", "/phone_number_id", true},
		"number, shallow":   {"phone_number_id", "199999999999999", "/phone_number_id", false},
		"swapped ids, deep": {"business_account_id", b.settings["phone_number_id"], "/business_account_id", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			s := maps.Clone(b.settings)
			s[tt.setting] = tt.value
			got, err := newInstance(t, b.base, s).Check(t.Context(), tt.deep)
			require.NoError(t, err)
			require.Equal(t, sdk.HealthFailed, got.State)
			require.Empty(t, got.ConfirmedKeys)
			last := got.Checks[len(got.Checks)-1]
			require.Equal(t, tt.pointer, last.Pointer)
			require.Equal(t, sdk.HealthFailed, last.State)
			require.NotEmpty(t, last.Message)
			require.NotContains(t, fmt.Sprint(got), "EAAwrong")
		})
	}

	t.Run("another agency's ids are not confirmed", func(t *testing.T) {
		t.Parallel()

		norte, err := b.simulator.Account(simulation.AccountRequest{Label: "norte"})
		require.NoError(t, err)
		s := maps.Clone(b.settings)
		s["phone_number_id"] = norte.Settings["phone_number_id"]
		got, err := newInstance(t, b.base, s).Check(t.Context(), true)
		require.NoError(t, err)
		require.Empty(t, got.ConfirmedKeys)
	})

	t.Run("the provider is away", func(t *testing.T) {
		t.Parallel()

		got, err := newInstance(t, "http://127.0.0.1:1", b.settings).Check(t.Context(), true)
		require.NoError(t, err)
		require.Equal(t, sdk.HealthDegraded, got.State)
		require.Empty(t, got.Checks[0].Pointer, "no setting is to blame")
	})
}

func TestCheckSubscription(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	err := b.graph.do(t.Context(), call{method: http.MethodDelete, path: []string{b.settings["business_account_id"], "subscribed_apps"}}, nil)
	require.NoError(t, err)
	got, err := b.Check(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, sdk.HealthDegraded, got.State)
	require.NotEmpty(t, got.ConfirmedKeys)
}

// TestCheckPages finds the number on a later page and ends where there is no next.
func TestCheckPages(t *testing.T) {
	t.Parallel()

	pages := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/phone_numbers") {
			_, _ = w.Write([]byte(`{"data":[{}]}`))
			return
		}
		pages++
		id, next := "7"+r.URL.Query().Get("after"), `,"next":"https://graph.facebook.com/elsewhere"`
		if r.URL.Query().Get("after") == "3" {
			next = ""
		}
		_, _ = fmt.Fprintf(w, `{"data":[null,"junk",{"id":"%s","status":"CONNECTED"}],"paging":{"cursors":{"after":"%d"}%s}}`, id, pages, next)
	}))
	t.Cleanup(srv.Close)
	s := filled()
	s["phone_number_id"] = "73"
	got, err := newInstance(t, srv.URL, s).Check(t.Context(), true)
	require.NoError(t, err)
	require.Len(t, got.ConfirmedKeys, 2)
	require.Equal(t, 4, pages)

	s["phone_number_id"] = "79"
	pages = 0
	got, err = newInstance(t, srv.URL, s).Check(t.Context(), true)
	require.NoError(t, err)
	require.Empty(t, got.ConfirmedKeys)
	require.Equal(t, 4, pages)
}

func TestStanding(t *testing.T) {
	t.Parallel()

	require.Equal(t, sdk.HealthOK, standing(number{Status: "CONNECTED"}).State)
	require.Equal(t, sdk.HealthDegraded, standing(number{Status: "BANNED"}).State)
	require.Equal(t, sdk.HealthDegraded, standing(number{QualityRating: "RED"}).State)
	require.Equal(t, sdk.HealthDegraded, standing(number{NameStatus: "DECLINED"}).State)
	var result sdk.CheckResult
	refused(&result, "n", "/p", refusal(failure.RateLimited, failure.Tenant, "slow"))
	require.Equal(t, sdk.HealthDegraded, result.State)
}

func TestValidate(t *testing.T) {
	t.Parallel()

	found, keys := newInstance(t, "http://127.0.0.1:1", filled()).Validate(t.Context())
	require.Empty(t, found)
	require.Equal(t, []sdk.RouteKey{{Kind: "phone_number_id", Value: "106540352242922"}, {Kind: "waba_id", Value: "215589313241560883"}}, keys)

	for name, tt := range map[string]struct {
		setting, value string
		severity       sdk.Severity
	}{
		"phone number":   {"phone_number_id", "+54 9 11 5055-0100", sdk.SeverityError},
		"account":        {"business_account_id", "acme", sdk.SeverityError},
		"same":           {"business_account_id", "106540352242922", sdk.SeverityError},
		"token":          {"access_token", "EAA token", sdk.SeverityError},
		"no token":       {"access_token", "", sdk.SeverityError},
		"secret":         {"app_secret", "x\n", sdk.SeverityError},
		"no secret":      {"app_secret", "", sdk.SeverityWarning},
		"no verify word": {"verify_token", "", sdk.SeverityWarning},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			s := filled()
			s[tt.setting] = tt.value
			found, _ := newInstance(t, "http://127.0.0.1:1", s).Validate(t.Context())
			require.Len(t, found, 1)
			require.Equal(t, "/"+tt.setting, found[0].Pointer)
			require.Equal(t, tt.severity, found[0].Severity)
		})
	}
}

func TestOperatorSettings(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		operator map[string]string
		want     string
	}{
		"nothing":  {nil, "https://graph.facebook.com/v24.0"},
		"version":  {map[string]string{"api_version": "v26.0"}, "https://graph.facebook.com/v26.0"},
		"override": {map[string]string{"base_url": "http://127.0.0.1:9/"}, "http://127.0.0.1:9/v24.0"},
		"bad word": {map[string]string{"api_version": "v26/../x"}, ""},
		"bad url":  {map[string]string{"base_url": "ftp://x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			got, err := baseURL(tt.operator)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want == "", err != nil)
			require.Equal(t, tt.want == "", start(t.Context(), serve.Env{Operator: tt.operator}) != nil)
		})
	}
}

func TestManifest(t *testing.T) {
	t.Parallel()

	m, err := manifests.Parse(manifest)
	require.NoError(t, err)
	require.Empty(t, m.Unknown)
	schema, err := m.Schema()
	require.NoError(t, err)
	require.Equal(t, []string{"/access_token", "/app_secret", "/verify_token"}, schema.Secrets())

	b := setup(t, simulator.Options{})
	document, err := json.Marshal(b.settings)
	require.NoError(t, err)
	require.NotEmpty(t, document)
	var form struct {
		Properties map[string]any `json:"properties"`
	}
	require.NoError(t, json.Unmarshal(m.SettingsSchema, &form))
	for name := range form.Properties {
		require.Contains(t, b.settings, name, "the simulator fills the whole form")
	}
	require.Len(t, b.settings, len(form.Properties))
}
