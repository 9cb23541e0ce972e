package simulator

import (
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Meta's limits: messages a second of one number, and to one person a message
// each six seconds after a burst.
const (
	perSecond = 80
	pairEvery = 6 * time.Second
	pairBurst = 45
)

// maxBuckets bounds the people whose rate is remembered.
const maxBuckets = 20000

// limits count messages. The zero value is ready.
type limits struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

// bucket holds tokens that come back with time.
type bucket struct {
	tokens float64
	at     time.Time
}

func (l *limits) second(number string, limit int, now time.Time) bool {
	if limit <= 0 {
		limit = perSecond
	}
	return l.spend(number, float64(limit), time.Second/time.Duration(limit), now)
}

func (l *limits) pair(pair string, burst int, now time.Time) bool {
	if burst <= 0 {
		burst = pairBurst
	}
	return l.spend(pair, float64(burst), pairEvery, now)
}

// spend takes a token, of which one comes back every so often up to capacity.
func (l *limits) spend(key string, capacity float64, every time.Duration, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buckets == nil || len(l.buckets) > maxBuckets {
		l.buckets = map[string]*bucket{}
	}
	b := l.buckets[key]
	if b == nil {
		b = &bucket{tokens: capacity, at: now}
		l.buckets[key] = b
	}
	b.tokens = min(capacity, b.tokens+now.Sub(b.at).Seconds()/every.Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func pad(code int) string { return fmt.Sprintf("%06d", code) }

// codeOf reads the code at the end of a magic number.
func codeOf(number string) int {
	code, _ := strconv.Atoi(number[len(number)-6:]) // the key is all digits
	return code
}
