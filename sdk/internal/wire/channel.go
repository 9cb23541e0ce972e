package wire

import (
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// ToMessage reads a message to deliver.
func ToMessage(p *pluginv1.SendRequest) sdk.Message {
	return sdk.Message{
		IdempotencyKey: p.GetIdempotencyKey(), Attempt: int(p.GetAttempt()), To: each(p.GetTo(), ToAddress), From: ToAddress(p.GetFrom()),
		Content: ToContent(p.GetContent()), ReplyTo: p.GetReplyToMessageId(), WindowExpiresAt: toTime(p.GetWindowExpiresAt()), Hints: p.GetHints(),
	}
}

// FromMessage writes a message to deliver on behalf of an installation.
func FromMessage(i *pluginv1.Installation, m sdk.Message) *pluginv1.SendRequest {
	return &pluginv1.SendRequest{
		Installation: i, IdempotencyKey: m.IdempotencyKey, Attempt: uint32(max(m.Attempt, 0)), To: each(m.To, FromAddress),
		From: FromAddress(m.From), Content: FromContent(m.Content), ReplyToMessageId: m.ReplyTo,
		WindowExpiresAt: fromTime(m.WindowExpiresAt), Hints: m.Hints,
	}
}

// ToReceipt reads a receipt.
func ToReceipt(p *pluginv1.Receipt) sdk.Receipt {
	return sdk.Receipt{
		ProviderMessageID: p.GetProviderMessageId(), State: sdk.DeliveryState(p.GetState()),
		AcceptedAt: toTime(p.GetAcceptedAt()), Recipient: each(p.GetRecipient(), ToAddress), Uploaded: each(p.GetUploaded(), toUploaded),
	}
}

func toUploaded(p *pluginv1.UploadedFile) sdk.UploadedFile {
	return sdk.UploadedFile{BlobID: p.GetBlobId(), ProviderID: p.GetProviderMediaId(), ExpiresAt: toTime(p.GetExpiresAt())}
}

func fromUploaded(f sdk.UploadedFile) *pluginv1.UploadedFile {
	return &pluginv1.UploadedFile{BlobId: f.BlobID, ProviderMediaId: f.ProviderID, ExpiresAt: fromTime(f.ExpiresAt)}
}

// FromReceipt writes a receipt.
func FromReceipt(r sdk.Receipt) *pluginv1.Receipt {
	return &pluginv1.Receipt{
		ProviderMessageId: r.ProviderMessageID, State: pluginv1.DeliveryState(r.State),
		AcceptedAt: fromTime(r.AcceptedAt), Recipient: each(r.Recipient, FromAddress), Uploaded: each(r.Uploaded, fromUploaded),
	}
}

// ToSignal reads a signal.
func ToSignal(p *pluginv1.SignalRequest) sdk.Signal {
	return sdk.Signal{Kind: p.GetKind(), To: ToAddress(p.GetTo()), From: ToAddress(p.GetFrom()), ProviderMessageID: p.GetProviderMessageId()}
}

// FromSignal writes a signal on behalf of an installation.
func FromSignal(i *pluginv1.Installation, s sdk.Signal) *pluginv1.SignalRequest {
	return &pluginv1.SignalRequest{
		Installation: i, Kind: s.Kind, To: FromAddress(s.To), From: FromAddress(s.From), ProviderMessageId: s.ProviderMessageID,
	}
}

// ToWebhook reads one delivery of a webhook.
func ToWebhook(p *pluginv1.WebhookDelivery) sdk.Webhook {
	return sdk.Webhook{
		Endpoint: p.GetEndpoint(), Request: ToRequest(p.GetRequest()), MatchedKeys: ToRouteKeys(p.GetMatchedKeys()),
		Replay: p.GetReplay(), Routed: p.GetRouted(),
	}
}

// FromWebhook writes one delivery of a webhook.
func FromWebhook(w sdk.Webhook) *pluginv1.WebhookDelivery {
	return &pluginv1.WebhookDelivery{
		Endpoint: w.Endpoint, Request: FromRequest(w.Request), MatchedKeys: FromRouteKeys(w.MatchedKeys),
		Replay: w.Replay, Routed: w.Routed,
	}
}

// ToWebhookResult reads the result of a webhook; its failure is apart.
func ToWebhookResult(p *pluginv1.WebhookResult) sdk.WebhookResult {
	return sdk.WebhookResult{Verified: p.GetVerified(), Response: ToResponse(p.GetResponse()), Events: ToEvents(p.GetEvents())}
}

// FromWebhookResult writes the result of a webhook.
func FromWebhookResult(r sdk.WebhookResult) *pluginv1.WebhookResult {
	return &pluginv1.WebhookResult{Verified: r.Verified, Response: FromResponse(r.Response), Events: FromEvents(r.Events)}
}

func toPart(p *pluginv1.RoutedPart) sdk.RoutedPart {
	return sdk.RoutedPart{Keys: ToRouteKeys(p.GetRouteKeys()), Body: p.GetBody()}
}

func fromPart(r sdk.RoutedPart) *pluginv1.RoutedPart {
	return &pluginv1.RoutedPart{RouteKeys: FromRouteKeys(r.Keys), Body: r.Body}
}

// ToRouting reads where a request belongs; its failure is apart.
func ToRouting(p *pluginv1.WebhookRouting) sdk.Routing {
	r := sdk.Routing{Verified: p.GetVerified(), Parts: each(p.GetParts(), toPart)}
	if p.GetFinalResponse() != nil {
		final := ToResponse(p.GetFinalResponse())
		r.Final = &final
	}
	return r
}

// FromRouting writes where a request belongs.
func FromRouting(r sdk.Routing) *pluginv1.WebhookRouting {
	p := &pluginv1.WebhookRouting{Verified: r.Verified, Parts: each(r.Parts, fromPart)}
	if r.Final != nil {
		p.FinalResponse = FromResponse(*r.Final)
	}
	return p
}
