package host

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/stratohub/strato/sdk/internal/handshake"
	"github.com/stratohub/strato/sdk/pluginv1"
)

const (
	// serviceDeadline is what a plugin's request to the host may take; streams
	// of files get more.
	serviceDeadline = 10 * time.Second
	streamDeadline  = 2 * time.Minute
	// serviceStreams is how many requests of one process are served at once.
	serviceStreams = 128
)

// services is the server that one process asks.
type services struct {
	process *process
	grants  *grants
	names   []string // what is offered, as the plugin hears of it

	mu     sync.Mutex
	server *grpc.Server
	ended  bool
}

// newServices prepares what a process may ask for.
func (p *process) newServices() *services {
	s := &services{process: p, grants: newGrants()}
	s.names = s.register(grpc.NewServer())
	return s
}

// offer begins to serve the host's services to a process that is connected, and
// returns where the broker has them.
func (p *process) offer(broker interface {
	NextId() uint32
	AcceptAndServe(uint32, func([]grpc.ServerOption) *grpc.Server)
}) uint32 {
	p.services = p.newServices()
	id := broker.NextId()
	p.host.work.Go(func() { broker.AcceptAndServe(id, p.services.open) })
	return id
}

// offerSocket does the same on a socket of its own that only this user reaches,
// and returns its path.
func (p *process) offerSocket() (string, error) {
	dir, err := newSocketDir(p.host.config.RuntimeDir, User{})
	if err != nil {
		return "", err
	}
	l, err := net.Listen("unix", filepath.Join(dir, "services")) //nolint:noctx // it takes no time
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", err
	}
	p.sockets, p.services = dir, p.newServices()
	server := p.services.open(nil)
	p.host.work.Go(func() {
		_ = server.Serve(l) // it ends with the services
	})
	return l.Addr().String(), nil
}

// open makes the server.
func (s *services) open(o []grpc.ServerOption) *grpc.Server {
	server := grpc.NewServer(append(o,
		grpc.MaxRecvMsgSize(handshake.MaxMessage), grpc.MaxSendMsgSize(handshake.MaxMessage),
		grpc.MaxConcurrentStreams(serviceStreams),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream))...)
	s.register(server)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		server.Stop()
	}
	s.server = server
	return server
}

// register adds the services and tells their names.
func (s *services) register(server *grpc.Server) []string {
	s.process.host.config.Services(server)
	var names []string
	for service := range server.GetServiceInfo() {
		if name := handshake.Feature(service); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// stop ends the requests under way. The process is gone.
func (s *services) stop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	server := s.server
	s.ended = true
	s.mu.Unlock()
	if server != nil {
		server.Stop()
	}
}

// admit finds out for whom a request is.
func (s *services) admit(ctx context.Context) (context.Context, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, token := range md.Get(handshake.TokenKey) {
		if g, ok := s.grants.verify(token, time.Now()); ok {
			return context.WithValue(ctx, callerKey{}, Caller{
				Plugin: s.process.disk.Name, Version: s.process.disk.Manifest.Version, Tenant: g.Tenant, Installation: g.Installation,
			}), nil
		}
	}
	return nil, status.Error(codes.Unauthenticated, "the request shows no token of a call of the last five minutes")
}

func (s *services) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (out any, err error) {
	defer s.recovered(info.FullMethod, &err)
	if ctx, err = s.admit(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, serviceDeadline)
	defer cancel()
	return h(ctx, r)
}

func (s *services) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
	defer s.recovered(info.FullMethod, &err)
	ctx, err := s.admit(ss.Context())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, streamDeadline)
	defer cancel()
	return h(srv, &servedStream{ss, ctx})
}

// recovered keeps the core alive whatever a plugin asks.
func (s *services) recovered(method string, err *error) {
	if r := recover(); r != nil {
		s.process.host.log.Error("a host service crashed", "plugin", s.process.disk.Name, "method", method,
			"panic", s.process.supervisor.secrets.String(fmt.Sprint(r)), "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "the host could not do it")
	}
}

// servedStream is a stream whose context knows the caller.
type servedStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // how gRPC hands a context to stream handlers
}

// Context implements grpc.ServerStream.
func (s *servedStream) Context() context.Context { return s.ctx }

// granted returns the request with a token for this call in its installation.
// What the caller passed stays as it is: it may be in use elsewhere.
func (p *process) granted(request any) any {
	m, ok := request.(proto.Message)
	if !ok || p.services == nil {
		return request
	}
	from := m.ProtoReflect()
	field := from.Descriptor().Fields().ByName("installation")
	if field == nil || !from.Has(field) {
		return request
	}
	to := shallow(from)
	one := shallow(from.Get(field).Message())
	if i, ok := one.Interface().(*pluginv1.Installation); ok {
		i.HostToken = p.services.grants.issue(i.GetTenantId(), i.GetInstallationId(), time.Now())
		to.Set(field, protoreflect.ValueOfMessage(one))
	}
	return to.Interface()
}

// shallow copies a message, which shares its parts with the copy.
func shallow(m protoreflect.Message) protoreflect.Message {
	to := m.New()
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		to.Set(f, v)
		return true
	})
	return to
}
