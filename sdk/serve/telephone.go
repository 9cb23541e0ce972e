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

// telephones serves telephone calls.
type telephones[T any] struct {
	pluginv1.UnimplementedCallServiceServer
	server *server[T]
}

// caller finds the instance for a call. The failure is what to answer if there
// is none, the error if this plugin does not telephone.
func (t *telephones[T]) caller(ctx context.Context, method string, i *pluginv1.Installation) (sdk.Caller, func(), *pluginv1.Failure, error) {
	value, release, err := t.server.instance(ctx, i)
	if err != nil {
		return nil, nil, refusal(t.server.logFor(ctx, i), method, err, failure.NotSent), nil
	}
	c, ok := any(value).(sdk.Caller)
	if !ok {
		release()
		return nil, nil, nil, status.Error(codes.Unimplemented, "this plugin places no calls")
	}
	return c, release, nil, nil
}

// PlaceCall implements the service. An error without a failure means that
// nobody knows whether the telephone rings.
func (t *telephones[T]) PlaceCall(ctx context.Context, r *pluginv1.PlaceCallRequest) (*pluginv1.PlaceCallResponse, error) {
	c, release, refused, err := t.caller(ctx, "PlaceCall", r.GetInstallation())
	if err != nil || refused != nil {
		return &pluginv1.PlaceCallResponse{Failure: refused}, err
	}
	defer release()
	placed, err := c.PlaceCall(ctx, wire.ToCallOrder(r))
	if err != nil {
		return &pluginv1.PlaceCallResponse{Failure: refusal(t.server.logFor(ctx, r.GetInstallation()), "PlaceCall", err, failure.Unknown)}, nil
	}
	if placed.State == "" {
		placed.State = "queued"
	}
	return wire.FromPlacedCall(placed), nil
}

// EndCall implements the service.
func (t *telephones[T]) EndCall(ctx context.Context, r *pluginv1.EndCallRequest) (*pluginv1.EndCallResponse, error) {
	c, release, refused, err := t.caller(ctx, "EndCall", r.GetInstallation())
	if err != nil || refused != nil {
		return &pluginv1.EndCallResponse{Failure: refused}, err
	}
	defer release()
	if err := c.EndCall(ctx, r.GetProviderCallId()); err != nil {
		return &pluginv1.EndCallResponse{Failure: refusal(t.server.logFor(ctx, r.GetInstallation()), "EndCall", err, failure.Unknown)}, nil
	}
	return &pluginv1.EndCallResponse{}, nil
}

// GetCall implements the service.
func (t *telephones[T]) GetCall(ctx context.Context, r *pluginv1.GetCallRequest) (*pluginv1.GetCallResponse, error) {
	c, release, refused, err := t.caller(ctx, "GetCall", r.GetInstallation())
	if err != nil || refused != nil {
		return &pluginv1.GetCallResponse{Failure: refused}, err
	}
	defer release()
	u, err := c.GetCall(ctx, r.GetProviderCallId())
	if err != nil {
		return &pluginv1.GetCallResponse{Failure: refusal(t.server.logFor(ctx, r.GetInstallation()), "GetCall", err, failure.NotSent)}, nil
	}
	return &pluginv1.GetCallResponse{Call: wire.FromCallUpdate(u)}, nil
}
