package pluginhost

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stratohub/strato/sdk/host"
)

// collector tells how the processes are. A plugin has several where a canary or
// processes of single installations run; those of installations count as one.
type collector struct {
	host *host.Host

	up, state, quarantined, starts, exits, rss, cpu, instances, startup, inFlight, running *prometheus.Desc
}

// Collector reads how the plugins are whenever metrics are scraped.
func Collector(h *host.Host) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("strato_plugin_"+name, help, append([]string{"plugin", "process"}, labels...), nil)
	}
	return &collector{
		host:        h,
		up:          desc("up", "1 while the plugin answers calls or would be started by one; 0 while it cannot be used."),
		state:       desc("state", "Processes in each state.", "state"),
		quarantined: desc("quarantined", "1 while the plugin is only probed now and then, because it kept ending."),
		starts:      desc("starts_total", "Processes started, by reason: needed, restart, probe, replace.", "reason"),
		exits:       desc("exits_total", "Processes that ended unexpectedly, by cause.", "cause"),
		rss:         desc("rss_bytes", "Resident memory of the process; 0 without one."),
		cpu:         desc("cpu_seconds_total", "Processor time that the running process has used."),
		instances:   desc("instances", "Installations that the process holds something of."),
		startup:     desc("start_seconds", "What the running process took to come up."),
		inFlight:    desc("inflight", "Calls under way."),
		running:     desc("running_info", "The release of the plugin, always 1.", "version", "sha256", "state"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.up, c.state, c.quarantined, c.starts, c.exits, c.rss, c.cpu, c.instances, c.startup, c.inFlight, c.running,
	} {
		out <- d
	}
}

// series are added up by their labels.
type series map[*prometheus.Desc]map[[5]string]float64

func (s series) add(d *prometheus.Desc, v float64, labels ...string) {
	var key [5]string
	copy(key[:], labels)
	if s[d] == nil {
		s[d] = map[[5]string]float64{}
	}
	s[d][key] += v
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	all := series{}
	down := map[[2]string]bool{}
	for _, s := range c.host.Statuses() {
		kind := "shared"
		switch {
		case s.Shard != "":
			kind = "dedicated"
		case s.Canary:
			kind = "canary"
		}
		c.add(all, s, kind)
		who := [2]string{s.Plugin, kind}
		down[who] = down[who] || s.State == host.StateBackoff || s.State == host.StateQuarantined || s.State == host.StateRefused
	}
	for who, is := range down {
		up := 1.0
		if is {
			up = 0
		}
		all.add(c.up, up, who[0], who[1])
	}
	for d, values := range all {
		kind, labels := prometheus.GaugeValue, 2
		switch d {
		case c.starts, c.exits:
			kind, labels = prometheus.CounterValue, 3
		case c.cpu:
			kind = prometheus.CounterValue
		case c.state:
			labels = 3
		case c.running:
			labels = 5
		}
		for key, v := range values {
			if d == c.running {
				v = 1
			}
			out <- prometheus.MustNewConstMetric(d, kind, v, key[:labels]...)
		}
	}
}

// add counts one process.
func (c *collector) add(all series, s host.Status, kind string) {
	quarantined := 0.0
	if s.State == host.StateQuarantined {
		quarantined = 1
	}
	all.add(c.state, 1, s.Plugin, kind, s.State.String())
	all.add(c.quarantined, quarantined, s.Plugin, kind)
	for reason, n := range s.StartsBy {
		all.add(c.starts, float64(n), s.Plugin, kind, string(reason))
	}
	for cause, n := range s.ExitsBy {
		all.add(c.exits, float64(n), s.Plugin, kind, string(cause))
	}
	all.add(c.rss, float64(s.RSS), s.Plugin, kind)
	all.add(c.cpu, s.CPU.Seconds(), s.Plugin, kind)
	all.add(c.instances, float64(s.Instances), s.Plugin, kind)
	all.add(c.startup, s.Startup.Seconds(), s.Plugin, kind)
	all.add(c.inFlight, float64(s.InFlight), s.Plugin, kind)
	all.add(c.running, 1, s.Plugin, kind, s.Version, s.SHA256[:min(len(s.SHA256), 12)], s.State.String())
}
