package plugintest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/pluginv1"
)

const (
	goroutines = 16
	perEach    = 8
)

// isolationAccounts: two agencies' messages, sent at the same time, each go with
// the agency's own secrets.
func isolationAccounts(ctx context.Context, w *world) error {
	_, err := w.crowd(ctx)
	return err
}

// isolationSecrets: no secret is in what the plugin logs or tells of failures,
// and none of another agency anywhere.
func isolationSecrets(ctx context.Context, w *world) error {
	both, err := w.crowd(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range both {
		to, err := w.meet(ctx, a)
		if err != nil {
			return err
		}
		w.provider.set(status(401))
		f, err := refusal(w.send(ctx, a, to, "kit:401", w.Contents["text"]))
		w.provider.set(nil)
		if err != nil {
			return err
		}
		for _, secret := range a.secrets() {
			if strings.Contains(f.String(), secret) {
				errs = append(errs, errors.New("a failure tells a secret"))
			}
		}
	}
	for _, a := range both {
		for _, secret := range a.secrets() {
			if w.log.has(secret) {
				errs = append(errs, fmt.Errorf("the log has a secret of %s", a.label))
			}
		}
	}
	return errors.Join(errs...)
}

// crowd sends for two agencies from many goroutines at once.
func (w *world) crowd(ctx context.Context) ([]*account, error) {
	both, to := make([]*account, 2), make([]sdk.InboundMessage, 2)
	for i, label := range []string{"acme", "norte"} {
		var err error
		if both[i], err = w.account(ctx, label); err != nil {
			return nil, err
		}
		if to[i], err = w.meet(ctx, both[i]); err != nil {
			return nil, err
		}
	}
	w.provider.mark()
	errs := make([]error, goroutines)
	var work sync.WaitGroup
	for g := range goroutines {
		work.Go(func() {
			i := g % 2
			for n := range perEach {
				resp, err := w.send(ctx, both[i], to[i], fmt.Sprintf("kit:%d:%d", g, n), sdk.Text{Body: "only for " + both[i].label})
				if err != nil {
					errs[g] = err
					return
				}
				// A simulator that keeps the provider's limits may refuse some.
				if f := resp.GetFailure(); f != nil && f.GetCode() != pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED {
					errs[g] = fmt.Errorf("%s: %s", f.GetCode(), f.GetMessage())
					return
				}
			}
		})
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("send for two agencies at once: %w", err)
	}
	for i, a := range both {
		foreign := own(both[1-i], a)
		for _, r := range w.provider.since() {
			if !r.has("only for " + a.label) {
				continue
			}
			if slices.ContainsFunc(foreign, r.has) {
				return nil, fmt.Errorf("a message of %s was sent with a secret of %s", a.label, both[1-i].label)
			}
		}
	}
	return both, nil
}
