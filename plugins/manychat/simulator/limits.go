package simulator

import (
	"sync"
	"time"
)

// maxBuckets bounds what is counted.
const maxBuckets = 20000

// limits count requests. The zero value is ready.
type limits struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

// bucket holds tokens that come back with time.
type bucket struct {
	tokens float64
	at     time.Time
}

// spend takes one of n tokens, which come back evenly within a time.
func (l *limits) spend(key string, n int, within time.Duration, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buckets == nil || len(l.buckets) > maxBuckets {
		l.buckets = map[string]*bucket{}
	}
	b := l.buckets[key]
	if b == nil {
		b = &bucket{tokens: float64(n), at: now}
		l.buckets[key] = b
	}
	b.tokens = min(float64(n), b.tokens+now.Sub(b.at).Seconds()*float64(n)/within.Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
