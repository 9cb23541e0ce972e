package pluginhost

import (
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	"github.com/stratohub/strato/core/internal/admission"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/sdk/host"
)

// Observe registers the metrics of calls and returns what to tell each call to.
// The host counts, so a plugin can neither lie nor forget.
func Observe(m *telemetry.Metrics) func(host.Call) {
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "strato_plugin_calls_total", Help: "Calls of plugins by method and gRPC code.",
	}, []string{"plugin", "version", "method", "code"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "strato_plugin_call_seconds", Help: "Time of plugin calls.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .05, .25, 1, 5, 20},
	}, []string{"plugin", "method"})
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "strato_plugin_failures_total", Help: "Refusals in plugins' answers, by the failure's code and who has to mend it.",
	}, []string{"plugin", "method", "failure", "blame"})
	tenants := m.Tenants.NewCounter(m.Registry, prometheus.CounterOpts{
		Name: "strato_tenant_plugin_calls_total", Help: "Calls of plugins by tenant, plugin and outcome: ok, failed, lost.",
	}, "plugin", "outcome")
	m.MustRegister(calls, seconds, failures)
	return func(c host.Call) {
		calls.WithLabelValues(c.Plugin, c.Version, c.Method, c.Code.String()).Inc()
		seconds.WithLabelValues(c.Plugin, c.Method).Observe(c.Duration.Seconds())
		outcome := "ok"
		for _, f := range c.Failures {
			failures.WithLabelValues(c.Plugin, c.Method, f.Code, f.Blame).Inc()
			outcome = "failed"
		}
		if c.Code != codes.OK {
			outcome = "lost"
		}
		if id, err := uuid.Parse(c.Tenant); err == nil {
			tenants.Add(id, 1, c.Plugin, outcome)
		}
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
