package serve

import (
	"context"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// maxEvents is how many events one webhook may give: providers document batches
// of up to 1000.
const maxEvents = 1000

// webhooks serves webhooks.
type webhooks[T any] struct {
	pluginv1.UnimplementedWebhookServiceServer
	server *server[T]
}

// RouteWebhooks implements the service. Each request is answered for itself: a
// crash on one does not touch the others.
func (w *webhooks[T]) RouteWebhooks(ctx context.Context, r *pluginv1.RouteWebhooksRequest) (*pluginv1.RouteWebhooksResponse, error) {
	out := &pluginv1.RouteWebhooksResponse{Routings: make([]*pluginv1.WebhookRouting, len(r.GetRequests()))}
	for i, q := range r.GetRequests() {
		routing, err := w.route(ctx, q)
		if err != nil {
			out.Routings[i] = &pluginv1.WebhookRouting{Failure: refusal(w.server.log, "RouteWebhooks", err, failure.NotSent)}
			continue
		}
		out.Routings[i] = wire.FromRouting(routing)
	}
	return out, nil
}

func (w *webhooks[T]) route(ctx context.Context, q *pluginv1.WebhookRoute) (routing sdk.Routing, err error) {
	defer w.crashed(ctx, "RouteWebhooks", &err)
	if w.server.plugin.Route == nil {
		return sdk.Routing{Final: &sdk.Response{Status: 404}}, nil
	}
	return w.server.plugin.Route(ctx, *w.server.env.Load(), q.GetEndpoint(), wire.ToRequest(q.GetRequest()))
}

// HandleWebhooks implements the service. Each delivery is answered for itself.
func (w *webhooks[T]) HandleWebhooks(ctx context.Context, r *pluginv1.HandleWebhooksRequest) (*pluginv1.HandleWebhooksResponse, error) {
	log := w.server.logFor(ctx, r.GetInstallation())
	out := &pluginv1.HandleWebhooksResponse{Results: make([]*pluginv1.WebhookResult, len(r.GetDeliveries()))}
	value, release, err := w.server.instance(ctx, r.GetInstallation())
	if err != nil {
		for i := range out.GetResults() {
			out.Results[i] = &pluginv1.WebhookResult{Failure: refusal(log, "HandleWebhooks", err, failure.NotSent)}
		}
		return out, nil
	}
	defer release()
	for i, d := range r.GetDeliveries() {
		result, err := w.handle(ctx, value, d)
		if err == nil && len(result.Events) > maxEvents {
			err = failure.New(failure.Unsupported, "the webhook holds %d events, more than %d", len(result.Events), maxEvents)
		}
		if err != nil {
			// Verified goes along: what is known to be the provider's may be kept for later.
			out.Results[i] = &pluginv1.WebhookResult{Verified: result.Verified, Failure: refusal(log, "HandleWebhooks", err, failure.NotSent)}
			continue
		}
		out.Results[i] = wire.FromWebhookResult(result)
	}
	return out, nil
}

func (w *webhooks[T]) handle(ctx context.Context, value T, d *pluginv1.WebhookDelivery) (result sdk.WebhookResult, err error) {
	defer w.crashed(ctx, "HandleWebhooks", &err)
	return any(value).(sdk.WebhookHandler).HandleWebhook(ctx, wire.ToWebhook(d))
}

// crashed is deferred; it turns a panic on one request of several into its failure.
func (w *webhooks[T]) crashed(ctx context.Context, method string, err *error) {
	if r := recover(); r != nil {
		w.server.logPanic(ctx, method, r)
		*err = &failure.Failure{Code: failure.Temporary, Outcome: failure.NotSent, Blame: failure.Plugin,
			Message: "the plugin crashed on this webhook; its log has the stack"}
	}
}
