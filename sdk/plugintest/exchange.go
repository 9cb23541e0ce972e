package plugintest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/internal/wire"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// askAgain is when a webhook is shown again that the plugin could not read yet.
const askAgain = 200 * time.Millisecond

// hear has a person write to an account and returns the webhook that tells of it.
func (w *world) hear(ctx context.Context, a *account, text string) (*pluginv1.HttpRequest, error) {
	before, _ := w.inlet.look(a.label)
	if _, err := w.sim.Say(ctx, w.Say(a.label, text)); err != nil {
		return nil, fmt.Errorf("have a person write, by the simulator: %w", err)
	}
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		came, more := w.inlet.look(a.label)
		later := false
		for _, r := range came[len(before):] {
			result, err := w.handle(ctx, a, r, nil)
			if err != nil {
				return nil, err
			}
			if _, ok := inbound(result); ok {
				return r, nil
			}
			// A plugin that asks the provider first may have to come back, as the core
			// lets it.
			later = later || result.GetVerified() && result.GetFailure() != nil
		}
		var retry <-chan time.Time
		if later {
			retry = again.C
		} else {
			before = came
		}
		select {
		case <-more:
		case <-retry:
		case <-ctx.Done():
			return nil, errors.New("a person wrote, and no webhook came that the plugin makes an InboundMessage or an inbound CallUpdate of")
		}
	}
}

// handle shows the plugin a webhook, changed by change unless that is nil.
func (w *world) handle(ctx context.Context, a *account, r *pluginv1.HttpRequest, change func(*pluginv1.WebhookDelivery)) (*pluginv1.WebhookResult, error) {
	d := &pluginv1.WebhookDelivery{Request: proto.CloneOf(r), MatchedKeys: a.keys}
	if change != nil {
		change(d)
	}
	var result *pluginv1.WebhookResult
	err := w.call(ctx, func(c *host.Clients) error {
		resp, err := c.Webhook.HandleWebhooks(ctx, &pluginv1.HandleWebhooksRequest{
			Installation: a.installation, Deliveries: []*pluginv1.WebhookDelivery{d},
		})
		if err != nil {
			return fmt.Errorf("handle a webhook: %w", err)
		}
		if len(resp.GetResults()) != 1 {
			return fmt.Errorf("one webhook had %d results", len(resp.GetResults()))
		}
		result = resp.GetResults()[0]
		return nil
	})
	return result, err
}

// inbound finds the first message in a result. Where people telephone, their
// call counts as one.
func inbound(r *pluginv1.WebhookResult) (sdk.InboundMessage, bool) {
	for _, e := range wire.ToEvents(r.GetEvents()) {
		switch p := e.Payload.(type) {
		case sdk.InboundMessage:
			return p, true
		case sdk.CallUpdate:
			if p.Direction == "inbound" {
				return sdk.InboundMessage{From: p.Contact}, true
			}
		}
	}
	return sdk.InboundMessage{}, false
}

// meet has a person write, so that they may be answered, and returns the message.
func (w *world) meet(ctx context.Context, a *account) (sdk.InboundMessage, error) {
	r, err := w.hear(ctx, a, "Hola, vi el departamento de "+a.label)
	if err != nil {
		return sdk.InboundMessage{}, err
	}
	result, err := w.handle(ctx, a, r, nil)
	if err != nil {
		return sdk.InboundMessage{}, err
	}
	m, ok := inbound(result)
	if !ok || len(m.From.Addresses) == 0 {
		return m, errors.New("the message of a person has no address to answer to")
	}
	return m, nil
}

// send answers a message, once.
func (w *world) send(ctx context.Context, a *account, to sdk.InboundMessage, key string, content sdk.Content) (*pluginv1.SendResponse, error) {
	req := wire.FromMessage(a.installation, sdk.Message{
		IdempotencyKey: key, Attempt: 1, To: to.From.Addresses, From: to.To, Content: content, WindowExpiresAt: to.WindowExpiresAt,
	})
	var resp *pluginv1.SendResponse
	err := w.call(ctx, func(c *host.Clients) (err error) {
		resp, err = c.Channel.Send(ctx, req)
		return err
	})
	return resp, err
}

// refusal is the failure of a send that the provider refused.
func refusal(resp *pluginv1.SendResponse, err error) (*pluginv1.Failure, error) {
	switch {
	case err != nil:
		return nil, fmt.Errorf("the call itself failed, where a failure belongs into the response: %w", err)
	case resp.GetFailure() == nil && len(resp.GetReceipts()) > 0:
		return nil, errors.New("the plugin says that the message was sent")
	case resp.GetFailure() == nil:
		return nil, errors.New("the response has neither a receipt nor a failure")
	}
	return resp.GetFailure(), nil
}
