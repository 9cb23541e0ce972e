package serve

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/pluginv1"
)

func collected(t *testing.T, m *Metrics) string {
	t.Helper()
	var b strings.Builder
	m.text(&b)
	return b.String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()

	m := newMetrics(slog.New(slog.DiscardHandler))
	sent := m.Counter("characters_total", "Characters spoken.\nPaid ones.", "model", "result")
	sent.Add(12, "v2", "ok")
	sent.Inc("v2", "ok")
	sent.Inc("v2", `a "quote" \ and`+"\n")
	sent.Add(-5, "v2", "ok")
	sent.Set(0, "v2", "ok")
	m.Counter("characters_total", "", "model", "result").Inc("v2", "ok")
	lines := m.Gauge("lines", "")
	lines.Set(7)
	lines.Add(-2.5)
	m.Gauge("idle", "Never set.")
	require.Equal(t, `# HELP characters_total Characters spoken.\nPaid ones.
# TYPE characters_total counter
characters_total{model="v2",result="a \"quote\" \\ and\n"} 1
characters_total{model="v2",result="ok"} 14
# HELP idle Never set.
# TYPE idle gauge
# TYPE lines gauge
lines 4.5
# TYPE series_dropped_total counter
series_dropped_total 0
`, collected(t, m))
}

// What cannot be kept is told to the log, harms nothing, and is bounded.
func TestMetricsThatCannotBe(t *testing.T) {
	t.Parallel()

	var log bytes.Buffer
	m := newMetrics(slog.New(slog.NewTextHandler(&log, nil)))
	m.Counter("fine", "", "a")
	for _, bad := range []*Metric{m.Gauge("fine", "", "a"), m.Counter("fine", "", "b"), m.Counter("Not fine", ""),
		m.Counter("also", "", "bad-label"), m.Gauge("instances", ""), m.Counter("", "")} {
		require.Nil(t, bad)
		bad.Inc()
		bad.Set(1, "x")
	}
	require.Equal(t, 6, strings.Count(log.String(), "a metric cannot be kept"))
	m.Counter("fine", "", "a").Inc() // a value is missing
	for i := range maxSeries + 9 {
		m.Counter("fine", "", "a").Inc(strconv.Itoa(i))
	}
	m.Counter("fine", "", "a").Inc("1")
	text := collected(t, m)
	require.Contains(t, text, "fine{a=\"1\"} 2\n")
	require.Contains(t, text, "series_dropped_total 10\n")
	require.Equal(t, maxSeries, strings.Count(text, "\nfine{"))

	var none *Metrics
	none.Counter("x", "").Inc()
}

func TestMetricsFromManyGoroutines(t *testing.T) {
	t.Parallel()

	m := newMetrics(slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for range 100 {
				m.Counter("c", "", "n").Inc(strconv.Itoa(n % 2))
				m.text(&strings.Builder{})
			}
		})
	}
	wg.Wait()
	require.Contains(t, collected(t, m), "c{n=\"0\"} 400\nc{n=\"1\"} 400\n")
}

// What a plugin counts is collected with the SDK's own figures, without its secrets.
func TestPluginsMetricsAreCollected(t *testing.T) {
	t.Parallel()

	s, _ := started(t, demo(new(int)))
	s.secrets.Add("i", 1, map[string]string{"/token": "a-secret-token"})
	s.env.Load().Metrics.Counter("spoken_total", "", "by").Inc("a-secret-token")
	r, err := s.CollectMetrics(t.Context(), &pluginv1.CollectMetricsRequest{})
	require.NoError(t, err)
	text := string(r.GetPrometheusText())
	require.Contains(t, text, "# TYPE instances gauge\n")
	require.Contains(t, text, "spoken_total{by=")
	require.NotContains(t, text, "a-secret-token")
}
