package ingress

import (
	"context"
	"fmt"
	"time"

	"github.com/stratohub/strato/core/internal/tenant"
)

const (
	// measureEvery is how often what is kept is counted, and measureDeadline what
	// that may take.
	measureEvery    = 30 * time.Second
	measureDeadline = 20 * time.Second
)

// kept is what waits for one plugin.
type kept struct {
	count  int64
	oldest time.Time
}

// WatchWaiting keeps the metrics of what waits for plugins until ctx ends.
func (h *Handler) WatchWaiting(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		if err := h.MeasureWaiting(ctx); err != nil && ctx.Err() == nil {
			h.Log.WarnContext(ctx, "webhooks that wait for plugins could not be counted", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// MeasureWaiting counts once, in all databases, what waits for each plugin. A
// database that does not answer is left out.
func (h *Handler) MeasureWaiting(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, measureDeadline)
	defer cancel()
	all := map[string]kept{}
	for _, p := range h.Registry.Plugins() {
		all[p.Name] = kept{}
	}
	note := func(plugin string, n int64, at time.Time) {
		k := all[plugin]
		k.count += n
		if k.oldest.IsZero() || at.Before(k.oldest) {
			k.oldest = at
		}
		all[plugin] = k
	}
	var spooled []struct {
		Plugin string
		N      int64
		At     time.Time
	}
	err := h.Pool.Control().NewRaw(`select plugin, count(*) as n, min(received_at) as at from control.spool
		where state = 'waiting' group by plugin`).Scan(ctx, &spooled)
	if err != nil {
		return fmt.Errorf("count the control plane's: %w", err)
	}
	for _, s := range spooled {
		note(s.Plugin, s.N, s.At)
	}
	databases, err := h.Pool.Databases(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, d := range databases {
		err := h.Pool.System(ctx, d.ID, "count webhooks that wait", func(ctx context.Context, s tenant.Sys) error {
			return s.Query(ctx, func(scan func(...any) error) error {
				var plugin string
				var n int64
				var at time.Time
				if err := scan(&plugin, &n, &at); err != nil {
					return err
				}
				note(plugin, n, at)
				return nil
			}, `select plugin, count(*), min(received_at) from crm.inbox where state = 'raw' group by plugin`)
		})
		if err != nil {
			failed = fmt.Errorf("count those in database %s: %w", d.Name, err)
		}
	}
	for plugin, k := range all {
		age := 0.0
		if !k.oldest.IsZero() {
			age = max(0, time.Since(k.oldest).Seconds())
		}
		h.Metrics.depth.WithLabelValues(plugin).Set(float64(k.count))
		h.Metrics.oldest.WithLabelValues(plugin).Set(age)
	}
	return failed
}
