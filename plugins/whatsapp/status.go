package main

import (
	"encoding/json"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// deliveryStates are the statuses that are ticks.
var deliveryStates = map[str]sdk.DeliveryState{
	"sent":      sdk.DeliverySent,
	"delivered": sdk.DeliveryDelivered,
	"read":      sdk.DeliveryRead,
	"played":    sdk.DeliveryPlayed,
	"failed":    sdk.DeliveryFailed,
}

// codeOptedOut is the error of a person who stopped marketing messages.
const codeOptedOut = "131050"

// status reads an element of statuses.
func (t *translation) status(v value, raw json.RawMessage) {
	if isNothing(raw) {
		return
	}
	var s status
	if read(raw, &s) != nil || !isObject(raw) || s.ID == "" || len(s.ID) > maxID {
		t.keepOf(v, "status", raw)
		return
	}
	state, ok := deliveryStates[s.Status]
	if !ok {
		t.keepOf(v, "status/"+string(s.Status), raw)
		return
	}
	recipient, key := recipientOf(v, s), "status:"+string(s.ID)+":"+string(s.Status)
	if s.RecipientType == "group" {
		// Each member of a group ticks by himself.
		key += ":" + orderOf(recipient)
	}
	update := sdk.DeliveryUpdate{
		ProviderMessageID: string(s.ID),
		IdempotencyKey:    clip(string(s.CallbackData), maxID),
		State:             state,
		PricingCategory:   string(s.Pricing.Category),
		Recipient:         recipient,
	}
	if state == sdk.DeliveryFailed {
		update.Failure = statusFailure(s.Errors)
	}
	event := sdk.Event{
		DedupeKey:   key,
		OccurredAt:  moment(s.Timestamp, t.arrived),
		RouteKeys:   t.keys(v),
		OrderingKey: orderOf(recipient),
		Payload:     update,
	}
	t.add(event, raw)
	if update.Failure != nil && update.Failure.ProviderCode == codeOptedOut && len(recipient.Addresses) > 0 {
		event.DedupeKey = "consent:" + string(s.ID)
		event.Payload = sdk.ConsentChange{Contact: recipient, Scope: "marketing"}
		t.add(event, raw)
	}
}

func recipientOf(v value, s status) sdk.Party {
	if s.RecipientType == "group" {
		return v.people.party(s.ParticipantID, s.ParticipantUserID, s.ParentParticipantUserID)
	}
	return v.people.party(s.RecipientID, s.RecipientUserID, s.ParentRecipientUserID)
}

// statusFailure is why a message failed after it was taken.
func statusFailure(errs []graphBody) *failure.Failure {
	for _, e := range errs {
		if e.Code != "" {
			return refuse(e, 0, 1)
		}
	}
	f := failure.New(failure.InvalidRequest, "WhatsApp reports that the message failed, without a reason")
	f.Outcome, f.Blame = failure.NotSent, failure.Provider
	return f
}
