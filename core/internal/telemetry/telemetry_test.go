package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/telemetry"
)

func TestLogCarriesTheContext(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelInfo, false).With("node", "n1")
	ctx := telemetry.WithRequest(t.Context(), "r-1")
	acme := telemetry.WithPlugin(telemetry.WithTenant(ctx, "acme"), "whatsapp")
	norte := telemetry.WithTenant(ctx, "norte")

	log.DebugContext(acme, "hidden")
	log.InfoContext(acme, "shown", "n", 1)
	log.InfoContext(norte, "shown")

	var first, second map[string]any
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2)
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &second))
	require.Subset(t, first, map[string]any{"msg": "shown", "request_id": "r-1", "tenant": "acme", "plugin": "whatsapp", "node": "n1"})
	require.Equal(t, "norte", second["tenant"])
	require.NotContains(t, second, "plugin")
	require.Equal(t, "r-1", telemetry.RequestID(acme))
	require.Empty(t, telemetry.RequestID(context.Background()))
}

func tenants(n int) []uuid.UUID {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-%012d", i))
	}
	return ids
}

func name(u uuid.UUID) string { return "t" + strings.TrimLeft(u.String()[24:], "0") }

// labels returns the counter's value by tenant label.
func labels(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "tenant" {
					values[l.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
	}
	return values
}

func TestTenantLabelsFollowActivity(t *testing.T) {
	t.Parallel()

	r := prometheus.NewRegistry()
	set := telemetry.NewTenants(2, name)
	leads := set.NewCounter(r, prometheus.CounterOpts{Name: "leads_total", Help: "Leads."}, "source")
	ids := tenants(5)

	leads.Add(ids[1], 1, "web")
	leads.Add(ids[2], 1, "web")
	leads.Add(ids[3], 1, "web")
	leads.Add(ids[4], 1, "ads")
	require.Equal(t, map[string]float64{"t1": 1, "t2": 1, "other": 2}, labels(t, r), "the first come take the free places")

	set.Rebalance()
	require.Equal(t, map[string]float64{"t1": 1, "t2": 1, "other": 2}, labels(t, r), "equals do not push each other out")

	for range 100 {
		leads.Add(ids[3], 1, "web")
	}
	for range 50 {
		leads.Add(ids[2], 1, "web")
	}
	set.Rebalance()
	require.Equal(t, map[string]float64{"t2": 51, "other": 102}, labels(t, r), "the series of who left are gone")
	leads.Add(ids[3], 1, "web")
	leads.Add(ids[1], 1, "web")
	require.Equal(t, map[string]float64{"t2": 51, "t3": 1, "other": 103}, labels(t, r))

	for range 40 {
		set.Rebalance()
	}
	require.Equal(t, map[string]float64{"other": 103}, labels(t, r), "activity fades")
}

func TestTenantLabelsStayBounded(t *testing.T) {
	t.Parallel()

	r := prometheus.NewRegistry()
	set := telemetry.NewTenants(3, name)
	calls := set.NewCounter(r, prometheus.CounterOpts{Name: "calls_total", Help: "Calls."})
	times := set.NewHistogram(r, prometheus.HistogramOpts{Name: "call_seconds", Help: "Calls."})
	ids := tenants(50)

	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := range 2000 {
				tenant := ids[(i*w+i/100)%len(ids)]
				calls.Add(tenant, 1)
				times.Observe(tenant, 0.1)
				if i%50 == 0 {
					set.Rebalance()
				}
			}
		})
	}
	group.Wait()
	set.Rebalance()

	require.LessOrEqual(t, len(labels(t, r)), 4)
}

func TestNobodyTakesNoPlace(t *testing.T) {
	t.Parallel()

	r := prometheus.NewRegistry()
	set := telemetry.NewTenants(1, name)
	calls := set.NewCounter(r, prometheus.CounterOpts{Name: "calls_total", Help: "Calls."})
	one := tenants(1)[0]
	calls.Add(uuid.Nil, 5)
	calls.Add(one, 2)
	set.Rebalance()
	require.Equal(t, map[string]float64{name(one): 2}, labels(t, r))
}

func TestNoPlacesAtAll(t *testing.T) {
	t.Parallel()

	r := prometheus.NewRegistry()
	set := telemetry.NewTenants(0, nil)
	calls := set.NewCounter(r, prometheus.CounterOpts{Name: "calls_total", Help: "Calls."})
	calls.Add(tenants(1)[0], 2)
	set.Rebalance()
	require.Equal(t, map[string]float64{"other": 2}, labels(t, r))
}

func TestRunEnds(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		telemetry.NewTenants(1, nil).Run(ctx, time.Millisecond)
	}()
	cancel()
	<-done
}

func TestHTTPMetrics(t *testing.T) {
	t.Parallel()

	m := telemetry.NewMetrics(telemetry.NewTenants(1, nil))
	h := telemetry.NewHTTP(m)
	h.Begin()
	h.End("GET", "/api/leads/:id", 200, 3*time.Millisecond, false)
	h.Begin()
	h.End("BREW", "", 405, time.Millisecond, false)
	h.Begin()
	h.End("GET", "/api/events", 200, time.Hour, true)

	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, rec.Code)
	body := rec.Body.String()
	require.Contains(t, body, `strato_http_requests_total{method="GET",route="/api/leads/:id",status="200"} 1`)
	require.Contains(t, body, `strato_http_requests_total{method="other",route="none",status="405"} 1`)
	require.Contains(t, body, "go_goroutines")
	require.NotContains(t, body, `strato_http_request_seconds_count{method="GET",route="/api/events"}`)
}
