package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/elevenlabs/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/settings"
)

func TestCheck(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults  simulator.Faults
		change  func(a *account)
		want    sdk.Health
		pointer string
		keys    int
	}{
		"all is well":       {want: sdk.HealthOK, keys: 1},
		"a bad key":         {change: func(a *account) { a.APIKey = "sk_other" }, want: sdk.HealthFailed, pointer: "/api_key"},
		"another's agent":   {change: func(a *account) { a.AgentID = "agent_other" }, want: sdk.HealthFailed, pointer: "/agent_id"},
		"another's voice":   {change: func(a *account) { a.VoiceID = "nobody" }, want: sdk.HealthFailed, pointer: "/voice_id", keys: 1},
		"another's number":  {change: func(a *account) { a.PhoneNumberID = "phnum_x" }, want: sdk.HealthFailed, pointer: "/agent_phone_number_id", keys: 1},
		"the wrong company": {change: func(a *account) { a.Telephony = overSIP }, want: sdk.HealthDegraded, pointer: "/telephony", keys: 1},
		"only voice notes":  {change: func(a *account) { a.AgentID, a.PhoneNumberID = "", "" }, want: sdk.HealthOK},
		"a restricted key":  {faults: simulator.Faults{RestrictedKey: true}, want: sdk.HealthOK, keys: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, tt.faults)
			if tt.change != nil {
				tt.change(&b.account)
				b.api.key = b.account.APIKey
			}
			result, err := b.Check(t.Context(), true)
			require.NoError(t, err)
			require.Equal(t, tt.want, result.State, "%+v", result)
			require.Len(t, result.ConfirmedKeys, tt.keys)
			for _, c := range result.Checks {
				if c.State == tt.want && tt.want != sdk.HealthOK {
					require.Equal(t, tt.pointer, c.Pointer)
				}
			}
			shallow, err := b.Check(t.Context(), false)
			require.NoError(t, err)
			require.Empty(t, shallow.ConfirmedKeys)
		})
	}

	t.Run("nothing left", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Faults{Quota: 71})
		a, err := b.Synthesize(t.Context(), sdk.Speech{Text: sentence})
		require.NoError(t, err)
		hear(t, a)
		result, err := b.Check(t.Context(), false)
		require.NoError(t, err)
		require.Equal(t, sdk.HealthDegraded, result.State)
		require.Contains(t, result.Checks[1].Message, "0 of 71 characters are left. They are renewed on ")
		require.Equal(t, "ElevenLabs (creator)", result.AccountLabel)
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Faults{})
	for source, want := range map[string]string{
		"voices": b.settings["voice_id"], "models": b.settings["model_id"], "agents": b.settings["agent_id"], "phone_numbers": b.settings["agent_phone_number_id"],
	} {
		list, next, err := b.Options(t.Context(), sdk.OptionQuery{Source: source})
		require.NoError(t, err)
		require.Empty(t, next)
		require.NotEmpty(t, list)
		require.Equal(t, want, list[0].Value)
		require.NotEmpty(t, list[0].Label)
		none, _, err := b.Options(t.Context(), sdk.OptionQuery{Source: source, Query: "nobody has this name"})
		require.NoError(t, err)
		if source != "agents" { // the provider searches, and simulated there is one
			require.Empty(t, none)
		}
	}
	for _, m := range must(b.Options(t.Context(), sdk.OptionQuery{Source: "models"})) {
		require.NotContains(t, m.Value, "sts", "it does not speak")
	}
	list, next, err := b.Options(t.Context(), sdk.OptionQuery{Source: "voices", PageToken: "page-2"})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Empty(t, next)
	_, _, err = b.Options(t.Context(), sdk.OptionQuery{Source: "moods"})
	require.Error(t, err)
}

func must(list []sdk.Option, _ string, err error) []sdk.Option {
	if err != nil {
		panic(err)
	}
	return list
}

func TestValidate(t *testing.T) {
	t.Parallel()

	m, err := settings.Parse(manifest)
	require.NoError(t, err)
	require.Empty(t, m.Unknown)
	b := setup(t, simulator.Faults{})
	found, keys := b.Validate(t.Context())
	require.Empty(t, found)
	require.Equal(t, []sdk.RouteKey{{Kind: keyAgent, Value: b.settings["agent_id"]}}, keys)
	schema, err := m.Schema()
	require.NoError(t, err)
	require.Equal(t, []string{"/api_key", "/webhook_secret"}, schema.Secrets())

	b.account.APIKey, b.account.AgentID, b.webhookSecret = "with space", "agent", ""
	found, _ = b.Validate(t.Context())
	pointers := map[string]sdk.Severity{}
	for _, d := range found {
		pointers[d.Pointer] = d.Severity
	}
	require.Equal(t, map[string]sdk.Severity{"/api_key": sdk.SeverityError, "/webhook_secret": sdk.SeverityWarning}, pointers)
}
