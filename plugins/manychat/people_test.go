package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/manychat/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

func TestVariants(t *testing.T) {
	t.Parallel()

	for number, want := range map[string][]string{
		"5491155550142":   {"5491155550142", "541155550142"},
		"541155550142":    {"541155550142", "5491155550142"},
		"54111555550142":  {"54111555550142", "5491155550142", "541155550142"},
		"543514155550":    {"543514155550", "5493514155550"},
		"5493815500201":   {"5493815500201", "543815500201"},
		"573001234567":    {"573001234567"},
		"54":              nil,
		"":                nil,
		"541111111111111": {"541111111111111"},
	} {
		require.Equal(t, want, variants(number), number)
	}
}

// TestLookup is the detour by which contacts of WhatsApp are found.
func TestLookup(t *testing.T) {
	t.Parallel()

	to := func(kind, value string) sdk.Message {
		return sdk.Message{To: []sdk.Address{{Kind: kind, Value: value}}, Content: sdk.Template{Name: simulator.FlowTemplate}}
	}
	id := func(t *testing.T, b *bundle) string {
		t.Helper()
		return b.hear(t, simulator.Say{From: customer, Text: "hola"}).From.Addresses[0].Value
	}

	t.Run("by the phone, in any spelling", func(t *testing.T) {
		t.Parallel()

		for _, asList := range []bool{false, true} {
			b := setup(t)
			who := id(t, b)
			require.NoError(t, b.api.post(t.Context(), "subscriber/updateSubscriber",
				object{"subscriber_id": who, "phone": "+5491160001234", "has_opt_in_sms": false}, nil))
			b.faults(simulator.Faults{FindAsList: asList})
			for _, a := range []sdk.Message{to("phone", "+54 9 11 6000-1234"), to("wa_id", "541160001234"), to("phone", "+54 11 15 6000 1234")} {
				r, err := b.Send(t.Context(), a)
				require.NoError(t, err)
				require.Equal(t, []sdk.Address{{Kind: kindSubscriber, Value: who}}, r.Recipient)
			}
			require.Len(t, b.shown(t), 3)
		}
	})

	t.Run("a number of WhatsApp is not found, but by the custom field", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		who := id(t, b)
		_, err := b.Send(t.Context(), to("phone", customer))
		require.Equal(t, failure.Recipient, failureOf(t, err).Code)
		require.NoError(t, b.setFields(t.Context(), who, map[string]string{simulator.PhoneField: "5491160001234"}))
		r, err := b.Send(t.Context(), to("phone", "+541160001234"))
		require.NoError(t, err)
		require.Equal(t, who, r.Recipient[0].Value)
	})

	t.Run("nobody", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		for _, m := range []sdk.Message{to("phone", "+573001234567"), to("bsuid", "AR.1"), to(kindSubscriber, "no number"), {Content: sdk.Text{Body: "x"}}} {
			_, err := b.Send(t.Context(), m)
			require.Equal(t, failure.Recipient, failureOf(t, err).Code)
		}
	})

	t.Run("made, and found from then on", func(t *testing.T) {
		t.Parallel()

		for _, field := range []string{simulator.PhoneField, ""} {
			b := setup(t, "create_contacts", "true", "phone_field", field)
			m := to("phone", customer)
			m.Hints = map[string]string{"first_name": "Lucía"}
			first, err := b.Send(t.Context(), m)
			require.NoError(t, err)
			require.NotEmpty(t, first.Recipient)
			b.reinstall(t, "create_contacts", "false")
			again, err := b.Send(t.Context(), to("phone", "541160001234"))
			require.NoError(t, err)
			require.Equal(t, first.Recipient, again.Recipient)
		}
	})

	t.Run("one that exists and cannot be found", func(t *testing.T) {
		t.Parallel()

		for _, list := range []bool{false, true} {
			b := setup(t, "create_contacts", "true")
			id(t, b)
			b.faults(simulator.Faults{DetailsAsList: list})
			_, err := b.Send(t.Context(), to("phone", customer))
			f := failureOf(t, err)
			require.Equal(t, failure.Recipient, f.Code)
			require.Contains(t, f.Message, "does not find it")
		}
	})

	t.Run("where importing is not allowed", func(t *testing.T) {
		t.Parallel()

		for _, list := range []bool{false, true} {
			b := setup(t, "create_contacts", "true")
			b.faults(simulator.Faults{DenyImport: true, DetailsAsList: list})
			_, err := b.Send(t.Context(), to("phone", customer))
			f := failureOf(t, err)
			require.Equal(t, failure.Recipient, f.Code, "it must not pause the installation")
			require.Contains(t, f.Message, "support")
		}
	})
}
