package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// Send implements [sdk.Channel]. A text goes as content or, if the tenant chose
// so, as a custom field that a flow prints. A template is a flow: what may be
// sent after the window begins with one, and ManyChat sends none by name.
func (c *channel) Send(ctx context.Context, m sdk.Message) (sdk.Receipt, error) {
	on := c.channelOf(m)
	flow, err := c.flowFor(on, m)
	if err != nil {
		return sdk.Receipt{}, err
	}
	var body object
	if flow == "" {
		if body, err = c.compose(on, m); err != nil {
			return sdk.Receipt{}, err
		}
	}
	who, found, err := c.subscriber(ctx, m)
	if err != nil {
		return sdk.Receipt{}, notSent(err)
	}
	if err := c.prepare(ctx, who, flow, m); err != nil {
		return sdk.Receipt{}, notSent(err)
	}
	if flow != "" {
		err = c.sendFlow(ctx, who, flow)
	} else {
		body["subscriber_id"] = json.Number(who)
		err = c.api.post(ctx, "sending/sendContent", body, nil)
	}
	if err != nil {
		return sdk.Receipt{}, err
	}
	receipt := sdk.Receipt{State: sdk.DeliveryAccepted} // ManyChat names no message, and tells of no delivery
	if found {
		receipt.Recipient = []sdk.Address{{Kind: kindSubscriber, Value: who}}
	}
	return receipt, nil
}

// channelOf is the channel of a conversation, as its account says.
func (c *channel) channelOf(m sdk.Message) string {
	for on, kind := range channelKeys {
		if m.From.Kind == kind {
			return on
		}
	}
	if slices.ContainsFunc(m.To, func(a sdk.Address) bool { return isPhone(a.Kind) }) {
		return onWhatsApp
	}
	return onMessenger
}

// flowFor is the flow that carries a message; empty if it goes as content.
func (c *channel) flowFor(on string, m sdk.Message) (string, error) {
	switch content := m.Content.(type) {
	case sdk.Template:
		if !flowForm.MatchString(content.Name) {
			return "", refusal(failure.Template, failure.Tenant, "ManyChat sends templates by a flow only; name the flow, such as content20260416033957_434106")
		}
		return content.Name, nil
	case sdk.Text:
		if c.account.ReplyBy != byFlow || c.account.ReplyField == "" {
			break
		}
		if err := c.allowed(on, m, ""); err != nil {
			return "", err
		}
		return c.account.flow(on), nil
	}
	if on == onOther {
		return "", refusal(failure.Unsupported, failure.Tenant, "ManyChat's API does not write on this channel")
	}
	return "", nil
}

// compose writes the request to send content, without the person.
func (c *channel) compose(on string, m sdk.Message) (object, error) {
	messages, err := compose(on, m.Content)
	if err != nil {
		return nil, err
	}
	body := object{"data": document(on, messages)}
	tag := ""
	if on == onMessenger {
		tag = c.account.MessageTag
	}
	if err := c.allowed(on, m, tag); err != nil {
		return nil, err
	}
	if tag != "" && c.closed(m) {
		body["message_tag"] = tag
	}
	return body, nil
}

// closed reports whether the window is known to be over.
func (c *channel) closed(m sdk.Message) bool {
	return !m.WindowExpiresAt.IsZero() && !c.now().Before(m.WindowExpiresAt)
}

// allowed refuses what would be sent after the window: ManyChat was not seen to
// refuse it on WhatsApp, and may let it get lost.
func (c *channel) allowed(on string, m sdk.Message, tag string) error {
	switch {
	case !c.closed(m), on == onTelegram, tag != "":
		return nil
	case on == onInstagram:
		return refusal(failure.WindowClosed, failure.Tenant, codes["3031"].words)
	}
	return refusal(failure.WindowClosed, failure.Tenant, codes["3011"].words)
}

// prepare does what must be done before the message: profile, tags and fields,
// the text that a flow prints last.
func (c *channel) prepare(ctx context.Context, who, flow string, m sdk.Message) error {
	if err := c.applyHints(ctx, who, m.Hints); err != nil {
		return err
	}
	switch content := m.Content.(type) {
	case sdk.Text:
		if flow != "" {
			return c.api.post(ctx, "subscriber/setCustomFieldByName", object{
				"subscriber_id": json.Number(who), "field_name": c.account.ReplyField, "field_value": content.Body,
			}, nil)
		}
	case sdk.Template:
		values := map[string]string{}
		for _, p := range content.Params {
			if p.Name == "" {
				return refusal(failure.Template, failure.Tenant, "the parameters of a flow are custom fields, by name")
			}
			values[p.Name] = p.Text
		}
		return c.setFields(ctx, who, values)
	}
	return nil
}

func (c *channel) sendFlow(ctx context.Context, who, flow string) error {
	if err := c.api.limits.takeFlow(who); err != nil {
		return err
	}
	return c.api.post(ctx, "sending/sendFlow", object{"subscriber_id": json.Number(who), "flow_ns": flow}, nil)
}

// notSent is err with the outcome that it has for the message: what came before
// the message failed, however that ended.
func notSent(err error) error {
	f, ok := errors.AsType[*failure.Failure](err)
	if !ok {
		return err
	}
	told := *f
	told.Outcome = failure.NotSent
	return &told
}
