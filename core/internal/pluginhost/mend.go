package pluginhost

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/stratohub/strato/sdk/host"
)

// mendEvery is how often plugins that cannot be used are looked at again.
const mendEvery = 10 * time.Second

// Mend looks again at the plugins on disk while one of them cannot be used: its
// files may have been put right, or were only being copied. It returns when ctx
// ends.
func (r *Registry) Mend(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(mendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !r.broken() {
			continue
		}
		if err := r.host.Scan(); err != nil {
			log.WarnContext(ctx, "plugins cannot be looked at again", "error", err)
		}
	}
}

// broken reports whether a plugin waits for somebody to change its files.
func (r *Registry) broken() bool {
	return slices.ContainsFunc(r.host.Catalogue(), func(p host.Release) bool { return p.Problem != "" }) ||
		slices.ContainsFunc(r.host.Statuses(), func(s host.Status) bool {
			return s.State == host.StateRefused || s.State == host.StateQuarantined
		})
}
