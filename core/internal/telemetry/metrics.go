package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the program's registry. Packages register their own metrics with
// it when they are constructed.
type Metrics struct {
	*prometheus.Registry
	Tenants *Tenants
}

// NewMetrics returns a registry with the metrics of the process and of Go.
func NewMetrics(tenants *Tenants) *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Metrics{Registry: r, Tenants: tenants}
}

// Handler serves the metrics. It belongs on a private address.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{
		Registry: m.Registry, MaxRequestsInFlight: 4, Timeout: 20 * time.Second, EnableOpenMetrics: true,
	})
}

// HTTP counts requests by route.
type HTTP struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// NewHTTP registers the metrics of requests.
func NewHTTP(r prometheus.Registerer) *HTTP {
	h := &HTTP{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "strato_http_requests_total", Help: "Answered requests by route template and status.",
		}, []string{"method", "route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "strato_http_request_seconds", Help: "Time to answer a request, streams left out.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "strato_http_requests_in_flight", Help: "Requests being answered, streams included.",
		}),
	}
	r.MustRegister(h.requests, h.seconds, h.inFlight)
	return h
}

// Begin notes that a request came.
func (h *HTTP) Begin() { h.inFlight.Inc() }

// End notes that a request was answered. route is the route's template, never a
// path; "" means that no route matched. Streams are counted but not timed.
func (h *HTTP) End(method, route string, status int, took time.Duration, stream bool) {
	h.inFlight.Dec()
	if route == "" {
		route = "none"
	}
	method = knownMethod(method)
	h.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	if !stream {
		h.seconds.WithLabelValues(method, route).Observe(took.Seconds())
	}
}

// knownMethod keeps clients from inventing label values.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}
