package outbox

import (
	"time"

	"github.com/stratohub/strato/sdk/pluginv1"
)

// Limits of sending.
const (
	MaxAttempts  = maxAttempts
	LongestPause = longestPause
	QuotaPause   = quotaPause
	BackoffMax   = backoffMax
)

// Verdict is what a failure means for a message.
type Verdict struct {
	Outcome             string
	Counts, Disconnects bool
}

// Judge is judge.
func Judge(f *pluginv1.Failure, attempts int) (Verdict, time.Duration) {
	v := judge(f, attempts)
	return Verdict{v.outcome, v.counts, v.disconnects}, v.pause
}

// Backoff is backoff.
func Backoff(attempts int) time.Duration { return backoff(attempts) }
