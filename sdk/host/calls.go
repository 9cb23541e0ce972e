package host

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/trace"
)

// protocolPrefix starts the full names of the protocol's methods.
const protocolPrefix = "/strato.plugin.v1."

// Call is a finished call of a plugin.
type Call struct {
	Plugin, Version string
	// Method is the bare name, such as "Send".
	Method string
	// Tenant and Installation are empty for calls of no tenant.
	Tenant, Installation string
	Code                 codes.Code
	Duration             time.Duration
	// Trace is the call's place in a trace, as the plugin heard of it.
	Trace trace.Context
	// Failures are what the answer tells of refusals; a batch may have several.
	Failures []CallFailure
}

// CallFailure is a refusal in an answer, by words fit for metric labels.
type CallFailure struct {
	// Code is the failure's, such as "rate_limited"; Blame is "provider", "tenant",
	// "plugin" or, where nobody is named, "unknown".
	Code, Blame string
}

// failuresIn lists the failures that an answer holds.
func failuresIn(reply any) []CallFailure {
	var out []CallFailure
	note := func(f *pluginv1.Failure) {
		if f != nil {
			blame := [...]string{"unknown", "provider", "tenant", "plugin"}[max(0, min(int(f.GetBlame()), 3))]
			out = append(out, CallFailure{Code: failure.Code(f.GetCode()).String(), Blame: blame})
		}
	}
	switch r := reply.(type) {
	case *pluginv1.HandleWebhooksResponse:
		for _, one := range r.GetResults() {
			note(one.GetFailure())
		}
	case *pluginv1.RouteWebhooksResponse:
		for _, one := range r.GetRoutings() {
			note(one.GetFailure())
		}
	case interface{ GetFailure() *pluginv1.Failure }:
		note(r.GetFailure())
	}
	return out
}

// CallInFlight is a call that was under way when its process ended.
type CallInFlight struct {
	Method, Tenant, Installation string
	Running                      time.Duration
}

// deadlines by full method: what a call gets at most.
func deadlines() map[string]time.Duration {
	const s = time.Second
	return map[string]time.Duration{
		pluginv1.ProviderService_Describe_FullMethodName:           2 * s,
		pluginv1.ProviderService_Start_FullMethodName:              5 * s,
		pluginv1.ProviderService_Health_FullMethodName:             2 * s,
		pluginv1.ProviderService_ForgetInstallation_FullMethodName: 2 * s,
		pluginv1.ProviderService_Drain_FullMethodName:              2 * s,
		pluginv1.ProviderService_CollectMetrics_FullMethodName:     s,
		pluginv1.ProviderService_ValidateSettings_FullMethodName:   5 * s,
		pluginv1.ProviderService_MigrateSettings_FullMethodName:    5 * s,
		pluginv1.ProviderService_ListOptions_FullMethodName:        5 * s,
		pluginv1.ProviderService_CheckInstallation_FullMethodName:  20 * s,
		pluginv1.WebhookService_RouteWebhooks_FullMethodName:       s,
		pluginv1.WebhookService_HandleWebhooks_FullMethodName:      2500 * time.Millisecond,
		pluginv1.ChannelService_Send_FullMethodName:                20 * s,
		pluginv1.ChannelService_Signal_FullMethodName:              20 * s,
		pluginv1.ChannelService_FetchMedia_FullMethodName:          120 * s,
		pluginv1.TemplateService_ListTemplates_FullMethodName:      30 * s,
		pluginv1.TemplateService_SubmitTemplate_FullMethodName:     30 * s,
		pluginv1.TemplateService_DeleteTemplate_FullMethodName:     30 * s,
		pluginv1.VoiceService_Synthesize_FullMethodName:            120 * s,
		pluginv1.CallService_PlaceCall_FullMethodName:              20 * s,
		pluginv1.CallService_EndCall_FullMethodName:                20 * s,
		pluginv1.CallService_GetCall_FullMethodName:                20 * s,
		pluginv1.LeadSourceService_PullLeads_FullMethodName:        30 * s,
	}
}

// errLate ends a stream whose first audio did not come in time.
var errLate = status.Error(codes.DeadlineExceeded, "the plugin gave no audio in time")

// calls watches the calls of one process: deadlines, secrets, what is in flight.
type calls struct {
	process *process

	mu      sync.Mutex
	next    uint64
	running map[uint64]*call
	lost    []lostCall // failed because the connection did, the last ones
}

// lostCall is a call that failed because the connection did.
type lostCall struct {
	call CallInFlight
	at   time.Time
}

// Bounds of the list of lost calls.
const (
	maxLost = 128
	lostFor = 2 * time.Second
)

type call struct {
	method, tenant, installation string
	stream                       bool
	began                        time.Time
	trace                        trace.Context
}

func newCalls(p *process) *calls { return &calls{process: p, running: map[uint64]*call{}} }

// begin counts a call. The function ends it with its outcome.
func (c *calls) begin(at trace.Context, method string, request any, stream bool) func([]CallFailure, error) {
	one := &call{method: method[strings.LastIndexByte(method, '/')+1:], stream: stream, began: time.Now(), trace: at}
	if r, ok := request.(interface {
		GetInstallation() *pluginv1.Installation
	}); ok {
		i := r.GetInstallation()
		one.tenant, one.installation = i.GetTenantId(), i.GetInstallationId()
		c.process.supervisor.secrets.Add(i.GetInstallationId(), i.GetRevision(), i.GetSecrets())
	}
	c.mu.Lock()
	id := c.next
	c.next++
	c.running[id] = one
	c.mu.Unlock()
	return func(failures []CallFailure, err error) {
		c.mu.Lock()
		delete(c.running, id)
		if status.Code(err) == codes.Unavailable {
			for _, l := range one.describe(nil) {
				c.lost = append(c.lost[max(len(c.lost)-maxLost+1, 0):], lostCall{l, time.Now()})
			}
		}
		c.mu.Unlock()
		c.log(one, err)
		if tell := c.process.host.config.OnCall; tell != nil {
			tell(Call{
				Plugin: c.process.disk.Name, Version: c.process.disk.Manifest.Version, Method: one.method,
				Tenant: one.tenant, Installation: one.installation, Code: status.Code(err), Duration: time.Since(one.began),
				Trace: one.trace, Failures: failures,
			})
		}
	}
}

// log tells of a call: of those that went well only who looks closely hears.
func (c *calls) log(one *call, err error) {
	level := slog.LevelDebug
	switch status.Code(err) {
	case codes.OK, codes.Canceled, codes.Unimplemented:
	default:
		level = slog.LevelInfo
	}
	log := c.process.host.log
	if !log.Enabled(context.Background(), level) {
		return
	}
	attrs := append(one.trace.Attrs(), slog.String("plugin", c.process.disk.Name), slog.String("version", c.process.disk.Manifest.Version),
		slog.Int("pid", c.process.child.pid), slog.String("method", one.method), slog.String("installation", one.installation),
		slog.String("code", status.Code(err).String()), slog.Duration("took", time.Since(one.began)))
	log.LogAttrs(context.Background(), level, "plugin called", attrs...)
}

// traced gives the call a number of its own, in the trace of the caller if there
// is one, and tells the plugin.
func traced(ctx context.Context) (context.Context, trace.Context) {
	at := trace.From(ctx).Next()
	return metadata.AppendToOutgoingContext(ctx, trace.Header, at.String()), at
}

func (c *calls) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running)
}

// streaming reports whether a stream is under way.
func (c *calls) streaming() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.running {
		if one.stream {
			return true
		}
	}
	return false
}

// atEnd lists the calls that were under way when the process ended, the longest
// first, without health checks. Callers may have learned of the end before we
// did, so calls that just failed for it count.
func (c *calls) atEnd() []CallInFlight {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []CallInFlight
	for _, l := range c.lost {
		if time.Since(l.at) < lostFor {
			out = append(out, l.call)
		}
	}
	for _, one := range c.running {
		out = one.describe(out)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Running > out[j].Running })
	return out
}

// describe appends the call to a list, unless it is the host's own.
func (one *call) describe(to []CallInFlight) []CallInFlight {
	if one.method == "Health" || one.method == "Drain" || one.method == "CollectMetrics" {
		return to
	}
	return append(to, CallInFlight{Method: one.method, Tenant: one.tenant, Installation: one.installation, Running: time.Since(one.began)})
}

// bounded gives ctx the method's deadline, unless it has a sooner one.
func (c *calls) bounded(ctx context.Context, method string) (context.Context, context.CancelFunc) {
	if d, ok := c.process.host.deadlines[method]; ok && !c.process.attached {
		return context.WithTimeout(ctx, d)
	}
	return context.WithCancel(ctx)
}

func (c *calls) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if !strings.HasPrefix(method, protocolPrefix) {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	ctx, cancel := c.bounded(ctx, method)
	defer cancel()
	ctx, at := traced(ctx)
	end := c.begin(at, method, req, false)
	err := asLost(ctx.Done(), invoke(ctx, method, c.process.granted(req), reply, cc, opts...))
	end(failuresIn(reply), err)
	return err
}

// asLost makes Unavailable of Canceled when it was not the caller who
// cancelled. A process that ends is noticed in two ways, by its connection and
// by its exit, on which the connection is closed from here; gRPC calls the
// second Canceled, and the caller must not hear of the difference.
func asLost(done <-chan struct{}, err error) error {
	if status.Code(err) != codes.Canceled {
		return err
	}
	select {
	case <-done:
		return err
	default:
		return status.Error(codes.Unavailable, "the plugin's process ended during the call")
	}
}

func (c *calls) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if !strings.HasPrefix(method, protocolPrefix) {
		return streamer(ctx, desc, cc, method, opts...)
	}
	done := ctx.Done()
	ctx, cancel := c.bounded(ctx, method)
	ctx, at := traced(ctx)
	s, err := streamer(ctx, desc, cc, method, opts...)
	if err != nil {
		cancel()
		c.begin(at, method, nil, true)(nil, err)
		return nil, err
	}
	w := &watchedStream{ClientStream: s, calls: c, method: method, at: at, cancel: cancel, done: done}
	// However the stream ends, its context ends with it.
	context.AfterFunc(s.Context(), func() { w.finish(status.FromContextError(context.Cause(s.Context())).Err()) })
	w.watchFirst()
	return w, nil
}

// watchFirst ends a stream of speech whose first audio does not come in time:
// someone waits to hear it.
func (w *watchedStream) watchFirst() {
	if w.method != pluginv1.VoiceService_Synthesize_FullMethodName || w.calls.process.attached {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first = time.AfterFunc(w.calls.process.host.timing.FirstAudio, func() {
		w.late.Store(true)
		w.finish(nil)
	})
}

// watchedStream ends the call with the stream.
type watchedStream struct {
	grpc.ClientStream
	calls  *calls
	method string
	at     trace.Context
	cancel context.CancelFunc
	done   <-chan struct{} // closed when the caller wants no more

	late atomic.Bool // the first audio did not come in time

	mu    sync.Mutex
	first *time.Timer // nil unless the first audio is awaited
	begun func([]CallFailure, error)
	told  []CallFailure // by the stream's messages
	over  bool
}

// SendMsg begins the call: only the request tells whose it is.
func (w *watchedStream) SendMsg(m any) error {
	w.mu.Lock()
	if w.begun == nil && !w.over {
		w.begun = w.calls.begin(w.at, w.method, m, true)
	}
	w.mu.Unlock()
	return w.ClientStream.SendMsg(w.calls.process.granted(m))
}

// RecvMsg ends the call with the last message.
func (w *watchedStream) RecvMsg(m any) error {
	err := asLost(w.done, w.ClientStream.RecvMsg(m))
	if err != nil && w.late.Load() {
		err = errLate
	}
	if told := failuresIn(m); err == nil && told != nil {
		w.mu.Lock()
		w.told = append(w.told, told...)
		w.mu.Unlock()
	}
	if p, ok := m.(*pluginv1.SynthesizeResponse); ok && err == nil && p.GetHead() == nil {
		w.heard()
	}
	if err != nil {
		w.finish(err)
	}
	return err
}

// heard says that audio came.
func (w *watchedStream) heard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first != nil {
		w.first.Stop()
	}
}

func (w *watchedStream) finish(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.over = true
	if w.first != nil {
		w.first.Stop()
	}
	w.cancel()
	if w.late.Load() {
		err = errLate
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if w.begun != nil {
		w.begun(w.told, err)
	}
}
