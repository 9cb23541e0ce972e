package ingress

import (
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stratohub/strato/core/internal/telemetry"
)

// Metrics counts webhooks. Results and plugins are closed sets; tenants are
// bounded.
type Metrics struct {
	webhooks *prometheus.CounterVec
	events   *telemetry.Counter
	depth    *prometheus.GaugeVec
	oldest   *prometheus.GaugeVec
}

// NewMetrics registers the counters.
func NewMetrics(m *telemetry.Metrics) *Metrics {
	v := &Metrics{
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strato_webhooks_total",
			Help: "Webhooks by plugin and what became of them: ok, spooled, unverified, malformed, too_large, unrouted, foreign_key, failed_event, dead, full, later, not_found, error.",
		}, []string{"plugin", "result"}),
		events: m.Tenants.NewCounter(m.Registry, prometheus.CounterOpts{
			Name: "strato_tenant_webhook_events_total", Help: "Events that came in by webhook, by tenant and plugin.",
		}, "plugin"),
	}
	v.depth = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "strato_plugin_spool_depth", Help: "Webhooks that are kept until the plugin takes them.",
	}, []string{"plugin"})
	v.oldest = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "strato_plugin_spool_oldest_seconds", Help: "Age of the oldest webhook that is kept for the plugin; 0 without one.",
	}, []string{"plugin"})
	m.MustRegister(v.webhooks, v.depth, v.oldest)
	return v
}

func (m *Metrics) count(plugin, result string) { m.webhooks.WithLabelValues(plugin, result).Inc() }

func (m *Metrics) received(t uuid.UUID, plugin string, events int) {
	m.events.Add(t, float64(events), plugin)
}
