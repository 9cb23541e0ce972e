package main

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/stratohub/strato/sdk/failure"
)

// class is a set of endpoints that share a limit.
type class int

const (
	// general is everything that carries the API key. No figure is published; five
	// requests a second is what careful clients keep to.
	general class = iota
	// hooks are UChat's inbound webhooks: 500 calls in 24 hours.
	hooks
)

const hookPath = "/iwh/"

func classOf(path string) class {
	if strings.HasPrefix(path, hookPath) {
		return hooks
	}
	return general
}

// limits keep an installation below what the provider allows.
type limits map[class]*rate.Limiter

func newLimits() limits {
	return limits{
		general: rate.NewLimiter(5, 10),
		hooks:   rate.NewLimiter(rate.Every(24*time.Hour/500), 500),
	}
}

// take lets a request go, or says when it may.
func (l limits) take(c class) error {
	r := l[c].Reserve()
	d := r.Delay()
	if d == 0 {
		return nil
	}
	r.Cancel()
	f := refusal(failure.RateLimited, failure.Tenant, "too many requests to UChat in a short time")
	f.RetryAfter = d
	return f
}

// wait lets a request go as soon as it may, within the time that is left.
func (l limits) wait(ctx context.Context, c class) error {
	if l[c].Wait(ctx) == nil {
		return nil
	}
	f := refusal(failure.RateLimited, failure.Tenant, "too many requests to UChat in a short time")
	f.RetryAfter = time.Second
	return f
}

// cacheMax bounds what a cache holds.
const cacheMax = 5000

// cache remembers values for a while. Its zero value, with keep set, is ready;
// any number of goroutines may use it.
type cache[T any] struct {
	keep time.Duration

	mu    sync.Mutex
	items map[string]cached[T]
}

type cached[T any] struct {
	value T
	until time.Time
}

func (c *cache[T]) get(key string, now time.Time) (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.items[key]
	if !ok || now.After(i.until) {
		var none T
		return none, false
	}
	return i.value, true
}

func (c *cache[T]) put(key string, v T, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items == nil {
		c.items = map[string]cached[T]{}
	}
	if len(c.items) >= cacheMax {
		for k, i := range c.items {
			if now.After(i.until) {
				delete(c.items, k)
			}
		}
		if len(c.items) >= cacheMax {
			clear(c.items)
		}
	}
	c.items[key] = cached[T]{v, now.Add(c.keep)}
}

// clear forgets everything.
func (c *cache[T]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.items)
}

// drop forgets a value.
func (c *cache[T]) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.items, key)
}
