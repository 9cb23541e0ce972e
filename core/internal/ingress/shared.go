package ingress

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// group is the parts of a shared webhook that one installation gets.
type group struct {
	target installation.Target
	parts  []*pluginv1.RoutedPart
}

// shared answers a webhook at the provider-level address: the plugin verifies
// it and cuts it into parts, each installation gets its own, and the caller gets
// 200 when all of them are stored.
func (h *Handler) shared(ctx context.Context, p host.Release, req *pluginv1.HttpRequest) (answer, error) {
	routing, err := h.Registry.RouteWebhook(ctx, p.Name, &pluginv1.WebhookRoute{Request: req})
	if err != nil {
		if req.GetMethod() != http.MethodPost {
			return answer{}, later(err)
		}
		h.Log.WarnContext(ctx, "webhook kept until its tenant is known", "plugin", p.Name, "error", err)
		if err := h.spool(ctx, p.Name, req, pluginhost.Crashed(err)); err != nil {
			return answer{}, later(err)
		}
		return answer{spoolResponse(p), "spooled"}, nil
	}
	return h.routed(ctx, p, req, routing)
}

// routed delivers the parts of a shared webhook. Stored parts that come again,
// because another failed, change nothing.
func (h *Handler) routed(ctx context.Context, p host.Release, req *pluginv1.HttpRequest, routing *pluginv1.WebhookRouting) (answer, error) {
	if r := routing.GetFinalResponse(); r != nil {
		return answer{r, "ok"}, nil
	}
	if f := routing.GetFailure(); f != nil {
		return answer{}, refused(f)
	}
	if !routing.GetVerified() {
		return answer{}, ErrUnverified
	}
	groups, err := h.group(ctx, p.Name, routing.GetParts())
	if err == nil {
		groups, err = h.withCanary(ctx, p.Name, req, groups)
	}
	if err != nil {
		return answer{}, later(err)
	}
	errs := make([]error, len(groups))
	var wait sync.WaitGroup
	for n, g := range groups {
		wait.Go(func() { errs[n] = h.hand(ctx, p, g, req) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return answer{}, later(errs[slices.IndexFunc(errs, func(e error) bool { return e != nil })])
	}
	if len(groups) == 0 {
		return answer{&pluginv1.HttpResponse{}, "unrouted"}, nil
	}
	return answer{&pluginv1.HttpResponse{}, "ok"}, nil
}

// group finds the installation of each part. Parts of nobody are dropped.
func (h *Handler) group(ctx context.Context, plugin string, parts []*pluginv1.RoutedPart) ([]group, error) {
	var groups []group
	for _, part := range parts {
		target, err := h.owner(ctx, plugin, part)
		if errors.Is(err, installation.ErrNotFound) {
			h.Metrics.count(plugin, "unrouted")
			continue
		}
		if err != nil {
			return nil, err
		}
		n := slices.IndexFunc(groups, func(g group) bool { return g.target == target })
		if n < 0 {
			n, groups = len(groups), append(groups, group{target: target})
		}
		groups[n].parts = append(groups[n].parts, part)
	}
	return groups, nil
}

// withCanary takes the parts of those whom a canary serves from the canary,
// which may cut a webhook otherwise, or know more of it. While it cannot tell,
// they get what the plugin's own release says.
func (h *Handler) withCanary(ctx context.Context, plugin string, req *pluginv1.HttpRequest, groups []group) ([]group, error) {
	brave, routing, err := h.Registry.RouteForCanary(ctx, plugin, &pluginv1.WebhookRoute{Request: req})
	if len(brave) == 0 {
		return groups, nil
	}
	if err != nil || routing.GetFailure() != nil || !routing.GetVerified() {
		h.Log.WarnContext(ctx, "a canary does not say whose a webhook is", "plugin", plugin, "error", err, "reason", pluginhost.CodeName(routing.GetFailure()))
		return groups, nil
	}
	theirs, err := h.group(ctx, plugin, routing.GetParts())
	if err != nil {
		return nil, err
	}
	served := func(g group) bool { return slices.Contains(brave, g.target.Tenant.String()) }
	groups = slices.DeleteFunc(groups, served)
	return append(groups, slices.DeleteFunc(theirs, func(g group) bool { return !served(g) })...), nil
}

func (h *Handler) owner(ctx context.Context, plugin string, part *pluginv1.RoutedPart) (installation.Target, error) {
	for _, k := range part.GetRouteKeys() {
		t, err := h.Directory.ByKey(ctx, plugin, installation.Key{Kind: k.GetKind(), Value: k.GetValue()})
		if !errors.Is(err, installation.ErrNotFound) {
			return t, err
		}
	}
	return installation.Target{}, installation.ErrNotFound
}

// hand delivers an installation its parts.
func (h *Handler) hand(ctx context.Context, p host.Release, g group, req *pluginv1.HttpRequest) error {
	live, err := h.Directory.Live(ctx, g.target)
	if errors.Is(err, installation.ErrNotFound) || errors.Is(err, tenant.ErrInactive) || err == nil && live.State == installation.Disabled {
		h.Metrics.count(p.Name, "unrouted")
		return nil
	}
	if err != nil {
		return err
	}
	for _, part := range g.parts {
		own := &pluginv1.HttpRequest{
			Method: req.GetMethod(), Path: req.GetPath(), RawQuery: req.GetRawQuery(), Headers: req.GetHeaders(),
			Body: part.GetBody(), RemoteAddr: req.GetRemoteAddr(), ReceivedAt: req.GetReceivedAt(),
		}
		if len(own.Body) == 0 {
			own.Body = req.GetBody()
		}
		_, err := h.deliver(ctx, p, live, &pluginv1.WebhookDelivery{Request: own, MatchedKeys: part.GetRouteKeys(), Routed: true})
		if err != nil {
			return err
		}
	}
	return nil
}
