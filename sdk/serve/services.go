package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/hostv1"
	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/internal/redact"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// hostTimeout is what the host gets for a small request; its own deadline is shorter.
const hostTimeout = 15 * time.Second

type tokenKey struct{}

// withToken notes the capability of a call, if its request carries one.
func withToken(ctx context.Context, request any) context.Context {
	r, ok := request.(interface {
		GetInstallation() *pluginv1.Installation
	})
	if !ok || r.GetInstallation().GetHostToken() == "" {
		return ctx
	}
	return context.WithValue(ctx, tokenKey{}, r.GetInstallation().GetHostToken())
}

// tokenStream notes the capability of a streamed call: it comes with the request.
type tokenStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // how gRPC hands a context to stream handlers
}

// Context implements grpc.ServerStream.
func (s *tokenStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *tokenStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		s.ctx = withToken(s.ctx, m)
	}
	return err
}

// dialHost reaches the host over the broker.
func dialHost(b *plugin.GRPCBroker, id uint32) (*grpc.ClientConn, error) {
	return b.DialWithOptions(id, dialOptions()...)
}

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(handshake.MaxMessage), grpc.MaxCallSendMsgSize(handshake.MaxMessage)),
		grpc.WithDisableRetry(),
	}
}

// reach connects to the host's services; nil if it offers none. A plugin that
// is debugged outlives its hosts, and each tells it of a socket.
func (s *server[T]) reach(r *pluginv1.StartRequest) (*grpc.ClientConn, error) {
	switch {
	case s.debugged && r.GetHostSocket() != "":
		return grpc.NewClient("unix:"+r.GetHostSocket(), append(dialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	case r.GetHostBrokerId() != 0 && s.dial != nil:
		return s.dial(r.GetHostBrokerId())
	default:
		return nil, nil
	}
}

// services are those of the host that it tells of; the others say that they are
// not offered. The connection lasts as long as the process, or until the next
// host comes.
func (s *server[T]) services(r *pluginv1.StartRequest) (sdk.Services, error) {
	out := sdk.Services{State: noState{}, Secrets: noSecrets{}, Blobs: noBlobs{}, Events: noEvents{}}
	conn, err := s.reach(r)
	if err != nil || conn == nil {
		return out, err
	}
	if s.host != nil {
		_ = s.host.Close()
	}
	s.host = conn
	features := r.GetHostFeatures()
	if slices.Contains(features, "state") {
		out.State = state{hostv1.NewStateServiceClient(conn)}
	}
	if slices.Contains(features, "secrets") {
		out.Secrets = secrets{hostv1.NewSecretServiceClient(conn), s.secrets}
	}
	if slices.Contains(features, "blobs") {
		out.Blobs = blobs{hostv1.NewBlobServiceClient(conn)}
	}
	if slices.Contains(features, "events") {
		out.Events = events{hostv1.NewEventServiceClient(conn)}
	}
	return out, nil
}

// authorized shows the host the capability of the call.
func authorized(ctx context.Context) (context.Context, context.CancelFunc, error) {
	token, ok := ctx.Value(tokenKey{}).(string)
	if !ok {
		return nil, nil, sdk.ErrNoCall
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, handshake.TokenKey, token), hostTimeout)
	return ctx, cancel, nil
}

// answer turns the host's refusals into errors that authors can tell apart.
func answer(err error) error {
	if err == nil {
		return nil
	}
	words := status.Convert(err).Message()
	switch status.Code(err) {
	case codes.Unauthenticated:
		return sdk.ErrNoCall
	case codes.ResourceExhausted:
		return fmt.Errorf("%w: %s", sdk.ErrLimit, words)
	case codes.NotFound:
		return fmt.Errorf("%w: %s", sdk.ErrNotFound, words)
	case codes.Unimplemented:
		return sdk.ErrNoService
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	default:
		return errors.New("the host says: " + words)
	}
}

// ask makes one request.
func ask[In, Out any](ctx context.Context, f func(context.Context, In, ...grpc.CallOption) (Out, error), in In) (out Out, err error) {
	ctx, cancel, err := authorized(ctx)
	if err != nil {
		return out, err
	}
	defer cancel()
	out, err = f(ctx, in)
	return out, answer(err)
}

// state implements [sdk.State].
type state struct{ host hostv1.StateServiceClient }

func (s state) Get(ctx context.Context, key string) (sdk.StateValue, error) {
	r, err := ask(ctx, s.host.Get, &hostv1.GetRequest{Key: key})
	return sdk.StateValue{Data: r.GetValue(), Version: r.GetVersion()}, err
}

func (s state) Put(ctx context.Context, key string, data []byte, ttl time.Duration) error {
	_, err := ask(ctx, s.host.Put, put(key, data, ttl, nil))
	return err
}

func (s state) PutIf(ctx context.Context, key string, data []byte, ttl time.Duration, version uint64) (uint64, bool, error) {
	r, err := ask(ctx, s.host.Put, put(key, data, ttl, &version))
	return r.GetVersion(), r.GetApplied(), err
}

func put(key string, data []byte, ttl time.Duration, version *uint64) *hostv1.PutRequest {
	r := &hostv1.PutRequest{Key: key, Value: data, ExpectedVersion: version}
	if ttl > 0 {
		r.Ttl = durationpb.New(ttl)
	}
	return r
}

func (s state) Delete(ctx context.Context, key string) error {
	_, err := ask(ctx, s.host.Delete, &hostv1.DeleteRequest{Key: key})
	return err
}

func (s state) DeleteIf(ctx context.Context, key string, version uint64) (bool, error) {
	r, err := ask(ctx, s.host.Delete, &hostv1.DeleteRequest{Key: key, ExpectedVersion: &version})
	return r.GetApplied(), err
}

func (s state) List(ctx context.Context, prefix, page string) ([]string, string, error) {
	r, err := ask(ctx, s.host.List, &hostv1.ListRequest{Prefix: prefix, PageToken: page})
	return r.GetKeys(), r.GetNextPageToken(), err
}

// secrets implements [sdk.Secrets].
type secrets struct {
	host hostv1.SecretServiceClient
	mask *redact.Set
}

func (s secrets) Rotate(ctx context.Context, from uint64, values map[string]string) (uint64, bool, error) {
	if token, ok := ctx.Value(tokenKey{}).(string); ok {
		s.mask.Add("rotated "+token, from, values) // they may be logged before the first call that brings them
	}
	r, err := ask(ctx, s.host.RotateSecrets, &hostv1.RotateSecretsRequest{FromRevision: from, Secrets: values})
	return r.GetRevision(), r.GetApplied(), err
}

// events implements [sdk.Events].
type events struct{ host hostv1.EventServiceClient }

func (e events) Publish(ctx context.Context, list ...sdk.Event) error {
	if len(list) == 0 {
		return nil
	}
	_, err := ask(ctx, e.host.Publish, &hostv1.PublishRequest{Events: wire.FromEvents(list)})
	return err
}

// blobs implements [sdk.Blobs].
type blobs struct{ host hostv1.BlobServiceClient }

func (b blobs) Write(ctx context.Context, mimeType string, body io.Reader) (sdk.Blob, error) {
	ctx, stop, err := authorizedStream(ctx)
	if err != nil {
		return sdk.Blob{}, err
	}
	defer stop()
	out, err := b.host.Write(ctx)
	if err != nil {
		return sdk.Blob{}, answer(err)
	}
	err = out.Send(&hostv1.WriteRequest{Part: &hostv1.WriteRequest_MimeType{MimeType: mimeType}})
	buffer := make([]byte, chunk)
	for err == nil {
		n, readErr := body.Read(buffer)
		if n > 0 {
			err = out.Send(&hostv1.WriteRequest{Part: &hostv1.WriteRequest_Chunk{Chunk: buffer[:n]}})
		}
		if errors.Is(readErr, io.EOF) {
			break
		}
		if readErr != nil {
			return sdk.Blob{}, readErr // without the end the host keeps nothing
		}
	}
	// When sending fails, the host's reason comes with its answer.
	r, err := out.CloseAndRecv()
	if err != nil {
		return sdk.Blob{}, answer(err)
	}
	return sdk.Blob{ID: r.GetBlobId(), MIMEType: mimeType, Size: r.GetSizeBytes(), SHA256: r.GetSha256()}, nil
}

func (b blobs) Read(ctx context.Context, id string) (sdk.Blob, io.ReadCloser, error) {
	ctx, stop, err := authorizedStream(ctx)
	if err != nil {
		return sdk.Blob{}, nil, err
	}
	in, err := b.host.Read(ctx, &hostv1.ReadRequest{BlobId: id})
	if err != nil {
		stop()
		return sdk.Blob{}, nil, answer(err)
	}
	head, err := in.Recv()
	if err != nil {
		stop()
		return sdk.Blob{}, nil, answer(err)
	}
	return sdk.Blob{ID: id, MIMEType: head.GetMimeType(), Size: head.GetSizeBytes()}, &blobReader{in: in, left: head.GetChunk(), stop: stop}, nil
}

// authorizedStream is authorized for as long as the caller wants.
func authorizedStream(ctx context.Context) (context.Context, context.CancelFunc, error) {
	token, ok := ctx.Value(tokenKey{}).(string)
	if !ok {
		return nil, nil, sdk.ErrNoCall
	}
	ctx, stop := context.WithCancel(metadata.AppendToOutgoingContext(ctx, handshake.TokenKey, token))
	return ctx, stop, nil
}

// blobReader reads a stream as a file.
type blobReader struct {
	in   grpc.ServerStreamingClient[hostv1.ReadResponse]
	left []byte
	stop context.CancelFunc
}

// Read implements io.Reader.
func (r *blobReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		part, err := r.in.Recv()
		if errors.Is(err, io.EOF) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, answer(err)
		}
		r.left = part.GetChunk()
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *blobReader) Close() error {
	r.stop()
	return nil
}
