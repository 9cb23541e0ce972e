// Package telemetry makes what operators look at: the structured log, whose
// lines carry the request, tenant and plugin they belong to, and the Prometheus
// registry, whose tenant labels are bounded.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"
)

type attrsKey struct{}

// WithAttrs returns a context whose log lines carry the attributes, after those
// it has already. Nothing but the log reads them.
func WithAttrs(ctx context.Context, attrs ...slog.Attr) context.Context {
	return context.WithValue(ctx, attrsKey{}, append(slices.Clip(attrsOf(ctx)), attrs...))
}

// WithTenant returns a context whose log lines name the tenant.
func WithTenant(ctx context.Context, tenant string) context.Context {
	return WithAttrs(ctx, slog.String("tenant", tenant))
}

// WithPlugin returns a context whose log lines name the plugin.
func WithPlugin(ctx context.Context, plugin string) context.Context {
	return WithAttrs(ctx, slog.String("plugin", plugin))
}

type requestKey struct{}

// WithRequest returns a context whose log lines name the request.
func WithRequest(ctx context.Context, id string) context.Context {
	return WithAttrs(context.WithValue(ctx, requestKey{}, id), slog.String("request_id", id))
}

// RequestID returns the request that the context belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

func attrsOf(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return attrs
}

// NewLogger returns a logger that writes lines of JSON, or of text for a
// person's eyes, from a level on. Attributes of the context come with each line
// that is logged with one.
func NewLogger(w io.Writer, level slog.Leveler, text bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if text {
		return slog.New(handler{slog.NewTextHandler(w, options)})
	}
	return slog.New(handler{slog.NewJSONHandler(w, options)})
}

// handler adds the context's attributes to each record.
type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if attrs := attrsOf(ctx); len(attrs) > 0 {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
