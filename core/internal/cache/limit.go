package cache

import (
	"context"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
)

// Limit allows Rate things in each Per, and Burst of them at once.
type Limit struct {
	Rate  int
	Per   time.Duration
	Burst int
}

// Limiter counts against limits, for all nodes together in Redis, or for this
// node alone while Redis is down: never without limit. It is safe for
// concurrent use.
type Limiter struct {
	cache  *Cache
	shared *redis_rate.Limiter
	local  local
}

// NewLimiter returns a limiter that shares its counts through the cache.
func NewLimiter(c *Cache) *Limiter {
	return &Limiter{cache: c, shared: redis_rate.NewLimiter(c.client), local: local{due: map[string]time.Time{}}}
}

// Take counts one thing. If the limit is reached it counts nothing and says how
// long to wait.
func (l *Limiter) Take(ctx context.Context, k Key, limit Limit) (wait time.Duration, ok bool) {
	return l.count(ctx, k, limit, 1)
}

// Look says whether a thing could be counted now, without counting it.
func (l *Limiter) Look(ctx context.Context, k Key, limit Limit) (wait time.Duration, ok bool) {
	return l.count(ctx, k, limit, 0)
}

// Reset forgets what was counted under a key.
func (l *Limiter) Reset(ctx context.Context, k Key) {
	l.local.reset(k.name)
	_ = l.cache.try(ctx, func(ctx context.Context) error { return l.shared.Reset(ctx, k.name) })
}

func (l *Limiter) count(ctx context.Context, k Key, limit Limit, n int) (time.Duration, bool) {
	var result *redis_rate.Result
	err := l.cache.try(ctx, func(ctx context.Context) (err error) {
		result, err = l.shared.AllowN(ctx, k.name, redis_rate.Limit{Rate: limit.Rate, Period: limit.Per, Burst: limit.Burst}, n)
		return err
	})
	if err != nil {
		return l.local.count(k.name, limit, n, time.Now())
	}
	if n > 0 {
		return max(result.RetryAfter, 0), result.Allowed >= n
	}
	// Counting nothing always succeeds, so look at what is left instead. What is
	// still owed beyond the burst says how long until one fits.
	if result.Remaining > 0 {
		return 0, true
	}
	step := limit.Per / time.Duration(limit.Rate)
	return max(result.ResetAfter-step*time.Duration(limit.Burst-1), step/10), false
}

// local is GCRA in memory: for each key the time when all that was counted will
// have been allowed.
type local struct {
	mu  sync.Mutex
	due map[string]time.Time
}

// maxLocal bounds the keys in memory. Those that owe nothing are dropped first;
// when all owe, all are dropped, which forgives rather than locks out.
const maxLocal = 100_000

func (l *local) count(key string, limit Limit, n int, now time.Time) (time.Duration, bool) {
	step := limit.Per / time.Duration(limit.Rate)
	l.mu.Lock()
	defer l.mu.Unlock()
	due := l.due[key]
	if due.Before(now) {
		due = now
	}
	next := due.Add(step * time.Duration(max(n, 1)))
	if wait := next.Add(-step * time.Duration(limit.Burst)).Sub(now); wait > 0 {
		return wait, false
	}
	if n == 0 {
		return 0, true
	}
	if len(l.due) >= maxLocal {
		for k, at := range l.due {
			if at.Before(now) {
				delete(l.due, k)
			}
		}
		if len(l.due) >= maxLocal {
			clear(l.due)
		}
	}
	l.due[key] = next
	return 0, true
}

func (l *local) reset(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.due, key)
}
