package main

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// documented is every code of the provider's table, and what Strato does.
var documented = map[failure.Code][]int{
	failure.Auth: {0, 104, 190},
	failure.Permission: {3, 10, 33, 200, 250, 299, 368, 131005, 131031, 131037, 131045, 133000, 133005, 133006, 133008, 133010,
		136024, 136025},
	failure.Temporary:       {1, 2, 131000, 131016, 131057, 133004, 133015},
	failure.RateLimited:     {4, 17, 80007, 130429, 131048, 131056, 132069, 133016},
	failure.InvalidRequest:  {100, 131008, 131009, 131055, 132068, 134011, 135000, 999999},
	failure.Recipient:       {130472, 130497, 131021, 131026, 131030, 131049, 131050, 131062, 137000},
	failure.QuotaExhausted:  {131042},
	failure.WindowClosed:    {131047},
	failure.Unsupported:     {131051},
	failure.Media:           {131052, 131053},
	failure.Template:        {131063, 131064, 132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132018, 134100, 134101, 134102},
	failure.ContentRejected: nil, // the provider has no code for it
}

// TestRefusals sends to a number that refuses with each code, over real HTTP,
// and to one for which the message fails later.
func TestRefusals(t *testing.T) {
	t.Parallel()

	b := setup(t, simulator.Options{})
	b.simulator.SetFaults(simulator.Faults{PerSecond: 10000})
	for want, codes := range documented {
		for _, code := range codes {
			t.Run(strconv.Itoa(code), func(t *testing.T) {
				t.Parallel()

				m := to(sdk.Text{Body: "hola"})
				m.To[0].Value = simulator.MagicRefused(code)
				_, err := b.Send(t.Context(), m)
				var f *failure.Failure
				require.ErrorAs(t, err, &f)
				require.Equal(t, want, f.Code)
				require.Equal(t, failure.NotSent, f.Outcome)
				require.NotZero(t, f.Blame)
				require.NotZero(t, f.HTTPStatus)
				require.NotEmpty(t, f.TraceID)
				require.NotEmpty(t, f.Message)
				require.Equal(t, strconv.Itoa(code), f.ProviderCode)
				require.Equal(t, want == failure.RateLimited, f.RetryAfter > 0 && f.Code == failure.RateLimited)

				m.To[0].Value = simulator.MagicFails(code)
				m.IdempotencyKey = "later"
				r, err := b.Send(t.Context(), m)
				require.NoError(t, err)
				late := b.states(t, r.ProviderMessageID, sdk.DeliveryFailed)[0]
				require.Equal(t, want, late.Failure.Code)
				require.Equal(t, "later", late.IdempotencyKey)
			})
		}
	}
}

func TestRefusalDetails(t *testing.T) {
	t.Parallel()

	t.Run("the code decides, not the status", func(t *testing.T) {
		t.Parallel()

		for _, status := range []int{200, 400, 401, 403, 429, 500, 503} {
			require.Equal(t, failure.WindowClosed, refuse(graphBody{Code: "131047"}, status, 1).Code)
		}
	})
	t.Run("an unknown code goes by the status", func(t *testing.T) {
		t.Parallel()

		for status, want := range map[int]failure.Code{
			429: failure.RateLimited, 401: failure.Auth, 403: failure.Permission, 500: failure.Temporary, 400: failure.InvalidRequest,
		} {
			require.Equal(t, want, refuse(graphBody{Code: "777777"}, status, 1).Code)
			require.Equal(t, want, refuse(graphBody{Code: "junk"}, status, 1).Code)
		}
		require.Equal(t, failure.Temporary, refuse(graphBody{Code: "777777", Transient: true}, 400, 1).Code)
	})
	t.Run("pair limit waits 4^n seconds", func(t *testing.T) {
		t.Parallel()

		for attempt, want := range map[int]time.Duration{0: 4, 1: 4, 2: 16, 3: 64, 6: 4096, 60: 4096} {
			require.Equal(t, want*time.Second, refuse(graphBody{Code: "131056"}, 400, attempt).RetryAfter)
		}
	})
	t.Run("unknown errors are worth few tries", func(t *testing.T) {
		t.Parallel()

		require.Equal(t, failure.Temporary, refuse(graphBody{Code: "1"}, 400, 1).Code)
		require.Equal(t, failure.InvalidRequest, refuse(graphBody{Code: "1"}, 400, 2).Code)
		require.Equal(t, failure.Temporary, refuse(graphBody{Code: "131000"}, 500, 3).Code)
		require.Equal(t, failure.InvalidRequest, refuse(graphBody{Code: "131000"}, 500, 4).Code)
		require.Equal(t, failure.Temporary, refuse(graphBody{Code: "131016"}, 500, 8).Code)
	})
	t.Run("subcodes", func(t *testing.T) {
		t.Parallel()

		f := refuse(graphBody{Code: "100", Subcode: "33"}, 400, 1)
		require.Equal(t, failure.Permission, f.Code)
		require.Equal(t, "100/33", f.ProviderCode)
		for _, sub := range []str{"2388040", "2388047", "2388072", "2388073", "2388293", "2388299", "2388019", "2388999"} {
			require.Equal(t, failure.Template, refuse(graphBody{Code: "100", Subcode: sub}, 400, 1).Code)
		}
	})
	t.Run("a day for what is withheld", func(t *testing.T) {
		t.Parallel()

		require.Equal(t, 24*time.Hour, refuse(graphBody{Code: "131049"}, 400, 1).RetryAfter)
	})
	t.Run("details are shown, messages are not", func(t *testing.T) {
		t.Parallel()

		e := graphBody{Code: "132000", Message: "EAAsecret"}
		e.Data.Details = "body: number of localizable_params (2) does not match"
		f := refuse(e, 400, 1)
		require.Contains(t, f.Message, "localizable_params (2)")
		require.NotContains(t, f.Error(), "EAAsecret")
		f = refuse(graphBody{Code: "190", Message: "Malformed access token EAAsecret"}, 401, 1)
		require.NotContains(t, f.Error(), "EAAsecret")
		require.ErrorIs(t, f, &failure.Failure{Code: failure.Auth})
	})
}
