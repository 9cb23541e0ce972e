package pluginhost_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/stratohub/strato/core/internal/admission"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/sdk/host"
)

// value of the series with these labels; nil if there is none.
func value(t *testing.T, g prometheus.Gatherer, name string, labels map[string]string) *float64 {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if hasLabels(m, labels) {
				v := m.GetGauge().GetValue() + m.GetCounter().GetValue()
				return &v
			}
		}
	}
	return nil
}

func hasLabels(m *dto.Metric, want map[string]string) bool {
	found := 0
	for _, l := range m.GetLabel() {
		if want[l.GetName()] == l.GetValue() {
			found++
		}
	}
	return found == len(want)
}

// A page of metrics shows the shared process, a canary beside it, and what both
// count themselves, release by release.
func TestMetricsOfRunningPlugins(t *testing.T) {
	t.Parallel()

	w := hosttest.New(t, host.Timing{})
	target := w.Echo(t)
	w.Canary(t)
	_, _, err := w.Registry.Check(t.Context(), w.Live(t, target), false)
	require.NoError(t, err)
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(pluginhost.Collector(w.Host())))
	r.MustRegister(pluginhost.NewOwn(w.Host()))
	for _, process := range []string{"shared", "canary"} {
		who := map[string]string{"plugin": hosttest.Echo, "process": process}
		require.InDelta(t, 1, *value(t, r, "strato_plugin_up", who), 0)
		require.InDelta(t, 0, *value(t, r, "strato_plugin_quarantined", who), 0)
		require.InDelta(t, 1, *value(t, r, "strato_plugin_starts_total", map[string]string{"plugin": hosttest.Echo, "process": process, "reason": "needed"}), 0)
		require.Positive(t, *value(t, r, "strato_plugin_rss_bytes", who))
		require.Positive(t, *value(t, r, "strato_plugin_start_seconds", who))
		require.InDelta(t, 1, *value(t, r, "strato_plugin_state", map[string]string{"plugin": hosttest.Echo, "process": process, "state": "ready"}), 0)
	}
	versions := map[string]bool{}
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "strato_plugin_x_goroutines" && l.GetName() == "version" {
					versions[l.GetValue()] = true
				}
			}
		}
	}
	require.Len(t, versions, 2)
}

// Calls and refusals are counted where operators and tenants look.
func TestCallsAreCounted(t *testing.T) {
	t.Parallel()

	m := telemetry.NewMetrics(telemetry.NewTenants(5, func(uuid.UUID) string { return "acme" }))
	count := pluginhost.Observe(m)
	call := host.Call{Plugin: "echo", Version: "1.0.0", Method: "Send", Tenant: uuid.NewString()}
	count(call)
	call.Failures = []host.CallFailure{{Code: "rate_limited", Blame: "provider"}}
	count(call)
	call.Failures, call.Code = nil, codes.Unavailable
	count(call)
	count(host.Call{Plugin: "echo", Version: "1.0.0", Method: "Health"})
	for outcome, want := range map[string]float64{"ok": 1, "failed": 1, "lost": 1} {
		require.InDelta(t, want, *value(t, m, "strato_tenant_plugin_calls_total", map[string]string{"tenant": "acme", "plugin": "echo", "outcome": outcome}), 0)
	}
	require.InDelta(t, 1, *value(t, m, "strato_plugin_failures_total",
		map[string]string{"plugin": "echo", "method": "Send", "failure": "rate_limited", "blame": "provider"}), 0)
	require.InDelta(t, 1, *value(t, m, "strato_plugin_calls_total", map[string]string{"method": "Send", "code": "Unavailable"}), 0)

	waits := pluginhost.Admissions(m)
	waits.Refused("echo", call.Tenant, admission.ReasonRate)
	require.InDelta(t, 1, *value(t, m, "strato_plugin_admission_rejected_total", map[string]string{"plugin": "echo", "reason": "rate"}), 0)
	require.InDelta(t, 1, *value(t, m, "strato_tenant_plugin_throttled_total", map[string]string{"tenant": "acme", "plugin": "echo"}), 0)
}
