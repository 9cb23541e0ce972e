package serve

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxSeries is how many series a plugin may have, over all its metrics.
const maxSeries = 2000

var (
	metricForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)
	// ours are the SDK's own metrics.
	ours = []string{"instances", "calls_in_flight", "instances_built_total", "instance_failures_total",
		"instances_evicted_total", "late_revisions_total", "series_dropped_total", "goroutines"}
)

// Metrics are a plugin's own counters and gauges, which the core collects, puts
// its prefix before, and shows with its own. Any number of goroutines may use
// them. A nil *Metrics takes everything and keeps nothing, for tests.
type Metrics struct {
	log *slog.Logger

	mu      sync.Mutex
	named   map[string]*Metric
	series  int
	dropped uint64
}

func newMetrics(log *slog.Logger) *Metrics { return &Metrics{log: log, named: map[string]*Metric{}} }

// Metric is a counter or a gauge with one value for each combination of its
// labels' values. A nil *Metric takes everything and keeps nothing.
type Metric struct {
	owner      *Metrics
	kind, help string
	labels     []string
	values     map[string]float64 // by the labels as they are written; guarded by the owner
}

// Counter returns the counter of that name, which only grows, and makes it the
// first time. Names are lower-case words, by custom ending in _total, and carry
// no prefix. Labels name dimensions of few values, never a tenant, a person or
// an id. A name that cannot be used, or is that of another metric, is told to
// the log, and what is counted under it is lost.
func (m *Metrics) Counter(name, help string, labels ...string) *Metric {
	return m.metric("counter", name, help, labels)
}

// Gauge returns the gauge of that name, which goes up and down; else it is
// like [Metrics.Counter].
func (m *Metrics) Gauge(name, help string, labels ...string) *Metric {
	return m.metric("gauge", name, help, labels)
}

func (m *Metrics) metric(kind, name, help string, labels []string) *Metric {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.named[name]; one != nil && one.kind == kind && slices.Equal(one.labels, labels) {
		return one
	}
	bad := func(s string) bool { return !metricForm.MatchString(s) }
	if m.named[name] != nil || slices.Contains(ours, name) || bad(name) || slices.ContainsFunc(labels, bad) {
		m.log.Error("a metric cannot be kept: its name or a label is no lower-case word, or it is another metric's",
			"metric", name, "labels", labels)
		return nil
	}
	one := &Metric{owner: m, kind: kind, help: help, labels: slices.Clone(labels), values: map[string]float64{}}
	m.named[name] = one
	return one
}

// Add adds n for the values of the labels, in their order. A counter does not
// take less than zero.
func (m *Metric) Add(n float64, values ...string) {
	m.change(values, func(old float64) float64 {
		if m.kind == "counter" && !(n >= 0) {
			return old
		}
		return old + n
	})
}

// Inc adds one.
func (m *Metric) Inc(values ...string) { m.Add(1, values...) }

// Set puts a gauge to n. A counter does not take it.
func (m *Metric) Set(n float64, values ...string) {
	m.change(values, func(old float64) float64 {
		if m.kind == "counter" {
			return old
		}
		return n
	})
}

// change changes one series; without room for a new one it counts that.
func (m *Metric) change(values []string, f func(float64) float64) {
	if m == nil {
		return
	}
	m.owner.mu.Lock()
	defer m.owner.mu.Unlock()
	key := labelled(m.labels, values)
	old, known := m.values[key]
	if !known && (m.owner.series >= maxSeries || len(values) != len(m.labels)) {
		m.owner.dropped++
		return
	}
	if !known {
		m.owner.series++
	}
	m.values[key] = f(old)
}

// labelled writes labels with their values, as Prometheus does.
func labelled(labels, values []string) string {
	if len(labels) == 0 || len(labels) != len(values) {
		return ""
	}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	parts := make([]string, len(labels))
	for i, l := range labels {
		parts[i] = l + `="` + escape.Replace(strings.ToValidUTF8(values[i], "?")) + `"`
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// text writes everything in the text format of Prometheus, in the same order
// each time.
func (m *Metrics) text(b *strings.Builder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.named))
	for name := range m.named {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		one := m.named[name]
		if one.help != "" {
			_, _ = fmt.Fprintf(b, "# HELP %s %s\n", name, strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(one.help))
		}
		_, _ = fmt.Fprintf(b, "# TYPE %s %s\n", name, one.kind)
		keys := make([]string, 0, len(one.values))
		for k := range one.values {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			_, _ = fmt.Fprintf(b, "%s%s %s\n", name, k, strconv.FormatFloat(one.values[k], 'g', -1, 64))
		}
	}
	_, _ = fmt.Fprintf(b, "# TYPE series_dropped_total counter\nseries_dropped_total %d\n", m.dropped)
}
