package serve

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// chunk is the size of the parts of a stream: the largest that is fast with
// any pool of buffers.
const chunk = 16 << 10

// channels serves messages, signals and media.
type channels[T any] struct {
	pluginv1.UnimplementedChannelServiceServer
	server *server[T]
}

// Send implements the service. An error without a failure means that nobody
// knows whether the provider acted.
func (c *channels[T]) Send(ctx context.Context, r *pluginv1.SendRequest) (*pluginv1.SendResponse, error) {
	log := c.server.logFor(ctx, r.GetInstallation())
	value, release, err := c.server.instance(ctx, r.GetInstallation())
	if err != nil {
		return &pluginv1.SendResponse{Failure: refusal(log, "Send", err, failure.NotSent)}, nil
	}
	defer release()
	sender, ok := any(value).(sdk.Channel)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "this plugin sends no messages")
	}
	m := wire.ToMessage(r)
	if m.Content == nil {
		f := failure.New(failure.Unsupported, "this version of the plugin does not know this kind of message")
		return &pluginv1.SendResponse{Failure: refusal(log, "Send", f, failure.NotSent)}, nil
	}
	receipt, err := sender.Send(ctx, m)
	if err != nil {
		return &pluginv1.SendResponse{Failure: refusal(log, "Send", err, failure.Unknown)}, nil
	}
	if receipt.State == 0 {
		receipt.State = sdk.DeliveryAccepted
	}
	return &pluginv1.SendResponse{Receipts: []*pluginv1.Receipt{wire.FromReceipt(receipt)}}, nil
}

// Signal implements the service.
func (c *channels[T]) Signal(ctx context.Context, r *pluginv1.SignalRequest) (*pluginv1.SignalResponse, error) {
	log := c.server.logFor(ctx, r.GetInstallation())
	value, release, err := c.server.instance(ctx, r.GetInstallation())
	if err != nil {
		return &pluginv1.SignalResponse{Failure: refusal(log, "Signal", err, failure.NotSent)}, nil
	}
	defer release()
	signaler, ok := any(value).(sdk.Signaler)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "this plugin sends no signals")
	}
	if err := signaler.Signal(ctx, wire.ToSignal(r)); err != nil {
		return &pluginv1.SignalResponse{Failure: refusal(log, "Signal", err, failure.Unknown)}, nil
	}
	return &pluginv1.SignalResponse{}, nil
}

// FetchMedia implements the service: the head, then the file in chunks.
func (c *channels[T]) FetchMedia(r *pluginv1.FetchMediaRequest, out grpc.ServerStreamingServer[pluginv1.FetchMediaResponse]) error {
	ctx := out.Context()
	log := c.server.logFor(ctx, r.GetInstallation())
	fail := func(err error) error {
		return out.Send(&pluginv1.FetchMediaResponse{Part: &pluginv1.FetchMediaResponse_Failure{
			Failure: refusal(log, "FetchMedia", err, failure.NotSent),
		}})
	}
	value, release, err := c.server.instance(ctx, r.GetInstallation())
	if err != nil {
		return fail(err)
	}
	defer release()
	fetcher, ok := any(value).(sdk.MediaFetcher)
	if !ok {
		return status.Error(codes.Unimplemented, "this plugin fetches no media")
	}
	limit := int64(min(r.GetMaxBytes(), 1<<40))
	file, err := fetcher.FetchMedia(ctx, wire.ToMediaRef(r.GetRef()), limit)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = file.Body.Close() }()
	head := &pluginv1.FetchMediaResponse{Part: &pluginv1.FetchMediaResponse_Head{Head: wire.FromMediaRef(file.Ref)}}
	if err := out.Send(head); err != nil {
		return err
	}
	return c.copyMedia(out, file.Body, limit, fail)
}

// copyMedia sends a file in chunks. It reads plainly, because helpers that fill
// a buffer cannot tell the end of a file from a connection that broke.
func (c *channels[T]) copyMedia(out grpc.ServerStreamingServer[pluginv1.FetchMediaResponse], in io.Reader, limit int64, fail func(error) error) error {
	buffer := make([]byte, chunk)
	for sent := int64(0); ; {
		n, err := in.Read(buffer)
		if sent += int64(n); limit > 0 && sent > limit {
			return fail(failure.New(failure.Media, "the file is larger than %d bytes", limit))
		}
		if n > 0 {
			if err := out.Send(&pluginv1.FetchMediaResponse{Part: &pluginv1.FetchMediaResponse_Chunk{Chunk: buffer[:n]}}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fail(err)
		}
	}
}
