// Package pluginhost is the core's side of plugins: which there are, calling
// them on behalf of an installation, and switching an installation's settings
// only when the provider accepted them. Processes are supervised by sdk/host.
package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stratohub/strato/core/internal/admission"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/settings"
	"github.com/stratohub/strato/sdk/trace"
)

// Faults of this package.
var (
	ErrNoPlugin    = fault.New(fault.NotFound, "plugin.not_found", "There is no such plugin.")
	ErrUnavailable = fault.New(fault.Unavailable, "plugin.unavailable", "The plugin is not available at the moment. Try again shortly.")
	ErrBusy        = fault.New(fault.Throttled, "plugin.busy", "The plugin has too much to do at the moment. Try again shortly.")
)

const (
	// Batches keep well below the 8 MiB of a message.
	batchItems = 64
	batchBytes = 4 << 20
	// laneCalls is how many batches of one installation are at the plugin at
	// once; two keep it busy while the answer to one travels.
	laneCalls = 2
	// laneWaiting bounds what waits behind them.
	laneWaiting = 512
	// webhookDeadline is what a webhook may take at the plugin before it is kept
	// for later: providers stop waiting soon after.
	webhookDeadline = 2500 * time.Millisecond
	// longestPause bounds what a provider can ask for.
	longestPause = time.Hour
)

// Registry calls plugins. It is safe for concurrent use. Close it before the host.
type Registry struct {
	host     *host.Host
	desk     *admission.Desk
	handling *lanes[installation.Target, *handling, *pluginv1.WebhookResult]
	routing  *lanes[routeKey, *pluginv1.WebhookRoute, *pluginv1.WebhookRouting]
	// suspecting lets one request through at a time that a process died with.
	suspecting sync.Mutex

	mu      sync.Mutex
	schemas map[string]*settings.Schema // by the manifest's digest
}

// routeKey is which process of a plugin says whose webhooks are.
type routeKey struct {
	plugin string
	// brave is a tenant whom a canary serves; empty for the plugin's own process.
	brave string
}

// handling is a delivery on its way to the plugin.
type handling struct {
	live     *installation.Live
	delivery *pluginv1.WebhookDelivery
	trace    trace.Context
}

// New returns a registry over a host, which stays the caller's, whose calls the
// desk admits.
func New(h *host.Host, d *admission.Desk) *Registry {
	r := &Registry{host: h, desk: d, schemas: map[string]*settings.Schema{}}
	r.handling = newLanes(r.handleBatch, func(d *handling) int { return len(d.delivery.GetRequest().GetBody()) + 512 })
	r.routing = newLanes(r.routeBatch, func(w *pluginv1.WebhookRoute) int { return len(w.GetRequest().GetBody()) + 512 })
	return r
}

// Close waits for batches under way.
func (r *Registry) Close() {
	r.handling.close()
	r.routing.close()
}

// Plugins lists what there is on disk, usable or not.
func (r *Registry) Plugins() []host.Release { return r.host.Catalogue() }

// Plugin returns a usable plugin.
func (r *Registry) Plugin(name string) (host.Release, error) {
	p, err := r.Known(name)
	if err == nil && p.Problem != "" {
		return host.Release{}, ErrNoPlugin
	}
	return p, err
}

// Known returns a plugin of which at least the manifest can be read: what comes
// for it is kept even while it cannot be used.
func (r *Registry) Known(name string) (host.Release, error) {
	for _, p := range r.host.Catalogue() {
		if p.Name == name && p.Manifest != nil {
			return p, nil
		}
	}
	return host.Release{}, ErrNoPlugin
}

// ContentKinds are the kinds of content that a plugin sends; none when it is not
// known.
func (r *Registry) ContentKinds(plugin string) []string {
	p, err := r.Known(plugin)
	if err != nil {
		return nil
	}
	return p.Manifest.ContentKinds
}

// Status tells how a plugin's process is.
func (r *Registry) Status(name string) (host.Status, error) { return r.host.Status(name) }

// Schema returns the compiled settings schema of a plugin.
func (r *Registry) Schema(p host.Release) (*settings.Schema, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.schemas[p.ManifestSHA256]; s != nil {
		return s, nil
	}
	s, err := p.Manifest.Schema()
	if err != nil {
		return nil, fmt.Errorf("settings schema of plugin %s: %w", p.Name, err)
	}
	r.schemas[p.ManifestSHA256] = s
	return s, nil
}

// Secrets names a plugin's secret settings, as JSON pointers.
func (r *Registry) Secrets(plugin string) ([]string, error) {
	p, err := r.Known(plugin)
	if err != nil {
		return nil, err
	}
	s, err := r.Schema(p)
	if err != nil {
		return nil, err
	}
	return s.Secrets(), nil
}

// call runs f with the clients of a plugin, once it is admitted. An error of the
// machinery becomes ErrUnavailable, so that callers keep the work; a call that
// was not admitted fails with ErrBusy.
func (r *Registry) call(ctx context.Context, c *admission.Call, f func(*host.Clients) error) error {
	leave, err := r.desk.Enter(ctx, c)
	if err != nil {
		busy := ErrBusy.With(err)
		if refused, ok := errors.AsType[*admission.Refused](err); ok {
			busy = busy.After(refused.After)
		}
		return busy
	}
	defer leave()
	clients, release, err := r.host.AcquireShard(ctx, c.Release.Name, c.Tenant, c.Shard)
	if err != nil {
		return ErrUnavailable.With(err)
	}
	defer release()
	if err := f(clients); err != nil {
		return machinery(ctx, c.Release.Name, clients, err)
	}
	return nil
}

// asked is a call of an installation.
func (r *Registry) asked(l *installation.Live, class admission.Class, method string) *admission.Call {
	c := &admission.Call{
		Release: r.release(l.Plugin), Tenant: l.Tenant.ID.String(), Installation: l.ID.String(), Class: class, Method: method,
	}
	if l.Isolation == installation.Dedicated {
		c.Shard = c.Installation
	}
	return c
}

// release is what is known of a plugin; nothing but its name if it is not there.
func (r *Registry) release(name string) host.Release {
	p, err := r.Known(name)
	if err != nil {
		return host.Release{Name: name}
	}
	return p
}

// CallError says that a call left for the plugin and no answer came back:
// whether the plugin acted on it is not known.
type CallError struct {
	Plugin string     // empty where it is not known any more
	Code   codes.Code // of gRPC: Unavailable when the process ended in the call
	Exit   host.Cause // why the process ended; empty if it did not, or that is not known
	cause  error
}

// Error implements error.
func (e *CallError) Error() string {
	if e.Plugin == "" {
		return fmt.Sprintf("call to a plugin ended with %s: %v", e.Code, e.cause)
	}
	return fmt.Sprintf("call to plugin %s ended with %s: %v", e.Plugin, e.Code, e.cause)
}

// Unwrap returns what ended the call.
func (e *CallError) Unwrap() error { return e.cause }

// exitDeadline is what may pass between the end of a call and knowing that its
// process ended.
const exitDeadline = time.Second

func machinery(ctx context.Context, plugin string, c *host.Clients, err error) error {
	e := &CallError{Plugin: plugin, Code: status.Code(err), cause: err}
	if e.Code == codes.Unavailable {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exitDeadline)
		defer cancel()
		e.Exit = c.Ended(ctx)
	}
	return ErrUnavailable.With(e)
}

// NeverLeft reports whether err, from a call, says that the plugin was not even
// asked.
func NeverLeft(err error) bool {
	_, left := errors.AsType[*CallError](err)
	return err != nil && !left
}

// Crashed reports whether err, from a call, says that the plugin's process ended
// while it had the call, perhaps because of it. A process that somebody killed is
// no sign of that.
func Crashed(err error) bool {
	call, left := errors.AsType[*CallError](err)
	return left && call.Code == codes.Unavailable && call.Exit != host.CauseSignal
}

// HandleWebhook has an installation's plugin verify and translate a webhook.
// Webhooks of one installation that wait together travel together. It fails
// with ErrUnavailable or ErrBusy when the plugin gave no answer in time.
func (r *Registry) HandleWebhook(ctx context.Context, l *installation.Live, d *pluginv1.WebhookDelivery) (*pluginv1.WebhookResult, error) {
	ctx, cancel := context.WithTimeout(ctx, webhookDeadline)
	defer cancel()
	key := installation.Target{Tenant: l.Tenant.ID, Installation: l.ID}
	return r.handling.submit(ctx, key, &handling{l, d, trace.From(ctx)})
}

// RouteWebhook has a plugin say whose a provider-level webhook is.
func (r *Registry) RouteWebhook(ctx context.Context, plugin string, w *pluginv1.WebhookRoute) (*pluginv1.WebhookRouting, error) {
	ctx, cancel := context.WithTimeout(ctx, webhookDeadline)
	defer cancel()
	return r.routing.submit(ctx, routeKey{plugin: plugin}, w)
}

func (r *Registry) handleBatch(_ installation.Target, items []*handling) ([]*pluginv1.WebhookResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), webhookDeadline)
	defer cancel()
	ctx = trace.With(ctx, items[0].trace) // the others' are in their own lines only
	// Settings may have changed between two of them: all go with the newest.
	live := items[0].live
	req := &pluginv1.HandleWebhooksRequest{}
	for _, i := range items {
		if i.live.Revision > live.Revision {
			live = i.live
		}
		req.Deliveries = append(req.Deliveries, i.delivery)
	}
	req.Installation = Wire(live)
	var resp *pluginv1.HandleWebhooksResponse
	err := r.call(ctx, r.asked(live, admission.Webhooks, "HandleWebhooks"), func(c *host.Clients) (err error) {
		resp, err = c.Webhook.HandleWebhooks(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(resp.GetResults()) != len(items) {
		return nil, ErrUnavailable.With(fmt.Errorf("plugin %s gave %d results for %d webhooks", live.Plugin, len(resp.GetResults()), len(items)))
	}
	return resp.GetResults(), nil
}

func (r *Registry) routeBatch(key routeKey, items []*pluginv1.WebhookRoute) ([]*pluginv1.WebhookRouting, error) {
	ctx, cancel := context.WithTimeout(context.Background(), webhookDeadline)
	defer cancel()
	var resp *pluginv1.RouteWebhooksResponse
	call := &admission.Call{Release: r.release(key.plugin), Tenant: key.brave, Class: admission.Webhooks, Method: "RouteWebhooks"}
	err := r.call(ctx, call, func(c *host.Clients) (err error) {
		resp, err = c.Webhook.RouteWebhooks(ctx, &pluginv1.RouteWebhooksRequest{Requests: items})
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(resp.GetRoutings()) != len(items) {
		return nil, ErrUnavailable.With(fmt.Errorf("plugin %s gave %d routings for %d webhooks", key.plugin, len(resp.GetRoutings()), len(items)))
	}
	return resp.GetRoutings(), nil
}

// Send has the plugin give one message to the provider, in one attempt. When the
// provider says that it takes no more for now, what falls under the same limit
// is kept back as long.
func (r *Registry) Send(ctx context.Context, l *installation.Live, req *pluginv1.SendRequest) (*pluginv1.SendResponse, error) {
	req.Installation = Wire(l)
	call := r.asked(l, admission.Sends, "Send")
	call.Content, call.From = kindOf(req.GetContent()), admission.Address{Kind: req.GetFrom().GetKind(), Value: req.GetFrom().GetValue()}
	if to := req.GetTo(); len(to) > 0 {
		call.Recipient = to[0].GetKind() + " " + to[0].GetValue()
	}
	var resp *pluginv1.SendResponse
	err := r.call(ctx, call, func(c *host.Clients) (err error) {
		resp, err = c.Channel.Send(ctx, req)
		return err
	})
	r.paused(call, resp.GetFailure())
	return resp, err
}

// Signals reports whether a plugin shows read marks and typing.
func (r *Registry) Signals(plugin string) bool { return r.has(plugin, settings.Signals) }

func (r *Registry) has(plugin string, c settings.Capability) bool {
	p, err := r.Known(plugin)
	return err == nil && p.Manifest.Has(c)
}

// Signal has the plugin show a person a read mark or typing, in one attempt.
func (r *Registry) Signal(ctx context.Context, l *installation.Live, req *pluginv1.SignalRequest) (*pluginv1.SignalResponse, error) {
	req.Installation = Wire(l)
	var resp *pluginv1.SignalResponse
	err := r.call(ctx, r.asked(l, admission.Requests, "Signal"), func(c *host.Clients) (err error) {
		resp, err = c.Channel.Signal(ctx, req)
		return err
	})
	return resp, err
}

// paused keeps back what the provider wants no more of for now.
func (r *Registry) paused(c *admission.Call, f *pluginv1.Failure) {
	if after := f.GetRetryAfter().AsDuration(); f.GetCode() == pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED && after > 0 {
		r.desk.Pause(c, f.GetLimit(), min(after, longestPause))
	}
}

// kindOf names a content as manifests do.
func kindOf(c *pluginv1.Content) string {
	m := c.ProtoReflect()
	f := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))
	if f == nil {
		return ""
	}
	return string(f.Name())
}

// Wire is an installation as it travels to its plugin.
func Wire(l *installation.Live) *pluginv1.Installation {
	return &pluginv1.Installation{
		TenantId: l.Tenant.ID.String(), InstallationId: l.ID.String(), Revision: l.Revision,
		SettingsVersion: l.SettingsVersion, SettingsJson: l.Settings, Secrets: l.Secrets, WebhookUrl: l.WebhookURL,
		Timezone: l.Tenant.TimeZone, Locale: l.Tenant.Locale,
	}
}
