package plugintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/sdk/pluginv1"
)

// ordinary headers say nothing of who sends.
var ordinary = []string{"Accept", "Accept-Encoding", "Connection", "Content-Length", "Content-Type", "User-Agent", "Host"}

// heard is an account, with a webhook of a person's message.
func (w *world) heard(ctx context.Context) (*account, *pluginv1.HttpRequest, error) {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return nil, nil, err
	}
	r, err := w.hear(ctx, a, "Hola, ¿sigue disponible?")
	return a, r, err
}

// webhookAccepted: a message of a person is verified, answered 2xx and whole.
func webhookAccepted(ctx context.Context, w *world) error {
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	result, err := w.handle(ctx, a, r, nil)
	if err != nil {
		return err
	}
	var errs []error
	if !result.GetVerified() {
		errs = append(errs, errors.New("a webhook of the provider is not verified"))
	}
	if s := result.GetResponse().GetStatus(); s != 0 && (s < 200 || s > 299) {
		errs = append(errs, fmt.Errorf("a webhook of the provider is answered %d", s))
	}
	m, ok := inbound(result)
	if !ok {
		return errors.Join(append(errs, errors.New("a person's message gives no InboundMessage"))...)
	}
	if len(m.From.Addresses) == 0 || m.From.Addresses[0].Value == "" {
		errs = append(errs, errors.New("the message does not say who wrote it"))
	}
	for _, e := range result.GetEvents() {
		if e.GetDedupeKey() == "" {
			errs = append(errs, errors.New("an event has no dedupe key, by which a repetition would be known"))
		}
		if e.GetOccurredAt() == nil {
			errs = append(errs, errors.New("an event does not say when it occurred"))
		}
	}
	return errors.Join(errs...)
}

// webhookKeys: events name no account but the one that the webhook is of.
func webhookKeys(ctx context.Context, w *world) error {
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	result, err := w.handle(ctx, a, r, nil)
	if err != nil {
		return err
	}
	for _, e := range result.GetEvents() {
		for _, k := range e.GetRouteKeys() {
			if !slices.ContainsFunc(a.keys, func(own *pluginv1.RouteKey) bool { return proto.Equal(own, k) }) {
				return fmt.Errorf("an event names %s %q, which the provider did not confirm for the account: the host drops it", k.GetKind(), k.GetValue())
			}
			if !slices.Contains(w.manifest.RouteKinds, k.GetKind()) {
				return fmt.Errorf("an event has a routing key of kind %q, which the manifest does not name", k.GetKind())
			}
		}
	}
	return nil
}

// webhookUnsigned: without what the provider proves itself by there is nothing.
func webhookUnsigned(ctx context.Context, w *world) error {
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	return w.refuses(ctx, a, r, "without its signature", func(d *pluginv1.WebhookDelivery) {
		d.Request.Headers = slices.DeleteFunc(d.Request.Headers, func(h *pluginv1.Header) bool {
			return !slices.Contains(ordinary, http.CanonicalHeaderKey(h.GetName()))
		})
		d.Request.RawQuery = ""
	})
}

// webhookBody: a byte of the body that was changed on the way is noticed. Where
// the provider signs nothing but shows a secret, it cannot be: skip this then.
func webhookBody(ctx context.Context, w *world) error {
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	return w.refuses(ctx, a, r, "with a changed letter", func(d *pluginv1.WebhookDelivery) {
		at := bytes.Index(d.Request.Body, []byte("disponible"))
		if at < 0 {
			at = len(d.Request.Body) / 2
		}
		d.Request.Body[at] ^= 1
	})
}

// webhookChanged: a byte that was changed in what proves the webhook is noticed.
func webhookChanged(ctx context.Context, w *world) error {
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for i, h := range r.GetHeaders() {
		if slices.Contains(ordinary, http.CanonicalHeaderKey(h.GetName())) || len(h.GetValue()) < 16 {
			continue
		}
		for what, change := range map[string]func(string) string{
			"with a truncated %s":           func(v string) string { return v[:len(v)-2] },
			"with another character in %s":  func(v string) string { return v[:len(v)-1] + flip(v[len(v)-1]) },
			"with something else behind %s": func(v string) string { return v + "00" },
		} {
			errs = append(errs, w.refuses(ctx, a, r, fmt.Sprintf(what, h.GetName()), func(d *pluginv1.WebhookDelivery) {
				d.Request.Headers[i].Value = change(h.GetValue())
			}))
		}
	}
	return errors.Join(errs...)
}

// flip is another character of the same alphabet.
func flip(b byte) string {
	if b == '0' {
		return "1"
	}
	return "0"
}

// webhookOther: what the provider signed for one account proves nothing for
// another with secrets of its own.
func webhookOther(ctx context.Context, w *world) error {
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	other, err := w.account(ctx, "norte")
	if err != nil {
		return err
	}
	if len(own(other, a)) == 0 {
		return nil
	}
	result, err := w.handle(ctx, other, r, nil)
	if err != nil {
		return err
	}
	if !result.GetVerified() || result.GetFailure() != nil {
		return nil
	}
	for _, e := range result.GetEvents() {
		for _, k := range e.GetRouteKeys() {
			if !slices.ContainsFunc(other.keys, func(own *pluginv1.RouteKey) bool { return proto.Equal(own, k) }) {
				return nil // verified by a secret that both share, and dropped by the host
			}
		}
	}
	if len(result.GetEvents()) > 0 {
		return errors.New("a webhook of one account is taken for another's")
	}
	return nil
}

// refuses wants a changed webhook to be taken for nobody's.
func (w *world) refuses(ctx context.Context, a *account, r *pluginv1.HttpRequest, what string, change func(*pluginv1.WebhookDelivery)) error {
	result, err := w.handle(ctx, a, r, change)
	if err != nil {
		return fmt.Errorf("a webhook %s: %w", what, err)
	}
	if result.GetVerified() && result.GetFailure() == nil {
		return fmt.Errorf("a webhook %s is verified", what)
	}
	if len(result.GetEvents()) > 0 {
		return fmt.Errorf("a webhook %s gives events", what)
	}
	return nil
}

// webhookAgain: the same webhook gives the same dedupe keys, another one others.
func webhookAgain(ctx context.Context, w *world) error {
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	another, err := w.hear(ctx, a, "¿Y el de Palermo?")
	if err != nil {
		return err
	}
	var facts [3]map[string]*pluginv1.Event
	for i, one := range []*pluginv1.HttpRequest{r, r, another} {
		result, err := w.handle(ctx, a, one, nil)
		if err != nil {
			return err
		}
		facts[i] = map[string]*pluginv1.Event{}
		for _, e := range result.GetEvents() {
			facts[i][e.GetDedupeKey()] = e
		}
	}
	for k := range facts[0] {
		if facts[1][k] == nil {
			return errors.New("the same webhook, delivered again, has other dedupe keys: every message would be there twice")
		}
	}
	for k, e := range facts[2] {
		// A plugin that asks for the history may tell the first message again.
		if same := facts[0][k]; same != nil && !proto.Equal(e, same) {
			return fmt.Errorf("two messages have the dedupe key %q: the second would be lost", k)
		}
	}
	return nil
}

// webhookStale: where the provider signs the time, a webhook that comes days
// later is somebody's who kept it. The time that counts is that of its coming.
func webhookStale(ctx context.Context, w *world) error {
	if !w.SignsTime {
		return skip("Config.SignsTime is not set")
	}
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	return w.refuses(ctx, a, r, "that came two days after it was signed", func(d *pluginv1.WebhookDelivery) {
		d.Request.ReceivedAt = timestamppb.New(d.GetRequest().GetReceivedAt().AsTime().Add(48 * time.Hour))
	})
}

// webhookKept: a webhook that the core kept while the plugin was away is verified
// as of when it came.
func webhookKept(ctx context.Context, w *world) error {
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	result, err := w.handle(ctx, a, r, func(d *pluginv1.WebhookDelivery) { d.Replay = true })
	if err != nil {
		return err
	}
	if _, ok := inbound(result); !ok || !result.GetVerified() {
		return errors.New("a webhook that was kept and is shown again is not taken")
	}
	return nil
}

// webhookGarbage: nonsense, properly signed, hurts nobody.
func webhookGarbage(ctx context.Context, w *world) error {
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, body := range []string{
		"", "{", "[]", "null", "0", `""`, "{}", `{"":{"":[[[[[]]]]]}}`, "\x00\xff\xfe", "\xef\xbb\xbf{}", strings.Repeat("[", 10_000),
		`{"object":"` + strings.Repeat("x", 1<<20-64) + `"}`,
	} {
		before, _ := w.inlet.look(a.label)
		if _, err := w.sim.Replay(ctx, a.label, true, []byte(body)); err != nil {
			continue // this provider's simulator cannot send that
		}
		came, _ := w.inlet.look(a.label)
		for _, one := range came[len(before):] {
			result, err := w.handle(ctx, a, one, nil)
			if err != nil {
				errs = append(errs, fmt.Errorf("signed nonsense %.20q: %w", body, err))
				continue
			}
			switch code := result.GetFailure().GetCode(); code {
			case pluginv1.FailureCode_FAILURE_CODE_UNSPECIFIED, pluginv1.FailureCode_FAILURE_CODE_MALFORMED, pluginv1.FailureCode_FAILURE_CODE_INVALID_REQUEST:
			default:
				errs = append(errs, fmt.Errorf("signed nonsense %.20q fails with %s (%s), want MALFORMED: the host would try it again",
					body, code, result.GetFailure().GetMessage()))
			}
			if s := result.GetResponse().GetStatus(); s >= 500 {
				errs = append(errs, fmt.Errorf("signed nonsense %.20q is answered %d: the provider would send it for days", body, s))
			}
		}
	}
	if result, err := w.handle(ctx, a, r, nil); err != nil || !result.GetVerified() {
		errs = append(errs, errors.New("after nonsense the plugin takes nothing any more"))
	}
	return errors.Join(errs...)
}
