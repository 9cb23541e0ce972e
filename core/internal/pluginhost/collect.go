package pluginhost

import (
	"bytes"
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stratohub/strato/sdk/host"
)

const (
	// ownPrefix begins the names of what plugins tell of themselves.
	ownPrefix = "strato_plugin_x_"
	// collectTimeout is what plugins get to tell.
	collectTimeout = time.Second
	// collectFresh is how long an answer serves: several scrapers do not make a
	// plugin count for each.
	collectFresh = 5 * time.Second
	// maxOwnSeries and maxOwnText are of one release of a plugin.
	maxOwnSeries = 2000
	maxOwnText   = 1 << 20
)

var metricName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,99}$`)

// Own collects what plugins count themselves, at each scrape. Names get a prefix
// and series the labels plugin and version, which no plugin can set; labels that
// would name a tenant or a person are left out, and what is the same without
// them is added up. Counters and gauges are taken, 2000 series of a release.
type Own struct {
	host interface {
		CollectMetrics(context.Context) []host.Metrics
	}
	dropped *prometheus.Desc
	failed  *prometheus.Desc

	mu   sync.Mutex
	at   time.Time
	last []prometheus.Metric
}

// NewOwn returns a collector over a host.
func NewOwn(h *host.Host) *Own {
	return &Own{
		host: h,
		dropped: prometheus.NewDesc("strato_plugin_collect_dropped", "Series of the plugin's own that were left out: too many, or not as they should be.",
			[]string{"plugin", "version"}, nil),
		failed: prometheus.NewDesc("strato_plugin_collect_failed", "1 while the plugin does not tell its own metrics.", []string{"plugin", "version"}, nil),
	}
}

// Describe implements prometheus.Collector. What plugins count is not known
// before they tell, so nothing is promised.
func (o *Own) Describe(chan<- *prometheus.Desc) {}

// Own tells of the collector's own metrics.
func (o *Own) Own(out chan<- *prometheus.Desc) { out <- o.dropped; out <- o.failed }

// Collect implements prometheus.Collector.
func (o *Own) Collect(out chan<- prometheus.Metric) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil || time.Since(o.at) > collectFresh {
		ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
		defer cancel()
		o.last, o.at = o.gather(o.host.CollectMetrics(ctx)), time.Now()
	}
	for _, m := range o.last {
		out <- m
	}
}

// release is whose metrics they are.
type release struct{ plugin, version string }

// family is a metric of all plugins that have one of that name. The first one's
// kind and words count: the page can have one of each.
type family struct {
	kind prometheus.ValueType
	help string
	// values by release and labels, as they are told.
	values map[ownKey]float64
}

type ownKey struct {
	release
	names, labels string // separated by the character that neither holds
}

const separator = "\xff"

// gather makes metrics of what the processes told. Several processes of one
// release are added up.
func (o *Own) gather(told []host.Metrics) []prometheus.Metric {
	families := map[string]*family{}
	dropped, failed := map[release]float64{}, map[release]float64{}
	count := map[release]int{}
	for _, m := range told {
		r := release{m.Plugin, m.Version}
		dropped[r] += 0
		parsed, err := parse(m)
		if err != nil {
			failed[r] = 1
			continue
		}
		failed[r] += 0
		for _, name := range slices.Sorted(maps.Keys(parsed)) {
			for _, one := range parsed[name].GetMetric() {
				if !admit(families, ownPrefix+name, parsed[name], r, one, count) {
					dropped[r]++
				}
			}
		}
	}
	out := []prometheus.Metric{}
	for name, f := range families {
		for key, v := range f.values {
			var names, labels []string
			if key.names != "" {
				names, labels = strings.Split(key.names, separator), strings.Split(key.labels, separator)
			}
			d := prometheus.NewDesc(name, f.help, append([]string{"plugin", "version"}, names...), nil)
			if one, err := prometheus.NewConstMetric(d, f.kind, v, append([]string{key.plugin, key.version}, labels...)...); err == nil {
				out = append(out, one)
			}
		}
	}
	for r, n := range dropped {
		out = append(out, prometheus.MustNewConstMetric(o.dropped, prometheus.GaugeValue, n, r.plugin, r.version))
		out = append(out, prometheus.MustNewConstMetric(o.failed, prometheus.GaugeValue, failed[r], r.plugin, r.version))
	}
	return out
}

func parse(m host.Metrics) (map[string]*dto.MetricFamily, error) {
	if m.Err != nil {
		return nil, m.Err
	}
	text := m.Text
	if len(text) > maxOwnText {
		text = text[:bytes.LastIndexByte(text[:maxOwnText], '\n')+1]
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	return p.TextToMetricFamilies(bytes.NewReader(text))
}

// admit adds a series to its family, and reports whether it may be there.
func admit(families map[string]*family, name string, told *dto.MetricFamily, r release, m *dto.Metric, count map[release]int) bool {
	kind, value, ok := valueOf(told.GetType(), m)
	if !ok || !metricName.MatchString(name) {
		return false
	}
	f := families[name]
	if f == nil {
		help := told.GetHelp()
		if help == "" {
			help = "What a plugin counts itself."
		}
		f = &family{kind: kind, help: help, values: map[ownKey]float64{}}
	}
	if f.kind != kind {
		return false
	}
	key := ownKey{release: r}
	var names, labels []string
	for _, l := range m.GetLabel() {
		if !personal(l.GetName()) && !strings.Contains(l.GetValue(), separator) {
			names, labels = append(names, l.GetName()), append(labels, l.GetValue())
		}
	}
	key.names, key.labels = strings.Join(names, separator), strings.Join(labels, separator)
	if _, known := f.values[key]; !known {
		if count[r] >= maxOwnSeries {
			return false
		}
		count[r]++
	}
	f.values[key] += value
	families[name] = f
	return true
}

func valueOf(t dto.MetricType, m *dto.Metric) (prometheus.ValueType, float64, bool) {
	switch t {
	case dto.MetricType_COUNTER:
		return prometheus.CounterValue, m.GetCounter().GetValue(), true
	case dto.MetricType_GAUGE:
		return prometheus.GaugeValue, m.GetGauge().GetValue(), true
	case dto.MetricType_UNTYPED:
		return prometheus.UntypedValue, m.GetUntyped().GetValue(), true
	default:
		return 0, 0, false
	}
}

// personal reports whether a label would name a tenant, a person or the release,
// which are not the plugin's to say.
func personal(label string) bool {
	label = strings.ToLower(label)
	for _, part := range []string{"tenant", "installation", "agency", "account", "customer", "contact", "recipient", "user", "phone", "email"} {
		if strings.Contains(label, part) {
			return true
		}
	}
	return slices.Contains([]string{"plugin", "version", "id", "job", "instance", "le", "quantile"}, label) || strings.HasPrefix(label, "__")
}
