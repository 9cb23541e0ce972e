package pluginhost

import (
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stratohub/strato/core/internal/admission"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/sdk/host"
)

// Observe registers the metrics of calls and returns what to tell each call to.
// The host counts, so a plugin can neither lie nor forget.
func Observe(r prometheus.Registerer) func(host.Call) {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "strato_plugin_calls_total", Help: "Calls of plugins by method and gRPC code.",
	}, []string{"plugin", "version", "method", "code"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "strato_plugin_call_seconds", Help: "Time of plugin calls.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .05, .25, 1, 5, 20},
	}, []string{"plugin", "method"})
	r.MustRegister(calls, seconds)
	return func(c host.Call) {
		calls.WithLabelValues(c.Plugin, c.Version, c.Method, c.Code.String()).Inc()
		seconds.WithLabelValues(c.Plugin, c.Method).Observe(c.Duration.Seconds())
	}
}

// Admissions registers the metrics of what waits for a plugin, and returns what
// tells them.
func Admissions(m *telemetry.Metrics) admission.Observer {
	waited := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "strato_plugin_queue_wait_seconds", Help: "Time that calls waited before they were made.",
		Buckets: []float64{.0001, .001, .01, .05, .1, .25, .5},
	}, []string{"plugin"})
	rejected := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "strato_plugin_admission_rejected_total", Help: "Calls that were not made for now, by reason: full, late, rate.",
	}, []string{"plugin", "reason"})
	throttled := m.Tenants.NewCounter(m.Registry, prometheus.CounterOpts{
		Name: "strato_tenant_plugin_throttled_total", Help: "Calls that were not made for now, by tenant and plugin.",
	}, "plugin")
	m.MustRegister(waited, rejected)
	return admission.Observer{
		Waited: func(plugin string, d time.Duration) { waited.WithLabelValues(plugin).Observe(d.Seconds()) },
		Refused: func(plugin, tenant string, r admission.Reason) {
			rejected.WithLabelValues(plugin, string(r)).Inc()
			if id, err := uuid.Parse(tenant); err == nil {
				throttled.Add(id, 1, plugin)
			}
		},
	}
}

type collector struct {
	host                                      *host.Host
	up, starts, exits, rss, inFlight, running *prometheus.Desc
}

// Collector reads how the plugins are whenever metrics are scraped.
func Collector(h *host.Host) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("strato_plugin_"+name, help, append([]string{"plugin"}, labels...), nil)
	}
	return &collector{
		host:     h,
		up:       desc("up", "1 while the plugin answers calls or would be started by one; 0 while it cannot be used."),
		starts:   desc("starts_total", "Processes started."),
		exits:    desc("exits_total", "Processes that ended unexpectedly."),
		rss:      desc("rss_bytes", "Resident memory of the process; 0 without one."),
		inFlight: desc("inflight", "Calls under way."),
		running:  desc("running_info", "The state and version of the plugin, always 1.", "version", "state"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.starts, c.exits, c.rss, c.inFlight, c.running} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	for _, s := range c.host.Statuses() {
		if s.Canary {
			continue // the labels are of the plugin's own process
		}
		up := 1.0
		switch s.State {
		case host.StateBackoff, host.StateQuarantined, host.StateRefused:
			up = 0
		default:
		}
		out <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up, s.Plugin)
		out <- prometheus.MustNewConstMetric(c.starts, prometheus.CounterValue, float64(s.Starts), s.Plugin)
		out <- prometheus.MustNewConstMetric(c.exits, prometheus.CounterValue, float64(s.Exits), s.Plugin)
		out <- prometheus.MustNewConstMetric(c.rss, prometheus.GaugeValue, float64(s.RSS), s.Plugin)
		out <- prometheus.MustNewConstMetric(c.inFlight, prometheus.GaugeValue, float64(s.InFlight), s.Plugin)
		out <- prometheus.MustNewConstMetric(c.running, prometheus.GaugeValue, 1, s.Plugin, s.Version, s.State.String())
	}
}
