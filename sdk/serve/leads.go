package serve

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// defaultLeads is how many events a poll wants that does not say.
const defaultLeads = 100

// leads serves the polls for enquiries.
type leads[T any] struct {
	pluginv1.UnimplementedLeadSourceServiceServer
	server *server[T]
}

// PullLeads implements the service. A page may hold more than was asked for,
// as providers have pages of their own, but no more than a webhook.
func (l *leads[T]) PullLeads(ctx context.Context, r *pluginv1.PullLeadsRequest) (*pluginv1.PullLeadsResponse, error) {
	fail := func(err error) (*pluginv1.PullLeadsResponse, error) {
		return &pluginv1.PullLeadsResponse{Failure: refusal(l.server.logFor(ctx, r.GetInstallation()), "PullLeads", err, failure.NotSent)}, nil
	}
	value, release, err := l.server.instance(ctx, r.GetInstallation())
	if err != nil {
		return fail(err)
	}
	defer release()
	source, ok := any(value).(sdk.LeadSource)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "this plugin has no leads to pull")
	}
	limit := int(min(r.GetLimit(), maxEvents))
	if limit == 0 {
		limit = defaultLeads
	}
	page, err := source.PullLeads(ctx, r.GetCursor(), limit)
	if err != nil {
		return fail(err)
	}
	if n := len(page.Events); n > maxEvents {
		return fail(failure.New(failure.Unsupported, "the page holds %d events, more than %d", n, maxEvents))
	}
	return wire.FromLeadPage(page), nil
}
