package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/stratohub/strato/sdk"
)

// message reads an element of messages.
func (t *translation) message(v value, raw json.RawMessage) {
	if isNothing(raw) {
		return
	}
	var m message
	if read(raw, &m) != nil || !isObject(raw) || m.ID == "" || len(m.ID) > maxID {
		t.keepOf(v, "message", raw)
		return
	}
	switch {
	case m.Type == "request_welcome":
		return
	case m.From != "" && isOurs(v.Metadata, m.From):
		t.outbound(v, m, raw)
		return
	case m.Type == "system":
		t.system(v, m, raw)
		return
	case m.GroupID != "":
		// The core knows conversations of two; an answer would go to one person.
		t.keepOf(v, "message/group", raw)
		return
	}
	from := v.people.party(m.From, m.FromUserID, m.FromParentUserID)
	if len(from.Addresses) == 0 {
		t.keepOf(v, "message/"+string(m.Type), raw)
		return
	}
	at := moment(m.Timestamp, t.arrived)
	t.add(sdk.Event{
		DedupeKey:   "message:" + string(m.ID),
		OccurredAt:  at,
		RouteKeys:   t.keys(v),
		OrderingKey: orderOf(from),
		Payload: sdk.InboundMessage{
			ProviderMessageID: string(m.ID),
			From:              from,
			To:                us(v.Metadata),
			Content:           content(m, raw),
			ReplyTo:           replyTo(m),
			Referral:          referralOf(m.Referral),
			Forwarded:         m.Context.Forwarded || m.Context.FrequentlyForwarded,
			WindowExpiresAt:   at.Add(window),
		},
	}, raw)
}

// echo reads an element of message_echoes: a message that the tenant sent from
// the phone app, or that Meta's own agent sent for the tenant.
func (t *translation) echo(v value, raw json.RawMessage) {
	if isNothing(raw) {
		return
	}
	var m message
	if read(raw, &m) != nil || !isObject(raw) || m.ID == "" || len(m.ID) > maxID {
		t.keepOf(v, "echo", raw)
		return
	}
	t.outbound(v, m, raw)
}

// outbound adds a message that our own number wrote.
func (t *translation) outbound(v value, m message, raw json.RawMessage) {
	to := v.people.party(m.To, m.ToUserID)
	if len(to.Addresses) == 0 || !isDigits(string(v.Metadata.PhoneNumberID)) {
		t.keepOf(v, "echo/"+string(m.Type), raw)
		return
	}
	t.add(sdk.Event{
		DedupeKey:   "message:" + string(m.ID),
		OccurredAt:  moment(m.Timestamp, t.arrived),
		RouteKeys:   t.keys(v),
		OrderingKey: orderOf(to),
		Payload: sdk.MessageEcho{
			ProviderMessageID: string(m.ID),
			To:                to,
			From:              us(v.Metadata),
			Content:           content(m, raw),
			ReplyTo:           replyTo(m),
		},
	}, raw)
}

// system reads a message by which WhatsApp tells of a person's new ids.
func (t *translation) system(v value, m message, raw json.RawMessage) {
	s := m.System
	if s == nil {
		t.keepOf(v, "system", raw)
		return
	}
	phone := s.WaID
	if phone == "" {
		phone = s.NewWaID
	}
	if phone == "" {
		phone = m.From
	}
	now := v.people.party(phone, s.UserID, s.ParentUserID)
	before := addresses(m.From, m.FromUserID, m.FromParentUserID, s.PreviousUserID, s.PreviousParentUserID)
	previous := slices.DeleteFunc(slices.Clone(before), func(a sdk.Address) bool { return slices.Contains(now.Addresses, a) })
	isNew := func(a sdk.Address) bool { return !slices.Contains(before, a) }
	// Without a former id there is nobody to change, without a new one nothing.
	if len(previous) == 0 || !slices.ContainsFunc(now.Addresses, isNew) {
		t.keepOf(v, "system/"+string(s.Type), raw)
		return
	}
	t.add(sdk.Event{
		DedupeKey:   "message:" + string(m.ID),
		OccurredAt:  moment(m.Timestamp, t.arrived),
		RouteKeys:   t.keys(v),
		OrderingKey: orderOf(sdk.Party{Addresses: before}),
		Payload:     sdk.ContactUpdate{Contact: now, Previous: previous},
	}, raw)
}

// isOurs reports whether an id is that of the business's own number.
func isOurs(m metadata, from str) bool {
	own := make([]byte, 0, len(m.DisplayPhoneNumber))
	for _, c := range []byte(m.DisplayPhoneNumber) {
		if c >= '0' && c <= '9' {
			own = append(own, c)
		}
	}
	return len(own) > 0 && string(own) == string(from) || from == m.PhoneNumberID
}

// us is our side of a conversation.
func us(m metadata) sdk.Address {
	return sdk.Address{Kind: keyNumber, Value: string(m.PhoneNumberID)}
}

// replyTo is the id of the message that m answers, corrects or takes back.
func replyTo(m message) string {
	id := m.Context.ID
	switch {
	case m.Edit != nil && m.Edit.OriginalMessageID != "":
		id = m.Edit.OriginalMessageID
	case m.Revoke != nil && m.Revoke.OriginalMessageID != "":
		id = m.Revoke.OriginalMessageID
	}
	if len(id) > maxID {
		return ""
	}
	return string(id)
}

func referralOf(r *referral) *sdk.Referral {
	if r == nil || *r == (referral{}) {
		return nil
	}
	media := r.ImageURL
	for _, other := range []str{r.VideoURL, r.ThumbnailURL} {
		if media == "" {
			media = other
		}
	}
	return &sdk.Referral{
		SourceType: string(r.SourceType),
		SourceID:   string(r.SourceID),
		SourceURL:  string(r.SourceURL),
		Headline:   string(r.Headline),
		Body:       string(r.Body),
		ClickID:    string(r.ClickID),
		MediaURL:   string(media),
	}
}

// unsupported keeps a message that cannot be shown, with the best words there are.
func unsupported(m message, raw json.RawMessage) sdk.Content {
	u := sdk.Unsupported{ProviderType: string(m.Type), Detail: string(m.Text.Body), Raw: raw}
	if m.Unsupported.Type != "" {
		u.ProviderType = string(m.Unsupported.Type)
	}
	switch {
	case u.Detail != "":
	case m.Edit != nil:
		u.Detail = string(m.Edit.Message.Text.Body)
	case m.Order != nil:
		u.Detail = string(m.Order.Text)
		if u.Detail == "" {
			u.Detail = fmt.Sprintf("order of %d products", len(m.Order.Items))
		}
	case len(m.Errors) > 0:
		u.Detail = m.Errors[0].words()
	}
	return u
}
