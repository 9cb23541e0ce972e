package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/httpx"
	"github.com/stratohub/strato/sdk/internal/redact"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/settings"
	"github.com/stratohub/strato/sdk/trace"
)

// server is the process: what all services share.
type server[T any] struct {
	pluginv1.UnimplementedProviderServiceServer

	plugin    Plugin[T]
	manifest  *settings.Manifest
	schema    *settings.Schema
	log       *slog.Logger
	level     *slog.LevelVar
	secrets   *redact.Set
	instances *instances[T]
	metrics   *Metrics
	debugged  bool // hosts come and go
	inFlight  atomic.Int64

	// dial reaches the host's services; nil where there is no broker.
	dial func(id uint32) (*grpc.ClientConn, error)
	host io.Closer // the connection; nil without one

	starting sync.Mutex
	env      atomic.Pointer[Env] // nil before Start
	sweeping chan struct{}       // closed to end the sweeper; nil before Start
	sweeper  sync.WaitGroup
}

func newServer[T any](p Plugin[T], m *settings.Manifest, stderr io.Writer) (*server[T], error) {
	schema, err := m.Schema()
	if err != nil {
		return nil, err
	}
	s := &server[T]{plugin: p, manifest: m, schema: schema, level: &slog.LevelVar{}, secrets: redact.NewSet(maskSecrets)}
	s.log = newLog(stderr, s.level, s.secrets)
	s.metrics = newMetrics(s.log)
	s.instances = newInstances(func(ctx context.Context, i sdk.Installation) (T, error) {
		env := *s.env.Load()
		env.Log = s.log.With("installation", i.ID)
		return p.New(ctx, i, env)
	}, s.log)
	return s, nil
}

// start makes the environment. It may be called once.
func (s *server[T]) start(ctx context.Context, r *pluginv1.StartRequest) error {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.env.Load() != nil && !s.debugged {
		return status.Error(codes.FailedPrecondition, "the plugin was started before")
	}
	operator := maps.Clone(r.GetOperatorSettings())
	if operator == nil {
		operator = map[string]string{}
	}
	s.level.Set(levelOf(r.GetLogLevel()))
	hidden := maps.Clone(operator)
	delete(hidden, "base_url") // an address, wanted in the log
	s.secrets.Add("", 1, hidden)
	client, err := httpx.New(httpx.Config{
		Hosts: s.manifest.Egress, BaseURL: operator["base_url"], UserAgent: "Strato-" + s.manifest.ID + "/" + s.manifest.Version,
	})
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	services, err := s.services(r)
	if err != nil {
		client.Close()
		return status.Error(codes.Unavailable, "the host's services cannot be reached: "+err.Error())
	}
	env := &Env{
		Operator: operator, Log: s.log, Metrics: s.metrics, HTTP: client, HostVersion: r.GetHostVersion(), NodeID: r.GetNodeId(), Host: services,
	}
	if s.plugin.Start != nil {
		if err := s.plugin.Start(ctx, *env); err != nil {
			client.Close()
			return status.Error(codes.FailedPrecondition, s.secrets.String(err.Error()))
		}
	}
	every := s.instances.configure(r.GetInstanceIdleTtl().AsDuration(), int(min(r.GetMaxInstances(), 1<<20))) / 4
	if old := s.env.Swap(env); old != nil {
		s.restarted(old)
	}
	s.sweeping = make(chan struct{})
	s.sweeper.Go(func() { s.sweep(s.sweeping, every) })
	return nil
}

// restarted lets go of what the host before had started.
func (s *server[T]) restarted(old *Env) {
	close(s.sweeping)
	s.sweeper.Wait()
	s.instances.clear()
	old.HTTP.Close()
}

// sweep drops idle instances until stop is closed.
func (s *server[T]) sweep(stop <-chan struct{}, every time.Duration) {
	tick := time.NewTicker(max(every, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.instances.sweep()
		case <-stop:
			return
		}
	}
}

// close ends background work and closes all instances, or gives up with ctx.
func (s *server[T]) close(ctx context.Context) {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.sweeping != nil {
		close(s.sweeping)
		s.sweeper.Wait()
		s.sweeping = nil
	}
	s.instances.close(ctx)
	if env := s.env.Load(); env != nil {
		env.HTTP.Close()
	}
	if s.host != nil {
		_ = s.host.Close()
	}
}

// instance gives the instance for a call. The error is a failure or ctx's.
func (s *server[T]) instance(ctx context.Context, p *pluginv1.Installation) (T, func(), error) {
	s.secrets.Add(p.GetInstallationId(), p.GetRevision(), p.GetSecrets())
	return s.instances.acquire(ctx, wire.ToInstallation(p))
}

// private makes an instance for one call alone, for settings that are not in
// force: in the cache it would serve the calls of the revision that is.
func (s *server[T]) private(ctx context.Context, p *pluginv1.Installation) (T, func(), error) {
	s.secrets.Add("private "+p.GetInstallationId(), p.GetRevision(), p.GetSecrets())
	env := *s.env.Load()
	env.Log = s.log.With("installation", p.GetInstallationId())
	value, err := s.plugin.New(ctx, wire.ToInstallation(p), env)
	if err != nil {
		return value, nil, err
	}
	return value, func() {
		if c, ok := any(value).(sdk.Closer); ok {
			if err := c.Close(); err != nil {
				env.Log.Warn("an instance did not close well", "error", err)
			}
		}
	}, nil
}

// logFor names the installation of a call. The call is named too, for lines
// that are not logged with its context.
func (s *server[T]) logFor(ctx context.Context, p *pluginv1.Installation) *slog.Logger {
	log := s.log.With("installation", p.GetInstallationId())
	if c := trace.From(ctx); c.Valid() {
		log = log.With("trace", c.TraceID(), "call", c.CallID())
	}
	return log
}

// traced notes which call of the host a call is.
func traced(ctx context.Context) context.Context {
	for _, header := range metadata.ValueFromIncomingContext(ctx, trace.Header) {
		if c, ok := trace.Parse(header); ok {
			return trace.With(ctx, c)
		}
	}
	return ctx
}

// unary counts calls, refuses those before Start, and turns panics into errors.
func (s *server[T]) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	ctx = traced(ctx)
	defer s.recovered(ctx, info.FullMethod, &err)
	if err := s.ready(info.FullMethod, r); err != nil {
		return nil, err
	}
	return h(withToken(ctx, r), r)
}

// stream does the same for streams. go-plugin's own services are streams too,
// and last as long as the process.
func (s *server[T]) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
	if info.FullMethod != pluginv1.ChannelService_FetchMedia_FullMethodName &&
		info.FullMethod != pluginv1.VoiceService_Synthesize_FullMethodName {
		return h(srv, ss)
	}
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	ctx := traced(ss.Context())
	defer s.recovered(ctx, info.FullMethod, &err)
	if s.env.Load() == nil {
		return status.Error(codes.FailedPrecondition, "the plugin was not started")
	}
	return h(srv, &tokenStream{ServerStream: ss, ctx: ctx})
}

// ready refuses tenants' calls before Start.
func (s *server[T]) ready(method string, r any) error {
	_, ofTenant := r.(interface {
		GetInstallation() *pluginv1.Installation
	})
	if s.env.Load() == nil && (ofTenant || method == pluginv1.WebhookService_RouteWebhooks_FullMethodName) {
		return status.Error(codes.FailedPrecondition, "the plugin was not started")
	}
	return nil
}

// recovered is deferred around the author's code.
func (s *server[T]) recovered(ctx context.Context, what string, err *error) {
	if r := recover(); r != nil {
		s.logPanic(ctx, what, r)
		*err = status.Error(codes.Internal, "the plugin crashed in this call; its log has the stack")
	}
}

// logPanic is called while the panicking stack is still there.
func (s *server[T]) logPanic(ctx context.Context, what string, panicked any) {
	s.log.ErrorContext(ctx, "the plugin crashed in a call", "method", what, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
}
