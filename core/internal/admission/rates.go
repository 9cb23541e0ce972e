package admission

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/stratohub/strato/sdk/settings"
)

// sweepAt is from how many buckets on those that say nothing any more are dropped.
const sweepAt = 1024

// rates are a plugin's declared rate limits, with a bucket for each thing that
// they count. They are this process's own: nodes do not count together.
type rates struct {
	limits []settings.RateLimit

	mu      sync.Mutex
	buckets map[bucketKey]*bucket
	sweepAt int
}

type bucketKey struct {
	limit int
	scope string
}

// bucket counts the calls of one scope of one limit.
type bucket struct {
	tokens  *rate.Limiter // nil for a limit without a rate
	running int
	paused  time.Time // until when the provider wants nothing
}

func newRates(declared []settings.RateLimit) *rates {
	return &rates{limits: declared, buckets: map[bucketKey]*bucket{}, sweepAt: sweepAt}
}

// enter takes what the call needs of every limit that it falls under, or tells
// after how long to ask again. What it took of concurrency is to be given back.
func (r *rates) enter(c *Call, now time.Time) (taken []*bucket, after time.Duration) {
	if len(r.limits) == 0 {
		return nil, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var reserved []*rate.Reservation
	for i := range r.limits {
		l := &r.limits[i]
		if !covers(l, c) {
			continue
		}
		b := r.bucket(i, c)
		after = max(after, b.paused.Sub(now))
		if l.MaxConcurrency > 0 && b.running >= l.MaxConcurrency {
			after = max(after, time.Second)
		}
		if b.tokens != nil {
			one := b.tokens.ReserveN(now, 1)
			reserved = append(reserved, one)
			after = max(after, one.DelayFrom(now))
		}
		taken = append(taken, b)
	}
	if after > 0 {
		for _, one := range slices.Backward(reserved) {
			one.CancelAt(now)
		}
		return nil, after
	}
	for _, b := range taken {
		b.running++
	}
	return taken, 0
}

func (r *rates) leave(taken []*bucket) {
	if len(taken) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range taken {
		b.running--
	}
}

// pause keeps calls like c back until a moment: those under the named limit, or
// under the widest that c falls under if the plugin named none.
func (r *rates) pause(c *Call, name string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	best := -1
	for i := range r.limits {
		l := &r.limits[i]
		switch {
		case name != "" && l.Name != name, !covers(l, c):
			continue
		case best < 0 || width(l) > width(&r.limits[best]):
			best = i
		}
	}
	if best < 0 {
		return
	}
	if b := r.bucket(best, c); b.paused.Before(until) {
		b.paused = until
	}
}

// bucket finds or makes one. The lock is held.
func (r *rates) bucket(limit int, c *Call) *bucket {
	l := &r.limits[limit]
	key := bucketKey{limit, scopeOf(l, c)}
	if b := r.buckets[key]; b != nil {
		return b
	}
	if len(r.buckets) >= r.sweepAt {
		r.sweep(time.Now())
	}
	b := &bucket{}
	if l.PerSecond > 0 {
		b.tokens = rate.NewLimiter(rate.Limit(l.PerSecond), burst(l))
	}
	r.buckets[key] = b
	return b
}

// sweep drops the buckets that are as good as new. The lock is held.
func (r *rates) sweep(now time.Time) {
	for key, b := range r.buckets {
		if b.running == 0 && !b.paused.After(now) && (b.tokens == nil || b.tokens.TokensAt(now) >= float64(b.tokens.Burst())) {
			delete(r.buckets, key)
		}
	}
	r.sweepAt = max(sweepAt, 2*len(r.buckets))
}

// covers reports whether a call falls under a limit: "Send" names all messages,
// "Send.template" those of a kind.
func covers(l *settings.RateLimit, c *Call) bool {
	return slices.ContainsFunc(l.Methods, func(m string) bool {
		method, content, one := strings.Cut(m, ".")
		return method == c.Method && (!one || content == c.Content)
	})
}

// width of what a limit counts under: all calls, an account's, a person's.
func width(l *settings.RateLimit) int {
	w := 2
	for _, s := range l.Scope {
		switch s {
		case "plugin":
		case "recipient":
			return 0
		default:
			w = 1
		}
	}
	return w
}

// burst of a limit that names none is what a second gives, at least one call.
func burst(l *settings.RateLimit) int {
	if l.Burst > 0 {
		return l.Burst
	}
	return max(1, int(math.Ceil(l.PerSecond)))
}

// scopeOf is what a limit counts the call under. A routing key that the call
// does not name leaves its installation.
func scopeOf(l *settings.RateLimit, c *Call) string {
	var out strings.Builder
	for _, s := range l.Scope {
		switch s {
		case "plugin":
		case "installation":
			out.WriteString("installation " + c.Installation)
		case "recipient":
			out.WriteString("recipient " + c.Installation + " " + c.Recipient)
		default:
			if c.From.Kind == s && c.From.Value != "" {
				out.WriteString(s + " " + c.From.Value)
			} else {
				out.WriteString("installation " + c.Installation)
			}
		}
		out.WriteByte('\n')
	}
	return out.String()
}
