package ingress

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// ErrInactive says that an installation takes nothing because it is not switched on.
var ErrInactive = fault.New(fault.Conflict, "webhook.inactive", "The installation is not switched on, so its events are not taken.")

// Publish stores events that a plugin learned without a webhook, and returns how
// many: those of accounts that are not the installation's are dropped.
func (h *Handler) Publish(ctx context.Context, t installation.Target, events []*pluginv1.Event) (int, error) {
	live, err := h.Directory.Live(ctx, t)
	if err != nil {
		return 0, err
	}
	if live.State != installation.Active {
		return 0, ErrInactive
	}
	d := &pluginv1.WebhookDelivery{Request: &pluginv1.HttpRequest{Method: http.MethodPost, ReceivedAt: timestamppb.New(time.Now().Truncate(time.Microsecond))}}
	for _, k := range live.Keys {
		d.MatchedKeys = append(d.MatchedKeys, &pluginv1.RouteKey{Kind: k.Kind, Value: k.Value})
	}
	events = ours(ctx, h.Metrics, h.Log, live, d, events)
	if len(events) == 0 {
		return 0, nil
	}
	return len(events), h.keep(ctx, live, d, &pluginv1.WebhookResult{Verified: true, Events: events})
}
