package host

import (
	"context"
	"sync"

	"github.com/stratohub/strato/sdk/pluginv1"
)

// Metrics is what a process told of itself.
type Metrics struct {
	Plugin, Version string
	// Text is in the text format of Prometheus, as the plugin wrote it.
	Text []byte
	// Err says why there is none.
	Err error
}

// CollectMetrics asks all processes that run, at once, for their own metrics.
// None is started for it; each has a second at most.
func (h *Host) CollectMetrics(ctx context.Context) []Metrics {
	h.mu.Lock()
	all := h.all()
	h.mu.Unlock()
	var running []*process
	for _, s := range all {
		s.mu.Lock()
		if s.state == StateReady && !s.current.gone() {
			s.current.use()
			running = append(running, s.current)
		}
		s.mu.Unlock()
	}
	out := make([]Metrics, len(running))
	var asked sync.WaitGroup
	for i, p := range running {
		asked.Go(func() {
			defer p.release()
			m, err := p.clients.Provider.CollectMetrics(ctx, &pluginv1.CollectMetricsRequest{})
			out[i] = Metrics{Plugin: p.disk.Name, Version: p.disk.Manifest.Version, Text: m.GetPrometheusText(), Err: err}
		})
	}
	asked.Wait()
	return out
}
