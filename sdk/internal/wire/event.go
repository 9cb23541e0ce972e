package wire

import (
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// ToEvents reads events.
func ToEvents(p []*pluginv1.Event) []sdk.Event { return each(p, ToEvent) }

// FromEvents writes events.
func FromEvents(e []sdk.Event) []*pluginv1.Event { return each(e, FromEvent) }

// ToEvent reads an event. A payload that this version does not know is nil.
func ToEvent(p *pluginv1.Event) sdk.Event {
	return sdk.Event{
		DedupeKey: p.GetDedupeKey(), OccurredAt: toTime(p.GetOccurredAt()), RouteKeys: ToRouteKeys(p.GetRouteKeys()),
		OrderingKey: p.GetOrderingKey(), Payload: toPayload(p),
	}
}

// FromEvent writes an event.
func FromEvent(e sdk.Event) *pluginv1.Event {
	p := &pluginv1.Event{
		DedupeKey: e.DedupeKey, OccurredAt: fromTime(e.OccurredAt), RouteKeys: FromRouteKeys(e.RouteKeys), OrderingKey: e.OrderingKey,
	}
	fromPayload(e.Payload, p)
	return p
}

func toPayload(p *pluginv1.Event) sdk.Payload {
	switch k := p.GetPayload().(type) {
	case *pluginv1.Event_Inbound:
		return toInbound(k.Inbound)
	case *pluginv1.Event_Echo:
		m := k.Echo
		return sdk.MessageEcho{
			ProviderMessageID: m.GetProviderMessageId(), To: toParty(m.GetTo()), From: ToAddress(m.GetFrom()),
			Content: ToContent(m.GetContent()), ReplyTo: m.GetReplyToMessageId(),
		}
	case *pluginv1.Event_Delivery:
		d := k.Delivery
		return sdk.DeliveryUpdate{
			ProviderMessageID: d.GetProviderMessageId(), IdempotencyKey: d.GetIdempotencyKey(), State: sdk.DeliveryState(d.GetState()),
			Failure: ToFailure(d.GetFailure()), PricingCategory: d.GetPricingCategory(),
			WindowExpiresAt: toTime(d.GetWindowExpiresAt()), Recipient: toParty(d.GetRecipient()),
		}
	case *pluginv1.Event_Contact:
		c := k.Contact
		return sdk.ContactUpdate{
			Contact: toParty(c.GetContact()), Previous: each(c.GetPreviousAddresses(), ToAddress), Fields: c.GetFields(),
			TagsAdded: c.GetTagsAdded(), TagsRemoved: c.GetTagsRemoved(),
		}
	case *pluginv1.Event_Consent:
		return sdk.ConsentChange{Contact: toParty(k.Consent.GetContact()), OptedIn: k.Consent.GetOptedIn(), Scope: k.Consent.GetScope()}
	case *pluginv1.Event_Lead:
		l := k.Lead
		return sdk.LeadCaptured{
			ProviderLeadID: l.GetProviderLeadId(), Contact: toParty(l.GetContact()), Source: l.GetSource(), Campaign: l.GetCampaign(),
			Fields: l.GetFields(), ListingReference: l.GetListingReference(), Referral: toReferral(l.GetReferral()),
			FormID: l.GetFormId(), FormName: l.GetFormName(), Test: l.GetTest(),
		}
	case *pluginv1.Event_Call:
		return toCall(k.Call)
	case *pluginv1.Event_Template:
		t := k.Template
		return sdk.TemplateUpdate{Name: t.GetName(), Language: t.GetLanguage(), Status: t.GetStatus(), Reason: t.GetReason()}
	case *pluginv1.Event_Account:
		return sdk.AccountUpdate{Kind: k.Account.GetKind(), Detail: k.Account.GetDetail(), State: sdk.Health(k.Account.GetState())}
	case *pluginv1.Event_Unrecognized:
		return sdk.Unrecognized{ProviderType: k.Unrecognized.GetProviderType(), Raw: k.Unrecognized.GetRaw()}
	}
	return nil
}

func fromPayload(payload sdk.Payload, p *pluginv1.Event) {
	switch e := payload.(type) {
	case sdk.InboundMessage:
		p.Payload = &pluginv1.Event_Inbound{Inbound: fromInbound(e)}
	case sdk.MessageEcho:
		p.Payload = &pluginv1.Event_Echo{Echo: &pluginv1.MessageEcho{
			ProviderMessageId: e.ProviderMessageID, To: fromParty(e.To), From: FromAddress(e.From),
			Content: FromContent(e.Content), ReplyToMessageId: e.ReplyTo,
		}}
	case sdk.DeliveryUpdate:
		p.Payload = &pluginv1.Event_Delivery{Delivery: &pluginv1.DeliveryUpdate{
			ProviderMessageId: e.ProviderMessageID, IdempotencyKey: e.IdempotencyKey, State: pluginv1.DeliveryState(e.State),
			Failure: FromFailure(e.Failure), PricingCategory: e.PricingCategory,
			WindowExpiresAt: fromTime(e.WindowExpiresAt), Recipient: fromParty(e.Recipient),
		}}
	case sdk.ContactUpdate:
		p.Payload = &pluginv1.Event_Contact{Contact: &pluginv1.ContactUpdate{
			Contact: fromParty(e.Contact), PreviousAddresses: each(e.Previous, FromAddress), Fields: e.Fields,
			TagsAdded: e.TagsAdded, TagsRemoved: e.TagsRemoved,
		}}
	case sdk.ConsentChange:
		p.Payload = &pluginv1.Event_Consent{Consent: &pluginv1.ConsentChange{Contact: fromParty(e.Contact), OptedIn: e.OptedIn, Scope: e.Scope}}
	case sdk.LeadCaptured:
		p.Payload = &pluginv1.Event_Lead{Lead: &pluginv1.LeadCaptured{
			ProviderLeadId: e.ProviderLeadID, Contact: fromParty(e.Contact), Source: e.Source, Campaign: e.Campaign,
			Fields: e.Fields, ListingReference: e.ListingReference, Referral: fromReferral(e.Referral),
			FormId: e.FormID, FormName: e.FormName, Test: e.Test,
		}}
	case sdk.CallUpdate:
		p.Payload = &pluginv1.Event_Call{Call: fromCall(e)}
	case sdk.TemplateUpdate:
		p.Payload = &pluginv1.Event_Template{Template: &pluginv1.TemplateUpdate{Name: e.Name, Language: e.Language, Status: e.Status, Reason: e.Reason}}
	case sdk.AccountUpdate:
		p.Payload = &pluginv1.Event_Account{Account: &pluginv1.AccountUpdate{Kind: e.Kind, Detail: e.Detail, State: pluginv1.HealthState(e.State)}}
	case sdk.Unrecognized:
		p.Payload = &pluginv1.Event_Unrecognized{Unrecognized: &pluginv1.Unrecognized{ProviderType: e.ProviderType, Raw: e.Raw}}
	}
}

func toInbound(m *pluginv1.InboundMessage) sdk.InboundMessage {
	out := sdk.InboundMessage{
		ProviderMessageID: m.GetProviderMessageId(), From: toParty(m.GetFrom()), To: ToAddress(m.GetTo()),
		Content: ToContent(m.GetContent()), ReplyTo: m.GetReplyToMessageId(), Forwarded: m.GetForwarded(),
		WindowExpiresAt: toTime(m.GetWindowExpiresAt()),
	}
	out.Referral = toReferral(m.GetReferral())
	return out
}

func fromInbound(m sdk.InboundMessage) *pluginv1.InboundMessage {
	out := &pluginv1.InboundMessage{
		ProviderMessageId: m.ProviderMessageID, From: fromParty(m.From), To: FromAddress(m.To), Content: FromContent(m.Content),
		ReplyToMessageId: m.ReplyTo, Forwarded: m.Forwarded, WindowExpiresAt: fromTime(m.WindowExpiresAt),
	}
	out.Referral = fromReferral(m.Referral)
	return out
}

func toCall(c *pluginv1.CallUpdate) sdk.CallUpdate {
	return sdk.CallUpdate{
		ProviderCallID: c.GetProviderCallId(), IdempotencyKey: c.GetIdempotencyKey(), State: c.GetState(),
		Duration: toDuration(c.GetDuration()), Recording: toMediaRefPtr(c.GetRecording()), Transcript: c.GetTranscriptJson(),
		Summary: c.GetSummary(), Collected: c.GetDataCollected(), Contact: toParty(c.GetContact()), Direction: c.GetDirection(),
		Reason: c.GetReason(), Verdict: c.GetVerdict(), Evaluation: c.GetEvaluation(), OtherIDs: c.GetOtherCallIds(),
	}
}

func fromCall(c sdk.CallUpdate) *pluginv1.CallUpdate {
	return &pluginv1.CallUpdate{
		ProviderCallId: c.ProviderCallID, IdempotencyKey: c.IdempotencyKey, State: c.State, Duration: fromDuration(c.Duration),
		Recording: fromMediaRefPtr(c.Recording), TranscriptJson: c.Transcript, Summary: c.Summary, DataCollected: c.Collected,
		Contact: fromParty(c.Contact), Direction: c.Direction, Reason: c.Reason, Verdict: c.Verdict, Evaluation: c.Evaluation,
		OtherCallIds: c.OtherIDs,
	}
}

func toReferral(r *pluginv1.Referral) *sdk.Referral {
	if r == nil {
		return nil
	}
	return &sdk.Referral{
		SourceType: r.GetSourceType(), SourceID: r.GetSourceId(), SourceURL: r.GetSourceUrl(), Headline: r.GetHeadline(),
		Body: r.GetBody(), ClickID: r.GetClickId(), MediaURL: r.GetMediaUrl(),
	}
}

func fromReferral(r *sdk.Referral) *pluginv1.Referral {
	if r == nil {
		return nil
	}
	return &pluginv1.Referral{
		SourceType: r.SourceType, SourceId: r.SourceID, SourceUrl: r.SourceURL, Headline: r.Headline,
		Body: r.Body, ClickId: r.ClickID, MediaUrl: r.MediaURL,
	}
}
