// Package ingress takes providers' webhooks. A webhook is answered 200 only when
// its row has been committed; what a plugin cannot look at now is stored raw and
// looked at later, through the same inbox.
package ingress

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// Faults of this package.
var (
	ErrNotFound   = fault.New(fault.NotFound, "webhook.not_found", "There is no such webhook address.")
	ErrTooLarge   = fault.New(fault.Invalid, "webhook.too_large", "A webhook may have at most 3 MiB.")
	ErrUnverified = fault.New(fault.Unauthenticated, "webhook.unverified", "The signature does not match.")
	ErrMalformed  = fault.New(fault.Invalid, "webhook.malformed", "The body is not what the provider documents.")
	ErrLater      = fault.New(fault.Unavailable, "webhook.later", "The webhook cannot be taken now. Send it again shortly.").After(5 * time.Second)
)

// Handler answers webhooks.
type Handler struct {
	Pool      *tenant.Pool
	Directory *installation.Directory
	Registry  *pluginhost.Registry
	Inbox     *Inbox
	Metrics   *Metrics
	Log       *slog.Logger
	// Client tells the caller's address.
	Client func(*http.Request) string

	large atomic.Int64 // bytes of large bodies under way
	quota quota
}

// answer is what the caller gets: a plugin's response, or a fault.
type answer struct {
	response *pluginv1.HttpResponse
	result   string // for the counter
}

// Serve answers one webhook: at a plugin's provider-level address, or, when the
// path has a token, at an installation's own. An error is a fault; then nothing
// was written, and what was stored, if anything, does no harm when it comes again.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) error {
	plugin, token := r.PathValue("plugin"), r.PathValue("token")
	release, err := h.Registry.Known(plugin)
	if err != nil {
		return ErrNotFound
	}
	body, free, err := h.body(w, r)
	defer free()
	if err != nil {
		h.Metrics.count(plugin, resultOf(err))
		return err
	}
	req := wire(r, body, h.Client(r))
	var a answer
	if token == "" {
		a, err = h.shared(r.Context(), release, req)
	} else {
		a, err = h.direct(r.Context(), release, token, req)
	}
	if err != nil {
		h.Metrics.count(plugin, resultOf(err))
		return err
	}
	h.Metrics.count(plugin, a.result)
	write(w, a.response)
	return nil
}

func wire(r *http.Request, body []byte, client string) *pluginv1.HttpRequest {
	req := &pluginv1.HttpRequest{
		Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery, Body: body, RemoteAddr: client,
		ReceivedAt: timestamppb.New(time.Now()),
	}
	for name, values := range r.Header {
		if name == "Cookie" { // a browser's, never a provider's
			continue
		}
		for _, v := range values {
			req.Headers = append(req.Headers, &pluginv1.Header{Name: name, Value: v})
		}
	}
	return req
}

func write(w http.ResponseWriter, r *pluginv1.HttpResponse) {
	for _, h := range r.GetHeaders() {
		w.Header().Add(h.GetName(), h.GetValue())
	}
	status := int(r.GetStatus())
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = w.Write(r.GetBody())
}

// direct answers a webhook at an installation's own address.
func (h *Handler) direct(ctx context.Context, p host.Release, token string, req *pluginv1.HttpRequest) (answer, error) {
	target, err := h.Directory.ByToken(ctx, p.Name, token)
	if errors.Is(err, installation.ErrNotFound) {
		return answer{}, ErrNotFound
	}
	if err != nil {
		return answer{}, later(err)
	}
	live, err := h.Directory.Live(ctx, target)
	if errors.Is(err, installation.ErrNotFound) || errors.Is(err, tenant.ErrInactive) {
		return answer{}, ErrNotFound
	}
	if err != nil {
		return answer{}, later(err)
	}
	if live.State == installation.Disabled {
		return answer{}, ErrNotFound
	}
	d := &pluginv1.WebhookDelivery{Request: req}
	for _, k := range live.Keys {
		d.MatchedKeys = append(d.MatchedKeys, &pluginv1.RouteKey{Kind: k.Kind, Value: k.Value})
	}
	return h.deliver(ctx, p, live, d)
}

// deliver has the plugin handle one delivery and stores what came of it.
func (h *Handler) deliver(ctx context.Context, p host.Release, live *installation.Live, d *pluginv1.WebhookDelivery) (answer, error) {
	result, err := h.Registry.HandleWebhook(ctx, live, d)
	if err != nil {
		if d.GetRequest().GetMethod() != http.MethodPost {
			return answer{}, later(err) // a handshake cannot be answered later
		}
		h.Log.WarnContext(ctx, "webhook kept for later", "plugin", p.Name, "tenant", live.Tenant.ID, "error", err)
		if err := h.keepRaw(ctx, live, d, pluginhost.Crashed(err)); err != nil {
			return answer{}, err
		}
		return answer{spoolResponse(p), "spooled"}, nil
	}
	if f := result.GetFailure(); f != nil { // before the signature: it may not have come to that
		if !result.GetVerified() || hopeless(f) || d.GetRequest().GetMethod() != http.MethodPost {
			return answer{}, refused(f)
		}
		h.Log.InfoContext(ctx, "webhook kept for later", "plugin", p.Name, "tenant", live.Tenant.ID, "reason", pluginhost.CodeName(f))
		if err := h.keepRaw(ctx, live, d, false); err != nil {
			return answer{}, err
		}
		return answer{spoolResponse(p), "spooled"}, nil
	}
	if !result.GetVerified() {
		return answer{}, ErrUnverified
	}
	if d.GetRequest().GetMethod() != http.MethodPost {
		return answer{result.GetResponse(), "ok"}, nil
	}
	result.Events = ours(ctx, h.Metrics, h.Log, live, d, result.GetEvents())
	if err := h.keep(ctx, live, d, result); err != nil {
		return answer{}, err
	}
	return answer{result.GetResponse(), "ok"}, nil
}

// ours drops events that name an account the webhook was not led here by: a
// plugin cannot hand one tenant's events to another.
func ours(ctx context.Context, m *Metrics, log *slog.Logger, live *installation.Live, d *pluginv1.WebhookDelivery, events []*pluginv1.Event) []*pluginv1.Event {
	matched := func(k *pluginv1.RouteKey) bool {
		return slices.ContainsFunc(d.GetMatchedKeys(), func(m *pluginv1.RouteKey) bool { return proto.Equal(k, m) })
	}
	return slices.DeleteFunc(events, func(e *pluginv1.Event) bool {
		i := slices.IndexFunc(e.GetRouteKeys(), func(k *pluginv1.RouteKey) bool { return !matched(k) })
		if i < 0 {
			return false
		}
		m.count(live.Plugin, "foreign_key")
		log.WarnContext(ctx, "event of another account dropped", "plugin", live.Plugin, "tenant", live.Tenant.ID,
			"installation", live.ID, "kind", e.GetRouteKeys()[i].GetKind())
		return true
	})
}

// keep stores a delivery with its result.
func (h *Handler) keep(ctx context.Context, live *installation.Live, d *pluginv1.WebhookDelivery, result *pluginv1.WebhookResult) error {
	r, err := rowOf(live, d)
	if err != nil {
		return err
	}
	if r.state = stateReady; len(result.GetEvents()) == 0 {
		r.state = stateDone
	}
	if r.result, err = proto.Marshal(result); err != nil {
		return err
	}
	return h.store(ctx, live, r, len(result.GetEvents()))
}

// keepRaw stores a delivery that the plugin could not look at, within what the
// agency may have waiting. crashed says that the plugin's process ended with it.
func (h *Handler) keepRaw(ctx context.Context, live *installation.Live, d *pluginv1.WebhookDelivery, crashed bool) error {
	r, err := rowOf(live, d)
	if err != nil {
		return err
	}
	if r.state = stateRaw; crashed {
		r.crashes = 1
	}
	if err := h.quota.admit(ctx, live.Tenant.ID.String(), tenantSpoolMax, len(r.delivery), func(ctx context.Context) (int64, error) {
		return waitingBytes(ctx, h.Pool, live.Tenant.ID)
	}); err != nil {
		return err
	}
	return h.store(ctx, live, r, 0)
}

func rowOf(live *installation.Live, d *pluginv1.WebhookDelivery) (row, error) {
	r := row{
		tenant: live.Tenant.ID.UUID, id: uuid.Must(uuid.NewV7()), installation: live.ID.UUID,
		receivedAt: d.GetRequest().GetReceivedAt().AsTime(), plugin: live.Plugin,
	}
	var err error
	r.delivery, err = proto.Marshal(d)
	return r, err
}

func (h *Handler) store(ctx context.Context, live *installation.Live, r row, events int) error {
	if err := h.Inbox.store(ctx, live.Tenant.ID, r); err != nil {
		return err
	}
	h.Metrics.received(live.Tenant.ID.UUID, live.Plugin, events)
	return nil
}

func spoolResponse(p host.Release) *pluginv1.HttpResponse {
	s := p.Manifest.Webhook.SpoolResponse
	r := &pluginv1.HttpResponse{Status: uint32(s.Status), Body: []byte(s.Body)}
	if s.ContentType != "" {
		r.Headers = []*pluginv1.Header{{Name: "Content-Type", Value: s.ContentType}}
	}
	return r
}

func refused(f *pluginv1.Failure) error {
	if f.GetCode() == pluginv1.FailureCode_FAILURE_CODE_MALFORMED || f.GetCode() == pluginv1.FailureCode_FAILURE_CODE_INVALID_REQUEST {
		return ErrMalformed
	}
	return ErrLater.With(errors.New(f.GetMessage()))
}

// later is what a caller gets when Strato itself cannot take the webhook.
func later(err error) error {
	if fault.KindOf(err) == fault.Unavailable {
		return ErrLater.With(err)
	}
	return err
}

func resultOf(err error) string {
	if f := fault.Of(err); f != nil {
		_, name, _ := strings.Cut(f.Code, ".")
		return name
	}
	return "error"
}
