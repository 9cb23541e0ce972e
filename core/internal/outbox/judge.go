package outbox

import (
	"math/rand/v2"
	"time"

	"github.com/stratohub/strato/sdk/pluginv1"
)

// verdict is what a failure means for a message.
type verdict struct {
	outcome string
	// pause and counts are of postponed ones: how long, and whether it was one of
	// the attempts that a message has.
	pause  time.Duration
	counts bool
	// disconnects pauses the installation: every other message would be refused
	// the same way.
	disconnects bool
}

// judge decides by a failure's outcome and code. Only what certainly did not go
// may be sent again: a plugin says so, or the provider's refusal implies it.
func judge(f *pluginv1.Failure, attempts int) verdict {
	if f.GetOutcome() != pluginv1.Outcome_OUTCOME_NOT_SENT && (f.GetOutcome() != pluginv1.Outcome_OUTCOME_UNSPECIFIED || !refusal(f.GetCode())) {
		return verdict{outcome: unknown}
	}
	after := min(f.GetRetryAfter().AsDuration(), longestPause)
	switch f.GetCode() {
	case pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED:
		return verdict{outcome: postponed, pause: max(after, time.Second)}
	case pluginv1.FailureCode_FAILURE_CODE_QUOTA_EXHAUSTED:
		return verdict{outcome: postponed, pause: max(after, quotaPause)}
	case pluginv1.FailureCode_FAILURE_CODE_TEMPORARY, pluginv1.FailureCode_FAILURE_CODE_UNSPECIFIED:
		if attempts >= maxAttempts {
			return verdict{outcome: failed}
		}
		return verdict{outcome: postponed, pause: max(after, backoff(attempts)), counts: true}
	case pluginv1.FailureCode_FAILURE_CODE_AUTH, pluginv1.FailureCode_FAILURE_CODE_PERMISSION:
		return verdict{outcome: failed, disconnects: true}
	default:
		return verdict{outcome: failed}
	}
}

// refusal reports whether a code is a provider's answer that it will not send,
// which it cannot give for a message that it sent.
func refusal(c pluginv1.FailureCode) bool {
	switch c {
	case pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED, pluginv1.FailureCode_FAILURE_CODE_AUTH, pluginv1.FailureCode_FAILURE_CODE_PERMISSION,
		pluginv1.FailureCode_FAILURE_CODE_INVALID_REQUEST, pluginv1.FailureCode_FAILURE_CODE_RECIPIENT,
		pluginv1.FailureCode_FAILURE_CODE_WINDOW_CLOSED, pluginv1.FailureCode_FAILURE_CODE_TEMPLATE,
		pluginv1.FailureCode_FAILURE_CODE_CONTENT_REJECTED, pluginv1.FailureCode_FAILURE_CODE_QUOTA_EXHAUSTED,
		pluginv1.FailureCode_FAILURE_CODE_UNSUPPORTED, pluginv1.FailureCode_FAILURE_CODE_MEDIA:
		return true
	default:
		return false
	}
}

// backoff doubles from two seconds to a quarter of an hour, less a random
// quarter, so that messages refused together do not come back together.
func backoff(attempts int) time.Duration {
	d := backoffMax
	if attempts < 10 {
		d = min(backoffMin<<max(attempts-1, 0), backoffMax)
	}
	return d - time.Duration(rand.Int64N(int64(d/4))) //nolint:gosec // no secret
}
