package serve

import (
	"context"
	"errors"
	"log/slog"

	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
)

var (
	errStopping = failure.New(failure.Temporary, "the plugin is stopping")
	errCrashed  = &failure.Failure{Code: failure.Temporary, Outcome: failure.NotSent, Blame: failure.Plugin,
		Message: "the plugin crashed while reading the settings"}
)

// refusal turns an error of the author's into what travels. An error that is
// not a failure is the plugin's fault: its words go to the log alone, because
// nobody promised that they hold no secret, and otherwise says whether the
// provider may have acted.
func refusal(log *slog.Logger, method string, err error, otherwise failure.Outcome) *pluginv1.Failure {
	var f *failure.Failure
	if !errors.As(err, &f) {
		log.Error("the plugin failed", "method", method, "error", err)
		f = failure.New(failure.Temporary, "the plugin could not do this; its log says why")
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			f.Message = "the call ended before the plugin was done"
		}
		f.Outcome, f.Blame = otherwise, failure.Plugin
		return wire.FromFailure(f)
	}
	log.Debug("refused", "method", method, "code", f.Code.String(), "provider_code", f.ProviderCode, "error", err)
	out := wire.FromFailure(f)
	if out.Outcome == pluginv1.Outcome_OUTCOME_UNSPECIFIED {
		out.Outcome = pluginv1.Outcome_OUTCOME_NOT_SENT
	}
	if out.Blame == pluginv1.Blame_BLAME_UNSPECIFIED {
		out.Blame = pluginv1.Blame(blame(f.Code))
	}
	return out
}

// blame is whose turn it is, where a plugin did not say.
func blame(c failure.Code) failure.Blame {
	switch c {
	case failure.Auth, failure.Permission, failure.Recipient, failure.WindowClosed, failure.Template, failure.ContentRejected,
		failure.QuotaExhausted, failure.Media:
		return failure.Tenant
	case failure.Temporary, failure.RateLimited, failure.Malformed:
		return failure.Provider
	default:
		return failure.Plugin
	}
}
