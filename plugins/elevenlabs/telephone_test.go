package main

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/elevenlabs/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// What people do on the telephone, over both kinds of telephone company.
func TestCallOutcomes(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		number, state string
		collected     map[string]string
	}{
		"a lead answers": {"+5491160001234", stateCompleted, map[string]string{
			"operacion": "compra", "zona": "Caballito", "ambientes": "3", "presupuesto_usd": "140000", "necesita_credito": "false",
		}},
		"busy":             {"+5491160000001", stateBusy, nil},
		"no answer":        {"+5491160000002", stateNoAnswer, nil},
		"unknown":          {"+5491160000003", stateFailed, nil},
		"voicemail":        {"+5491160000004", stateVoicemail, nil},
		"silence":          {"+5491160000005", stateNoAnswer, nil},
		"another day":      {"+5491160000006", stateCompleted, map[string]string{"decision": "reschedule", "fecha_pedida": "viernes a las once"}},
		"did not start":    {"+5491160000007", stateFailed, nil},
		"a survey's score": {"+5491160000015", stateCompleted, map[string]string{"puntaje": "5", "comentario": "Muy amable el asesor."}},
	} {
		for _, telephony := range []string{overTwilio, overSIP} {
			t.Run(name+" over "+telephony, func(t *testing.T) {
				t.Parallel()

				b := setup(t, simulator.Faults{})
				b.use(t, telephony)
				placed, err := b.PlaceCall(t.Context(), order(tt.number))
				require.NoError(t, err)
				require.Equal(t, stateQueued, placed.State)
				u := b.updates(t, 1)[0]
				require.Equal(t, placed.ProviderCallID, u.ProviderCallID)
				require.Equal(t, tt.state, u.State)
				require.Equal(t, tt.collected, u.Collected)
				require.Equal(t, "outbound", u.Direction)
				require.Equal(t, sdk.Address{Kind: "phone", Value: tt.number}, u.Contact.Addresses[0])
				require.Len(t, u.OtherIDs, 1)
				asked, err := b.GetCall(t.Context(), placed.ProviderCallID)
				require.NoError(t, err)
				if tt.state != stateBusy && tt.number[len(tt.number)-4:] > "0003" {
					require.Equal(t, u, asked, "asking tells what the webhook told")
					require.Equal(t, "order:1", u.IdempotencyKey)
				}
			})
		}
	}
}

// use makes the installation call over a telephone company.
func (b *bundle) use(t *testing.T, telephony string) {
	t.Helper()

	b.account.Telephony = telephony
	list, err := b.numbers(t.Context())
	require.NoError(t, err)
	for _, n := range list {
		if string(n.Provider) == telephony {
			b.account.PhoneNumberID = string(n.ID)
		}
	}
}

// Each uncertain behaviour of the provider, switched on; TestCallOutcomes has
// them switched off.
func TestCallSwitches(t *testing.T) {
	t.Parallel()

	lead := map[string]string{"operacion": "compra", "zona": "Caballito", "ambientes": "3", "presupuesto_usd": "140000", "necesita_credito": "false"}
	for name, tt := range map[string]struct {
		faults simulator.Faults
		events int
		verify func(t *testing.T, u []sdk.CallUpdate)
	}{
		"the webhook comes first": {simulator.Faults{WebhookBeforeReply: true}, 1, nil},
		"twice": {simulator.Faults{Duplicate: true}, 2, func(t *testing.T, u []sdk.CallUpdate) {
			t.Helper()
			require.Equal(t, u[0], u[1])
		}},
		"no person's id": {simulator.Faults{NoUserID: true}, 1, nil},
		"the old shape": {simulator.Faults{OldShape: true}, 1, func(t *testing.T, u []sdk.CallUpdate) {
			t.Helper()
			require.NotNil(t, u[0].Recording, "it does not say, and they spoke")
		}},
		"answers in words":                 {simulator.Faults{AnswersAsText: true}, 1, nil},
		"answers as a list":                {simulator.Faults{AnswerList: true}, 1, nil},
		"two signatures":                   {simulator.Faults{TwoSignatures: true}, 1, nil},
		"an old signature":                 {simulator.Faults{SignedSecondsAgo: 29 * 60}, 1, nil},
		"traces, and the provider answers": {simulator.Faults{OTel: true}, 1, nil},
		"traces, and it does not": {simulator.Faults{OTel: true, TooEarly: true}, 1, func(t *testing.T, u []sdk.CallUpdate) {
			t.Helper()
			require.Equal(t, stateCompleted, u[0].State)
			require.Equal(t, "order:1", u[0].IdempotencyKey)
			require.NotEmpty(t, u[0].Summary)
			require.NotEmpty(t, u[0].Transcript)
			require.Nil(t, u[0].Collected)
		}},
		"no analysis": {simulator.Faults{NullAnalysis: true}, 1, func(t *testing.T, u []sdk.CallUpdate) {
			t.Helper()
			require.Equal(t, stateCompleted, u[0].State)
			require.Nil(t, u[0].Collected)
		}},
		"the audio too": {simulator.Faults{Audio: true}, 2, func(t *testing.T, u []sdk.CallUpdate) {
			t.Helper()
			require.Equal(t, sdk.CallUpdate{ProviderCallID: u[0].ProviderCallID, Recording: u[0].Recording}, u[1])
		}},
		"the audio first": {simulator.Faults{AudioFirst: true}, 2, func(t *testing.T, u []sdk.CallUpdate) {
			t.Helper()
			require.Empty(t, u[0].State)
			require.Equal(t, lead, u[1].Collected)
		}},
		"a variable is missing": {simulator.Faults{RequiredVariables: []string{"propiedad"}}, 1, func(t *testing.T, u []sdk.CallUpdate) {
			t.Helper()
			require.Equal(t, stateFailed, u[0].State)
		}},
		"no variable is missing": {simulator.Faults{RequiredVariables: []string{"nombre"}}, 1, nil},
		"overrides are fatal":    {simulator.Faults{OverridesFatal: true}, 1, nil}, // we send none
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, tt.faults)
			placed, err := b.PlaceCall(t.Context(), order("+5491160001234"))
			require.NoError(t, err)
			u := b.updates(t, tt.events)
			require.Equal(t, placed.ProviderCallID, u[0].ProviderCallID)
			if tt.verify != nil {
				tt.verify(t, u)
				return
			}
			require.Equal(t, stateCompleted, u[0].State)
			require.Equal(t, lead, u[0].Collected)
			require.Equal(t, "order:1", u[0].IdempotencyKey)
			require.Equal(t, "success", u[0].Verdict)
			require.Equal(t, map[string]string{"lead_calificado": "success"}, u[0].Evaluation)
			require.True(t, json.Valid(u[0].Transcript))
		})
	}

	t.Run("duplicates are one fact", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Faults{Duplicate: true})
		_, err := b.PlaceCall(t.Context(), order("+5491160000001"))
		require.NoError(t, err)
		b.updates(t, 2)
		events := b.hooks.all()
		require.Equal(t, events[0].DedupeKey, events[1].DedupeKey)
	})

	t.Run("a lost webhook is asked for", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Faults{LoseWebhooks: true})
		placed, err := b.PlaceCall(t.Context(), order("+5491160001234"))
		require.NoError(t, err)
		var u sdk.CallUpdate
		require.Eventually(t, func() bool {
			u, err = b.GetCall(t.Context(), placed.ProviderCallID)
			return err == nil && u.State == stateCompleted
		}, 10*time.Second, time.Millisecond)
		require.Equal(t, lead, u.Collected)
		require.Empty(t, b.hooks.all())
	})

	t.Run("a signature that is too old", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Faults{SignedSecondsAgo: 31 * 60})
		_, err := b.PlaceCall(t.Context(), order("+5491160001234"))
		require.NoError(t, err)
		require.Eventually(t, func() bool { b.hooks.mu.Lock(); defer b.hooks.mu.Unlock(); return b.hooks.refused == 1 }, 10*time.Second, time.Millisecond)
		require.Empty(t, b.hooks.all())
	})

	t.Run("retries are off by default", func(t *testing.T) {
		t.Parallel()

		for retry, want := range map[bool]int{false: 1, true: 2} {
			b := setup(t, simulator.Faults{Retry: retry})
			b.hooks.refuse = 1
			_, err := b.PlaceCall(t.Context(), order("+5491160001234"))
			require.NoError(t, err)
			if retry {
				b.updates(t, 1)
			}
			_, err = b.PlaceCall(t.Context(), order("+5491160000001"))
			require.NoError(t, err)
			b.updates(t, want)
			require.Len(t, b.hooks.all(), want)
		}
	})

	t.Run("the answer names no conversation", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Faults{NoConversationID: true})
		placed, err := b.PlaceCall(t.Context(), order("+5491160001234"))
		require.NoError(t, err)
		u := b.updates(t, 1)[0]
		require.Contains(t, u.OtherIDs, placed.ProviderCallID)
	})

	t.Run("success is false", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Faults{SuccessFalse: true})
		_, err := b.PlaceCall(t.Context(), order("+5491160001234"))
		require.ErrorIs(t, err, &failure.Failure{Code: failure.Temporary})
		require.ErrorContains(t, err, "The telephone company refused the call.")
	})

	t.Run("the answer is lost, the call is not", func(t *testing.T) {
		t.Parallel()

		for _, f := range []simulator.Faults{{HangReply: true}, {CloseConnection: true}} {
			b := setup(t, f)
			_, err := b.PlaceCall(within(t, 200*time.Millisecond), order("+5491160001234"))
			var refused *failure.Failure
			require.ErrorAs(t, err, &refused)
			require.Equal(t, failure.Unknown, refused.Outcome)
			require.Equal(t, "order:1", b.updates(t, 1)[0].IdempotencyKey)
		}
	})
}

func TestInboundCall(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Faults{})
	said, err := b.simulator.Say(t.Context(), []byte(`{"to":"acme","from":"5491160009999","text":"Quiero tasar mi casa"}`))
	require.NoError(t, err)
	require.Equal(t, 200, said.Status)
	u := b.updates(t, 1)[0]
	require.Equal(t, "inbound", u.Direction)
	require.Equal(t, "+5491160009999", u.Contact.Addresses[0].Value)
	require.Equal(t, map[string]string{"consulta": "Quiero tasar mi casa"}, u.Collected)
}

func TestRecording(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Faults{})
	_, err := b.PlaceCall(t.Context(), order("+5491160001234"))
	require.NoError(t, err)
	u := b.updates(t, 1)[0]
	require.NotNil(t, u.Recording)
	file, err := b.FetchMedia(t.Context(), *u.Recording, 1<<20)
	require.NoError(t, err)
	content, err := io.ReadAll(file.Body)
	require.NoError(t, err)
	require.NoError(t, file.Body.Close())
	require.Equal(t, "ID3", string(content[:3]))
	require.Equal(t, "audio/mpeg", file.Ref.MIMEType)

	file, err = b.FetchMedia(t.Context(), *u.Recording, 100)
	if err == nil {
		_, err = io.ReadAll(file.Body)
		require.NoError(t, file.Body.Close())
	}
	require.ErrorIs(t, err, &failure.Failure{Code: failure.Media})

	secret := order("+5491160001234")
	secret.RecordingConsent = false
	_, err = b.PlaceCall(t.Context(), secret)
	require.NoError(t, err)
	require.Nil(t, b.updates(t, 2)[1].Recording, "nobody agreed")
}

func TestRefusedOrders(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Faults{})
	for name, tt := range map[string]struct {
		change func(o *sdk.CallOrder)
		want   failure.Code
	}{
		"no number":           {func(o *sdk.CallOrder) { o.To = sdk.Address{Kind: "phone", Value: "11 6000 1234"} }, failure.Recipient},
		"an id":               {func(o *sdk.CallOrder) { o.To = sdk.Address{Kind: "bsuid", Value: "AR.123456789"} }, failure.Recipient},
		"another's agent":     {func(o *sdk.CallOrder) { o.AgentID = "agent_other" }, failure.InvalidRequest},
		"another's number":    {func(o *sdk.CallOrder) { o.From = sdk.Address{Value: "phnum_other"} }, failure.InvalidRequest},
		"a reserved variable": {func(o *sdk.CallOrder) { o.Variables = map[string]string{"system__x": "1"} }, failure.InvalidRequest},
		"a longest duration":  {func(o *sdk.CallOrder) { o.MaxDuration = time.Minute }, failure.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			o := order("+5491160001234")
			tt.change(&o)
			_, err := b.PlaceCall(t.Context(), o)
			require.ErrorIs(t, err, &failure.Failure{Code: tt.want})
		})
	}
	require.ErrorIs(t, b.EndCall(t.Context(), "conv_x"), &failure.Failure{Code: failure.Unsupported})
	_, err := b.GetCall(t.Context(), "conv_x")
	require.ErrorIs(t, err, &failure.Failure{Code: failure.InvalidRequest})
	o := order("+5491160001234")
	o.To = sdk.Address{Kind: "wa_id", Value: "5491160001234"}
	_, err = b.PlaceCall(t.Context(), o)
	require.NoError(t, err, "a WhatsApp number is a telephone number")
}
