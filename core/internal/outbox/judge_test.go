package outbox_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/stratohub/strato/core/internal/outbox"
	"github.com/stratohub/strato/sdk/pluginv1"
)

func TestJudge(t *testing.T) {
	t.Parallel()

	const (
		notSent = pluginv1.Outcome_OUTCOME_NOT_SENT
		unknown = pluginv1.Outcome_OUTCOME_UNKNOWN
		unsaid  = pluginv1.Outcome_OUTCOME_UNSPECIFIED
	)
	failed := outbox.Verdict{Outcome: "failed"}
	lost := outbox.Verdict{Outcome: "unknown"}
	postponed := outbox.Verdict{Outcome: "postponed"}
	counted := outbox.Verdict{Outcome: "postponed", Counts: true}
	broken := outbox.Verdict{Outcome: "failed", Disconnects: true}

	// By code: what happens if it certainly did not go, and if nobody says.
	table := map[pluginv1.FailureCode]struct{ certain, unsaid outbox.Verdict }{
		pluginv1.FailureCode_FAILURE_CODE_UNSPECIFIED:      {counted, lost},
		pluginv1.FailureCode_FAILURE_CODE_TEMPORARY:        {counted, lost},
		pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED:     {postponed, postponed},
		pluginv1.FailureCode_FAILURE_CODE_AUTH:             {broken, broken},
		pluginv1.FailureCode_FAILURE_CODE_PERMISSION:       {broken, broken},
		pluginv1.FailureCode_FAILURE_CODE_INVALID_REQUEST:  {failed, failed},
		pluginv1.FailureCode_FAILURE_CODE_RECIPIENT:        {failed, failed},
		pluginv1.FailureCode_FAILURE_CODE_WINDOW_CLOSED:    {failed, failed},
		pluginv1.FailureCode_FAILURE_CODE_TEMPLATE:         {failed, failed},
		pluginv1.FailureCode_FAILURE_CODE_CONTENT_REJECTED: {failed, failed},
		pluginv1.FailureCode_FAILURE_CODE_QUOTA_EXHAUSTED:  {postponed, postponed},
		pluginv1.FailureCode_FAILURE_CODE_UNSUPPORTED:      {failed, failed},
		pluginv1.FailureCode_FAILURE_CODE_MEDIA:            {failed, failed},
		pluginv1.FailureCode_FAILURE_CODE_MALFORMED:        {failed, lost},
		pluginv1.FailureCode(99):                           {failed, lost}, // of a later version
	}
	for number, name := range pluginv1.FailureCode_name {
		require.Contains(t, table, pluginv1.FailureCode(number), "a code of the contract is not in the table: %s", name)
	}
	for code, want := range table {
		for outcome, verdict := range map[pluginv1.Outcome]outbox.Verdict{notSent: want.certain, unsaid: want.unsaid, unknown: lost, 99: lost} {
			got, pause := outbox.Judge(&pluginv1.Failure{Code: code, Outcome: outcome}, 1)
			require.Equal(t, verdict, got, "%s, %s", code, outcome)
			require.Equal(t, verdict.Outcome == "postponed", pause > 0, "%s, %s", code, outcome)
		}
	}

	t.Run("attempts end", func(t *testing.T) {
		t.Parallel()

		f := &pluginv1.Failure{Code: pluginv1.FailureCode_FAILURE_CODE_TEMPORARY, Outcome: notSent}
		got, _ := outbox.Judge(f, outbox.MaxAttempts-1)
		require.Equal(t, counted, got)
		got, _ = outbox.Judge(f, outbox.MaxAttempts)
		require.Equal(t, failed, got)
	})

	t.Run("pauses are the provider's, within reason", func(t *testing.T) {
		t.Parallel()

		pause := func(c pluginv1.FailureCode, after time.Duration) time.Duration {
			_, d := outbox.Judge(&pluginv1.Failure{Code: c, Outcome: notSent, RetryAfter: durationpb.New(after)}, 1)
			return d
		}
		require.Equal(t, time.Second, pause(pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED, 0))
		require.Equal(t, time.Second, pause(pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED, -time.Hour))
		require.Equal(t, 7*time.Second, pause(pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED, 7*time.Second))
		require.Equal(t, outbox.LongestPause, pause(pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED, 1e6*time.Hour))
		require.Equal(t, outbox.QuotaPause, pause(pluginv1.FailureCode_FAILURE_CODE_QUOTA_EXHAUSTED, time.Second))
		require.Equal(t, 5*time.Hour, pause(pluginv1.FailureCode_FAILURE_CODE_QUOTA_EXHAUSTED, 5*time.Hour))
		require.Equal(t, time.Minute, pause(pluginv1.FailureCode_FAILURE_CODE_TEMPORARY, time.Minute))
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()

	for attempts, most := range map[int]time.Duration{
		0: 2 * time.Second, 1: 2 * time.Second, 2: 4 * time.Second, 5: 32 * time.Second, 9: 512 * time.Second,
		10: outbox.BackoffMax, 1000: outbox.BackoffMax,
	} {
		for range 100 {
			d := outbox.Backoff(attempts)
			require.LessOrEqual(t, d, most)
			require.Greater(t, d, most*3/4-1)
		}
	}
}
