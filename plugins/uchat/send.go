package main

import (
	"context"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// Send implements [sdk.Channel]. UChat names only templates: of other messages
// it says no more than that it took them.
func (c *channel) Send(ctx context.Context, m sdk.Message) (sdk.Receipt, error) {
	if t, ok := m.Content.(sdk.Template); ok {
		return c.sendTemplate(ctx, m, t)
	}
	// Refused before anybody is asked for, which costs requests.
	send, said, err := outgoing(m)
	if err != nil {
		return sdk.Receipt{}, err
	}
	o, err := ordersOf(m.Hints)
	if err != nil {
		return sdk.Receipt{}, err
	}
	userNS, err := c.userOf(ctx, m.To)
	if err != nil {
		return sdk.Receipt{}, err
	}
	if err := c.before(ctx, userNS, o); err != nil {
		return sdk.Receipt{}, err
	}
	if send.body != nil {
		send.body["user_ns"] = userNS
		// Before the request: a webhook may come sooner than its answer.
		c.remember(userNS, said)
		if err := c.api.do(ctx, send, nil); err != nil {
			if f := failureOf(err); f.Outcome == failure.NotSent {
				c.forget(userNS, said)
			}
			return sdk.Receipt{}, err
		}
		if c.account.ResumeBot == resumeAlways {
			o.resume = true
		}
	}
	c.after(ctx, userNS, o)
	return sdk.Receipt{State: sdk.DeliveryAccepted}, nil
}

// userOf finds the contact of a message. An address of another bot is another
// installation's.
func (c *channel) userOf(ctx context.Context, to []sdk.Address) (string, error) {
	for _, a := range to {
		if a.Kind == kindUser && c.ours(a.Value) {
			return a.Value, nil
		}
	}
	id := c.userIDOf(to)
	if id == "" {
		return "", refusal(failure.Recipient, failure.Tenant, "the person has no address in this bot")
	}
	p, err := c.find(ctx, id, false)
	if err != nil {
		return "", err
	}
	return string(p.UserNS), nil
}

// userIDOf is the person's id in the bot's channel; empty if none is known.
func (c *channel) userIDOf(to []sdk.Address) string {
	kind := addressKinds[c.account.Channel]
	for _, a := range to {
		switch {
		case a.Value == "":
		case kind == "wa_id" && (a.Kind == kind || a.Kind == "phone"):
			if d := digitsOf(a.Value); d != "" {
				return d
			}
		case a.Kind == kind:
			return a.Value
		}
	}
	return ""
}
