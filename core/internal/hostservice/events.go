package hostservice

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk/hostv1"
)

// maxEvents is how many events one request may publish.
const maxEvents = 500

// events takes what plugins learned without a webhook.
type events struct {
	hostv1.UnimplementedEventServiceServer
	*Services
}

// Publish implements the service. Which events were known before turns out when
// they are taken; until then all count as accepted.
func (v *events) Publish(ctx context.Context, r *hostv1.PublishRequest) (*hostv1.PublishResponse, error) {
	t, _, err := target(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.GetEvents()) > maxEvents {
		return nil, status.Errorf(codes.ResourceExhausted, "at most %d events are published at once", maxEvents)
	}
	for _, e := range r.GetEvents() {
		if e.GetDedupeKey() == "" {
			return nil, status.Error(codes.InvalidArgument, "an event has no dedupe key")
		}
	}
	n, err := v.Services.Publish(ctx, t, r.GetEvents())
	if err != nil {
		return nil, v.refusal(ctx, "publish events", err)
	}
	return &hostv1.PublishResponse{Accepted: uint32(n)}, nil //nolint:gosec // at most 500
}
