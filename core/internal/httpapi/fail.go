package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/telemetry"
)

// fail answers with an error.
func (r *Router) fail(w http.ResponseWriter, req *http.Request, err error) {
	r.problem(req.Context(), err).write(w)
}

// problem words an error for the client and tells the log what the client must
// not know.
func (r *Router) problem(ctx context.Context, err error) *Problem {
	if fault.Of(err) == nil && errors.Is(err, context.DeadlineExceeded) {
		err = ErrDeadline.With(err)
	}
	p := newProblem(err, telemetry.RequestID(ctx))
	if c := callOf(ctx); c != nil {
		c.code = p.Code
	}
	gone := errors.Is(err, context.Canceled) && ctx.Err() != nil
	f := fault.Of(err)
	switch {
	case gone:
	case f == nil || f.Kind == fault.Internal:
		r.Log.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("error", err.Error()))
	case f.Kind == fault.Unavailable:
		r.Log.LogAttrs(ctx, slog.LevelWarn, "request refused", slog.String("error", err.Error()))
	case f.Unwrap() != nil:
		r.Log.LogAttrs(ctx, slog.LevelDebug, "request refused", slog.String("error", err.Error()))
	}
	return p
}

func (r *Router) panicked(w gin.ResponseWriter, req *http.Request, v any) {
	r.Log.LogAttrs(req.Context(), slog.LevelError, "request panicked",
		slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
	if w.Written() {
		return // too late for a clean answer; the client sees it cut
	}
	if c := callOf(req.Context()); c != nil {
		c.code = ErrInternal.Code
	}
	newProblem(ErrInternal, telemetry.RequestID(req.Context())).write(w)
}
