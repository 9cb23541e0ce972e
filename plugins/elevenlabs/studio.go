package main

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/serve"
	"github.com/stratohub/strato/sdk/settings"
)

// keyAgent is the kind of routing key under which post-call webhooks come.
const keyAgent = "agent_id"

// The two ways in which the provider telephones.
const (
	overTwilio = "twilio"
	overSIP    = "sip_trunk"
)

// regions are the provider's addresses. A tenant chooses among them; another
// address can come from the operator alone.
var regions = map[string]string{
	"":       "https://api.elevenlabs.io",
	"global": "https://api.elevenlabs.io",
	"us":     "https://api.us.elevenlabs.io",
	"eu":     "https://api.eu.residency.elevenlabs.io",
	"in":     "https://api.in.residency.elevenlabs.io",
	"sg":     "https://api.sg.residency.elevenlabs.io",
}

// account is what a tenant fills in. Zero values of the voice's character leave
// it to the voice.
type account struct {
	APIKey          string   `json:"api_key"`
	Region          string   `json:"region"`
	VoiceID         string   `json:"voice_id"`
	ModelID         string   `json:"model_id"`
	Stability       *float64 `json:"stability"`
	SimilarityBoost *float64 `json:"similarity_boost"`
	Speed           *float64 `json:"speed"`
	AgentID         string   `json:"agent_id"`
	PhoneNumberID   string   `json:"agent_phone_number_id"`
	Telephony       string   `json:"telephony"`
	RingingSeconds  int      `json:"ringing_seconds"`
	WebhookSecret   string   `json:"webhook_secret"`
}

// studio serves one installation. It keeps nothing between calls.
type studio struct {
	account       account
	tenant        string
	installation  string
	webhookSecret string
	api           api
}

// newStudio is the plugin's factory.
func newStudio(_ context.Context, i sdk.Installation, env serve.Env) (*studio, error) {
	s := &studio{tenant: i.TenantID, installation: i.ID}
	if err := settings.Decode(i, &s.account); err != nil {
		return nil, err
	}
	base, err := baseURL(env.Operator)
	if err != nil {
		return nil, err
	}
	if base == "" {
		base = regions[s.account.Region]
	}
	s.api = api{http: env.HTTP, base: base, key: s.account.APIKey}
	s.webhookSecret = s.account.WebhookSecret
	return s, nil
}

// start refuses operator's settings that no call could work with.
func start(_ context.Context, env serve.Env) error {
	_, err := baseURL(env.Operator)
	return err
}

// baseURL is the operator's address of the provider, empty for the tenant's region.
func baseURL(operator map[string]string) (string, error) {
	base := operator["base_url"]
	if base == "" {
		return "", nil
	}
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("the operator's setting base_url is not an http or https URL")
	}
	return strings.TrimRight(base, "/"), nil
}

// claims are the keys under which this installation's webhooks come to the
// operator's address.
func (s *studio) claims() []sdk.RouteKey {
	if s.account.AgentID == "" {
		return nil
	}
	return []sdk.RouteKey{{Kind: keyAgent, Value: s.account.AgentID}}
}

// Validate implements [sdk.Validator].
func (s *studio) Validate(context.Context) ([]sdk.Diagnostic, []sdk.RouteKey) {
	var out []sdk.Diagnostic
	find := func(bad bool, severity sdk.Severity, pointer, summary, detail string) {
		if bad {
			out = append(out, sdk.Diagnostic{Severity: severity, Pointer: pointer, Summary: summary, Detail: detail})
		}
	}
	a := s.account
	for _, v := range []struct{ pointer, value string }{
		{"/api_key", a.APIKey}, {"/webhook_secret", a.WebhookSecret}, {"/voice_id", a.VoiceID},
		{"/agent_id", a.AgentID}, {"/agent_phone_number_id", a.PhoneNumberID},
	} {
		find(strings.ContainsAny(v.value, " \t\r\n"), sdk.SeverityError, v.pointer,
			"The value holds white space.", "It was probably copied together with its surroundings.")
	}
	find(a.APIKey == "", sdk.SeverityError, "/api_key", "The API key is missing.", "")
	find(a.VoiceID == "", sdk.SeverityWarning, "/voice_id", "Without a voice no voice notes are spoken.", "")
	find(a.AgentID != "" && a.PhoneNumberID == "", sdk.SeverityWarning, "/agent_phone_number_id",
		"Without a phone number the agent cannot call.", "")
	find(a.AgentID == "" && a.PhoneNumberID != "", sdk.SeverityWarning, "/agent_id",
		"Without an agent nobody speaks on the calls.", "")
	find(a.AgentID != "" && s.webhookSecret == "", sdk.SeverityWarning, "/webhook_secret",
		"Without the webhook's secret no outcome of a call can be received.", "ElevenLabs shows it once, when the webhook is made.")
	return out, s.claims()
}
