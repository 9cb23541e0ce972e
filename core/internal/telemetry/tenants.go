package telemetry

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// Other is the tenant label of all tenants that have no label of their own.
const Other = "other"

const tenantLabel = "tenant"

// Tenants decides which tenants get a label of their own: the most active ones,
// up to a limit. Activity fades, so the set follows it; the series of a tenant
// that leaves the set are removed. It is safe for concurrent use.
type Tenants struct {
	limit int
	name  func(uuid.UUID) string

	mu     sync.RWMutex // held for reading while a series is written
	labels map[uuid.UUID]string
	scores map[uuid.UUID]float64
	vecs   []deleter

	active sync.Map // uuid.UUID → *atomic.Int64, since the last Rebalance
}

type deleter interface {
	DeletePartialMatch(labels prometheus.Labels) int
}

// fade is what is left of a tenant's score after each [Tenants.Rebalance].
const fade = 0.7

// NewTenants returns a set for at most limit tenants. name gives a tenant's
// label and is called once when it enters the set; nil labels with the id.
func NewTenants(limit int, name func(uuid.UUID) string) *Tenants {
	if name == nil {
		name = uuid.UUID.String
	}
	return &Tenants{limit: limit, name: name, labels: map[uuid.UUID]string{}, scores: map[uuid.UUID]float64{}}
}

// Run rebalances the set every so often until the context ends.
func (t *Tenants) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.Rebalance()
		}
	}
}

// Rebalance fades the scores, adds the activity since the last time, and gives
// the labels to the tenants that score highest.
func (t *Tenants) Rebalance() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tenant := range t.scores {
		t.scores[tenant] *= fade
	}
	t.active.Range(func(key, value any) bool {
		tenant, n := key.(uuid.UUID), value.(*atomic.Int64).Swap(0)
		t.scores[tenant] += float64(n)
		if n == 0 {
			t.active.Delete(key)
		}
		return true
	})
	ranked := make([]uuid.UUID, 0, len(t.scores))
	for tenant, score := range t.scores {
		if score < 0.5 {
			delete(t.scores, tenant)
			continue
		}
		ranked = append(ranked, tenant)
	}
	slices.SortFunc(ranked, func(a, b uuid.UUID) int {
		return cmp.Or(
			cmp.Compare(t.scores[b], t.scores[a]),
			cmp.Compare(len(t.labels[b]), len(t.labels[a])), // equals do not push each other out
			slices.Compare(a[:], b[:]),
		)
	})
	top := map[uuid.UUID]string{}
	for _, tenant := range ranked[:min(len(ranked), t.limit)] {
		if label, ok := t.labels[tenant]; ok {
			top[tenant] = label
		} else {
			top[tenant] = t.name(tenant)
		}
	}
	for tenant, label := range t.labels {
		if _, stays := top[tenant]; stays {
			continue
		}
		for _, v := range t.vecs {
			v.DeletePartialMatch(prometheus.Labels{tenantLabel: label})
		}
	}
	t.labels = top
}

// write counts activity and calls f with the tenant's label while the label
// cannot be taken away, so that no series is left behind. What belongs to no
// tenant is passed over: it would take a tenant's place.
func (t *Tenants) write(tenant uuid.UUID, f func(label string)) {
	if tenant == uuid.Nil {
		return
	}
	counter, ok := t.active.Load(tenant)
	if !ok {
		counter, _ = t.active.LoadOrStore(tenant, new(atomic.Int64))
	}
	counter.(*atomic.Int64).Add(1)

	t.mu.RLock()
	label, ok := t.labels[tenant]
	free := !ok && len(t.labels) < t.limit
	if !free {
		defer t.mu.RUnlock()
		if !ok {
			label = Other
		}
		f(label)
		return
	}
	t.mu.RUnlock()
	label = t.enter(tenant)
	defer t.mu.RUnlock()
	f(label)
}

// enter gives a tenant a free place, without waiting for the next Rebalance. It
// returns with the lock held for reading.
func (t *Tenants) enter(tenant uuid.UUID) string {
	name := t.name(tenant)
	t.mu.Lock()
	if _, ok := t.labels[tenant]; !ok && len(t.labels) < t.limit {
		t.labels[tenant] = name
	}
	t.mu.Unlock()
	t.mu.RLock()
	if label, ok := t.labels[tenant]; ok {
		return label
	}
	return Other
}

// Counter is a counter per tenant.
type Counter struct {
	tenants *Tenants
	vec     *prometheus.CounterVec
}

// NewCounter registers a counter with the label tenant in front of the given
// ones.
func (t *Tenants) NewCounter(r prometheus.Registerer, opts prometheus.CounterOpts, labels ...string) *Counter {
	c := &Counter{t, prometheus.NewCounterVec(opts, append([]string{tenantLabel}, labels...))}
	t.register(r, c.vec, c.vec)
	return c
}

// Add adds n, which must not be negative, to a tenant's counter.
func (c *Counter) Add(tenant uuid.UUID, n float64, values ...string) {
	c.tenants.write(tenant, func(label string) {
		c.vec.WithLabelValues(append([]string{label}, values...)...).Add(n)
	})
}

// Histogram is a histogram per tenant.
type Histogram struct {
	tenants *Tenants
	vec     *prometheus.HistogramVec
}

// NewHistogram registers a histogram with the label tenant in front of the
// given ones.
func (t *Tenants) NewHistogram(r prometheus.Registerer, opts prometheus.HistogramOpts, labels ...string) *Histogram {
	h := &Histogram{t, prometheus.NewHistogramVec(opts, append([]string{tenantLabel}, labels...))}
	t.register(r, h.vec, h.vec)
	return h
}

// Observe adds a value to a tenant's histogram.
func (h *Histogram) Observe(tenant uuid.UUID, value float64, values ...string) {
	h.tenants.write(tenant, func(label string) {
		h.vec.WithLabelValues(append([]string{label}, values...)...).Observe(value)
	})
}

func (t *Tenants) register(r prometheus.Registerer, c prometheus.Collector, d deleter) {
	r.MustRegister(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.vecs = append(t.vecs, d)
}
