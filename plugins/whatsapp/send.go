package main

import (
	"context"
	"net/http"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// maxCallbackData is the longest value that comes back with a message's ticks.
const maxCallbackData = 512

// Send implements [sdk.Channel].
func (c *channel) Send(ctx context.Context, m sdk.Message) (sdk.Receipt, error) {
	body, err := outgoing(m)
	if err != nil {
		return sdk.Receipt{}, err
	}
	var taken struct {
		Contacts []struct {
			WaID   str `json:"wa_id"`
			UserID str `json:"user_id"`
		} `json:"contacts"`
		Messages []struct {
			ID str `json:"id"`
		} `json:"messages"`
	}
	err = c.graph.do(ctx, call{path: []string{c.account.PhoneNumberID, "messages"}, body: body, attempt: m.Attempt}, &taken)
	if err != nil {
		return sdk.Receipt{}, err
	}
	if len(taken.Messages) == 0 || taken.Messages[0].ID == "" {
		f := failure.New(failure.Temporary, "WhatsApp took the message without naming it")
		f.Outcome, f.Blame, f.HTTPStatus = failure.Unknown, failure.Provider, http.StatusOK
		return sdk.Receipt{}, f
	}
	receipt := sdk.Receipt{ProviderMessageID: string(taken.Messages[0].ID), State: sdk.DeliveryAccepted}
	if len(taken.Contacts) > 0 {
		receipt.Recipient = addresses(taken.Contacts[0].WaID, taken.Contacts[0].UserID)
	}
	return receipt, nil
}

// outgoing writes a message as the provider wants it. Its errors are failures.
func outgoing(m sdk.Message) (object, error) {
	body := object{"messaging_product": "whatsapp", "recipient_type": "individual"}
	if !address(body, m.To) {
		return nil, refusal(failure.Recipient, failure.Tenant, "the person has no WhatsApp address")
	}
	kind, what, err := compose(m.Content)
	if err != nil {
		return nil, err
	}
	body["type"], body[kind] = kind, what
	if m.ReplyTo != "" && kind != "reaction" {
		body["context"] = object{"message_id": m.ReplyTo}
	}
	if m.IdempotencyKey != "" && len(m.IdempotencyKey) <= maxCallbackData {
		body["biz_opaque_callback_data"] = m.IdempotencyKey
	}
	return body, nil
}

// address writes the first of the person's addresses that can be sent to.
// Only one goes along: given both, the provider would take the phone.
func address(body object, to []sdk.Address) bool {
	for _, a := range to {
		switch {
		case a.Value == "":
		case a.Kind == kindPhone, a.Kind == "phone":
			body["to"] = a.Value
			return true
		case a.Kind == kindUser:
			body["recipient"] = a.Value
			return true
		}
	}
	return false
}

func refusal(code failure.Code, blame failure.Blame, words string) *failure.Failure {
	f := failure.New(code, "%s", words)
	f.Outcome, f.Blame = failure.NotSent, blame
	return f
}

// Signal implements [sdk.Signaler]. WhatsApp shows typing only together with
// the read mark of the message that is being answered.
func (c *channel) Signal(ctx context.Context, s sdk.Signal) error {
	if s.ProviderMessageID == "" {
		return refusal(failure.InvalidRequest, failure.Plugin, "a read mark needs the message that was read")
	}
	body := object{"messaging_product": "whatsapp", "status": "read", "message_id": s.ProviderMessageID}
	switch s.Kind {
	case "read":
	case "typing":
		body["typing_indicator"] = object{"type": "text"}
	default:
		return refusal(failure.Unsupported, failure.Plugin, "WhatsApp has no such signal")
	}
	return c.graph.do(ctx, call{path: []string{c.account.PhoneNumberID, "messages"}, body: body}, nil)
}
