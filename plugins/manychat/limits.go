package main

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/stratohub/strato/sdk/failure"
)

// perSecond are the provider's limits in requests a second, by endpoint.
// Whatever is not named here has defaultPerSecond.
var perSecond = map[string]int{
	"page/getInfo":                 100,
	"page/getTags":                 100,
	"page/getCustomFields":         100,
	"page/getFlows":                10,
	"subscriber/findBySystemField": 50,
	"sending/sendContent":          25,
	"sending/sendFlow":             20,
}

const (
	defaultPerSecond = 10
	// A person may be sent so many flows an hour.
	flowsPerHour = 100
	// maxPeople bounds the people whose flows are counted.
	maxPeople = 20000
)

// limits count the requests of one account. The core keeps the limits of the
// manifest, which are of whole messages; these are of the provider's endpoints,
// of which a message may use several.
type limits struct {
	now       func() time.Time
	mu        sync.Mutex
	endpoints map[string]*rate.Limiter
	people    map[string]*rate.Limiter
}

func newLimits(now func() time.Time) *limits {
	return &limits{now: now, endpoints: map[string]*rate.Limiter{}, people: map[string]*rate.Limiter{}}
}

// take counts a request, or refuses it with the time to wait. It never waits.
func (l *limits) take(endpoint string) error {
	n := perSecond[endpoint]
	if n == 0 {
		n = defaultPerSecond
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.endpoints[endpoint]
	if b == nil {
		b = rate.NewLimiter(rate.Limit(n), n)
		l.endpoints[endpoint] = b
	}
	return l.spend(b, "ManyChat allows no more requests of this kind for the moment")
}

// takeFlow counts a flow sent to a person.
func (l *limits) takeFlow(person string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.people[person]
	if b == nil {
		if len(l.people) >= maxPeople {
			clear(l.people)
		}
		b = rate.NewLimiter(rate.Every(time.Hour/flowsPerHour), flowsPerHour)
		l.people[person] = b
	}
	return l.spend(b, "ManyChat sends a person 100 flows an hour at most")
}

func (l *limits) spend(b *rate.Limiter, words string) error {
	now := l.now()
	r := b.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	r.CancelAt(now)
	f := refusal(failure.RateLimited, failure.Tenant, words)
	f.RetryAfter = wait
	return f
}
