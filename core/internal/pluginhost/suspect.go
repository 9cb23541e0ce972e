package pluginhost

import (
	"context"

	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/trace"
)

// ReplayWebhook is [Registry.HandleWebhook] for one that waited. A suspect was
// under way when a process ended: it travels alone, and with no other suspect
// beside it, so that the innocent ones are cleared and the guilty one is known.
func (r *Registry) ReplayWebhook(ctx context.Context, l *installation.Live, d *pluginv1.WebhookDelivery, suspect bool) (*pluginv1.WebhookResult, error) {
	if !suspect {
		return r.HandleWebhook(ctx, l, d)
	}
	r.suspecting.Lock()
	defer r.suspecting.Unlock()
	out, err := r.handleBatch(installation.Target{Tenant: l.Tenant.ID, Installation: l.ID}, []*handling{{l, d, trace.From(ctx)}})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// ReplayRoute is [Registry.RouteWebhook] likewise.
func (r *Registry) ReplayRoute(ctx context.Context, plugin string, w *pluginv1.WebhookRoute, suspect bool) (*pluginv1.WebhookRouting, error) {
	if !suspect {
		return r.RouteWebhook(ctx, plugin, w)
	}
	r.suspecting.Lock()
	defer r.suspecting.Unlock()
	out, err := r.routeBatch(routeKey{plugin: plugin}, []*pluginv1.WebhookRoute{w})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// RouteForCanary asks the canary of a plugin what the webhook has for those
// whom it serves, who are returned with its answer; nobody if there is none.
func (r *Registry) RouteForCanary(ctx context.Context, plugin string, w *pluginv1.WebhookRoute) ([]string, *pluginv1.WebhookRouting, error) {
	brave := r.host.CanaryTenants(plugin)
	if len(brave) == 0 {
		return nil, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, webhookDeadline)
	defer cancel()
	routing, err := r.routing.submit(ctx, routeKey{plugin, brave[0]}, w)
	return brave, routing, err
}
