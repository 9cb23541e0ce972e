package plugintest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// sendContents: each kind of content that the manifest names goes, in one request.
func sendContents(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	to, err := w.meet(ctx, a)
	if err != nil {
		return err
	}
	var errs []error
	for _, kind := range w.manifest.ContentKinds {
		content := w.Contents[kind]
		if content == nil {
			continue // manifest/contents tells
		}
		if r, ok := content.(sdk.Reaction); ok && r.TargetID == "" {
			r.TargetID = to.ProviderMessageID
			content = r
		}
		w.provider.mark()
		resp, err := w.send(ctx, a, to, "kit:"+kind, content)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("send %s: %w", kind, err))
		case resp.GetFailure() != nil:
			errs = append(errs, fmt.Errorf("send %s: %s: %s", kind, resp.GetFailure().GetCode(), resp.GetFailure().GetMessage()))
		case len(resp.GetReceipts()) == 0:
			errs = append(errs, fmt.Errorf("send %s: there is neither a receipt nor a failure", kind))
		case writing(w.provider.since()) == 0:
			errs = append(errs, fmt.Errorf("send %s: the plugin says that it was sent, and asked the provider nothing", kind))
		}
	}
	return errors.Join(errs...)
}

// writing counts the requests that may have sent something.
func writing(requests []asked) int {
	n := 0
	for _, r := range requests {
		if r.writes() {
			n++
		}
	}
	return n
}

// refusals are what a provider's bare status means, however little it explains.
var refusals = []struct {
	status int
	codes  []pluginv1.FailureCode
}{
	{http.StatusUnauthorized, []pluginv1.FailureCode{pluginv1.FailureCode_FAILURE_CODE_AUTH}},
	{http.StatusForbidden, []pluginv1.FailureCode{pluginv1.FailureCode_FAILURE_CODE_PERMISSION, pluginv1.FailureCode_FAILURE_CODE_AUTH}},
	{http.StatusTooManyRequests, []pluginv1.FailureCode{pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED}},
	{http.StatusInternalServerError, []pluginv1.FailureCode{pluginv1.FailureCode_FAILURE_CODE_TEMPORARY}},
	{http.StatusBadGateway, []pluginv1.FailureCode{pluginv1.FailureCode_FAILURE_CODE_TEMPORARY}},
	{http.StatusServiceUnavailable, []pluginv1.FailureCode{pluginv1.FailureCode_FAILURE_CODE_TEMPORARY, pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED}},
	{http.StatusBadRequest, nil},
	{http.StatusNotFound, nil},
}

// sendRefusals: a refusal becomes the failure that the host can act on, after one
// attempt.
func sendRefusals(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	to, err := w.meet(ctx, a)
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range refusals {
		w.provider.set(status(r.status))
		w.provider.mark()
		f, err := refusal(w.send(ctx, a, to, fmt.Sprintf("kit:%d", r.status), w.Contents["text"]))
		w.provider.set(nil)
		what := fmt.Sprintf("when the provider answers %d", r.status)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
			continue
		}
		if n := len(w.provider.since()); n > 1 {
			errs = append(errs, fmt.Errorf("%s the plugin asks %d times: one call is one attempt, the host repeats", what, n))
		}
		switch {
		case f.GetCode() == pluginv1.FailureCode_FAILURE_CODE_UNSPECIFIED:
			errs = append(errs, fmt.Errorf("%s the failure has no code", what))
		case r.codes != nil && !slices.Contains(r.codes, f.GetCode()):
			errs = append(errs, fmt.Errorf("%s the failure is %s, want %v", what, f.GetCode(), r.codes))
		}
		if r.status < 500 && f.GetOutcome() == pluginv1.Outcome_OUTCOME_UNKNOWN {
			errs = append(errs, fmt.Errorf("%s the outcome is said to be unknown, though the provider said no", what))
		}
		if f.GetMessage() == "" {
			errs = append(errs, fmt.Errorf("%s the failure has no words for people", what))
		}
	}
	return errors.Join(errs...)
}

// sendRetryAfter: what the provider says of when to come again is passed on, in
// both of its forms.
func sendRetryAfter(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	to, err := w.meet(ctx, a)
	if err != nil {
		return err
	}
	var errs []error
	for form, value := range map[string]string{"seconds": "120", "a date": time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat)} {
		w.provider.set(status(http.StatusTooManyRequests, "Retry-After", value))
		f, err := refusal(w.send(ctx, a, to, "kit:after "+form, w.Contents["text"]))
		w.provider.set(nil)
		if err != nil {
			errs = append(errs, fmt.Errorf("Retry-After as %s: %w", form, err))
			continue
		}
		if after := f.GetRetryAfter().AsDuration(); after < time.Minute || after > 3*time.Minute {
			errs = append(errs, fmt.Errorf("Retry-After of two minutes as %s becomes %s", form, after))
		}
	}
	return errors.Join(errs...)
}

// sendLost: of a request that was written and never answered nobody knows whether
// it was carried out.
func sendLost(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	to, err := w.meet(ctx, a)
	if err != nil {
		return err
	}
	w.provider.set(reset)
	w.provider.mark()
	resp, err := w.send(ctx, a, to, "kit:lost", w.Contents["text"])
	asked := writing(w.provider.since())
	w.provider.set(nil)
	var errs []error
	if asked > 1 {
		errs = append(errs, fmt.Errorf("after the connection broke the plugin sent again, %d times in all: the person may get as many messages", asked))
	}
	f, err := refusal(resp, err)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if f.GetOutcome() == pluginv1.Outcome_OUTCOME_NOT_SENT {
		errs = append(errs, errors.New("the request was written, and the failure says that nothing was sent: the host would send it again"))
	}
	return errors.Join(errs...)
}

// sendAway: what never reached the provider was certainly not sent.
func sendAway(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	to, err := w.meet(ctx, a)
	if err != nil {
		return err
	}
	// A fresh process has no connection left on which something could be written.
	if err := w.host.Replace(ctx, w.manifest.ID); err != nil {
		return fmt.Errorf("replace the process: %w", err)
	}
	w.front.Close() // nobody listens now
	f, err := refusal(w.send(ctx, a, to, "kit:away", w.Contents["text"]))
	if err != nil {
		return err
	}
	var errs []error
	if f.GetCode() != pluginv1.FailureCode_FAILURE_CODE_TEMPORARY {
		errs = append(errs, fmt.Errorf("while the provider cannot be reached the failure is %s, want TEMPORARY", f.GetCode()))
	}
	if f.GetOutcome() != pluginv1.Outcome_OUTCOME_NOT_SENT {
		errs = append(errs, errors.New("nothing was written, and the failure does not say NOT_SENT: the message would wait for a person"))
	}
	return errors.Join(errs...)
}

// sendCancelled: a call that is given up reaches the provider's connection, and
// the plugin goes on.
func sendCancelled(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	to, err := w.meet(ctx, a)
	if err != nil {
		return err
	}
	left := make(chan struct{}, 1)
	w.provider.set(w.provider.hang(left))
	w.provider.mark()
	given, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := w.send(given, a, to, "kit:cancelled", w.Contents["text"])
		done <- err
	}()
	if err := w.reached(ctx, done); err != nil {
		return err
	}
	cancel()
	if err := <-done; grpcstatus.Code(err) != codes.Canceled {
		return fmt.Errorf("a call that was given up ends with %w", err)
	}
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		return errors.New("a call was given up, and the plugin still waits for the provider: pass the context on")
	}
	w.provider.set(nil)
	resp, err := w.send(ctx, a, to, "kit:after cancel", w.Contents["text"])
	if err == nil && resp.GetFailure() != nil {
		err = fmt.Errorf("%s: %s", resp.GetFailure().GetCode(), resp.GetFailure().GetMessage())
	}
	if err != nil {
		return fmt.Errorf("after a call was given up the next fails: %w", err)
	}
	return nil
}

// reached waits until the provider was asked.
func (w *world) reached(ctx context.Context, done <-chan error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(w.provider.since()) == 0 {
		select {
		case err := <-done:
			return fmt.Errorf("the send ended before the provider was asked: %w", err)
		case <-ctx.Done():
			return errors.New("the provider was not asked")
		case <-tick.C:
		}
	}
	return nil
}
