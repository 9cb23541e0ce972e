package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/host"
)

// told are processes that tell always the same.
type told struct {
	list  []host.Metrics
	times int
}

func (f *told) CollectMetrics(context.Context) []host.Metrics {
	f.times++
	return f.list
}

// page is what a scrape shows: lines of the form name{label="value",…} value.
func page(t *testing.T, o *Own) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(o))
	families, err := r.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
			out[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = value
			if f.GetName() == "strato_plugin_x_calls_total" {
				require.Equal(t, dto.MetricType_COUNTER, f.GetType())
			}
		}
	}
	return out
}

func TestOwnMetrics(t *testing.T) {
	t.Parallel()

	o := NewOwn(nil)
	o.host = &told{list: []host.Metrics{
		{Plugin: "echo", Version: "1.0.0", Text: []byte(`# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{voice="a",tenant="acme"} 2
calls_total{voice="a",tenant="norte"} 3
calls_total{voice="b",plugin="whatsapp",version="9"} 4
# TYPE size gauge
size 7
# TYPE seconds histogram
seconds_bucket{le="+Inf"} 1
seconds_sum 1
seconds_count 1
`)},
		{Plugin: "echo", Version: "1.0.0", Text: []byte("# TYPE size gauge\nsize 1\n")},
		{Plugin: "echo", Version: "2.0.0", Text: []byte("# TYPE size counter\nsize 5\n# TYPE calls_total counter\ncalls_total{voice=\"a\"} 9\n")},
		{Plugin: "broken", Version: "1.0.0", Text: []byte("{{{ what is this")},
		{Plugin: "away", Version: "1.0.0", Err: errors.New("too late")},
	}}
	require.Equal(t, map[string]float64{
		`strato_plugin_x_calls_total{plugin="echo",version="1.0.0",voice="a"}`: 5,
		`strato_plugin_x_calls_total{plugin="echo",version="1.0.0",voice="b"}`: 4,
		`strato_plugin_x_calls_total{plugin="echo",version="2.0.0",voice="a"}`: 9,
		`strato_plugin_x_size{plugin="echo",version="1.0.0"}`:                  8,
		`strato_plugin_collect_dropped{plugin="echo",version="1.0.0"}`:         1, // the histogram
		`strato_plugin_collect_dropped{plugin="echo",version="2.0.0"}`:         1, // of another kind than the first
		`strato_plugin_collect_dropped{plugin="broken",version="1.0.0"}`:       0,
		`strato_plugin_collect_dropped{plugin="away",version="1.0.0"}`:         0,
		`strato_plugin_collect_failed{plugin="echo",version="1.0.0"}`:          0,
		`strato_plugin_collect_failed{plugin="echo",version="2.0.0"}`:          0,
		`strato_plugin_collect_failed{plugin="broken",version="1.0.0"}`:        1,
		`strato_plugin_collect_failed{plugin="away",version="1.0.0"}`:          1,
	}, page(t, o))
}

func TestOwnSeriesAreBounded(t *testing.T) {
	t.Parallel()

	var text strings.Builder
	text.WriteString("# TYPE many gauge\n")
	for i := range maxOwnSeries + 300 {
		fmt.Fprintf(&text, "many{n=\"%d\"} 1\n", i)
	}
	o := NewOwn(nil)
	o.host = &told{list: []host.Metrics{{Plugin: "echo", Version: "1.0.0", Text: []byte(text.String())}}}
	all := page(t, o)
	require.Len(t, all, maxOwnSeries+2)
	require.InDelta(t, 300, all[`strato_plugin_collect_dropped{plugin="echo",version="1.0.0"}`], 0)
}

func TestOwnMetricsAreKeptForAWhile(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		f := &told{}
		o := NewOwn(nil)
		o.host = f
		page(t, o)
		page(t, o)
		require.Equal(t, 1, f.times)
		<-time.After(collectFresh + time.Second)
		page(t, o)
		require.Equal(t, 2, f.times)
	})
}
