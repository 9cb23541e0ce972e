package wire

import (
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// ToSpeech reads a text to speak.
func ToSpeech(p *pluginv1.SynthesizeRequest) sdk.Speech {
	return sdk.Speech{
		IdempotencyKey: p.GetIdempotencyKey(), Text: p.GetText(), VoiceID: p.GetVoiceId(), ModelID: p.GetModelId(),
		Format: p.GetFormat(), Language: p.GetLanguage(), Options: p.GetOptions(), KnownKey: p.GetKnownKey(),
	}
}

// FromSpeech writes a text to speak on behalf of an installation.
func FromSpeech(i *pluginv1.Installation, s sdk.Speech) *pluginv1.SynthesizeRequest {
	return &pluginv1.SynthesizeRequest{
		Installation: i, IdempotencyKey: s.IdempotencyKey, Text: s.Text, VoiceId: s.VoiceID, ModelId: s.ModelID,
		Format: s.Format, Language: s.Language, Options: s.Options, KnownKey: s.KnownKey,
	}
}

// ToAudioHead reads what is known before the audio.
func ToAudioHead(p *pluginv1.AudioHead) sdk.AudioHead {
	return sdk.AudioHead{MIMEType: p.GetMimeType(), SampleRate: p.GetSampleRate(), ProviderRequestID: p.GetProviderRequestId(), CacheKey: p.GetCacheKey()}
}

// FromAudioHead writes what is known before the audio.
func FromAudioHead(h sdk.AudioHead) *pluginv1.AudioHead {
	return &pluginv1.AudioHead{MimeType: h.MIMEType, SampleRate: h.SampleRate, ProviderRequestId: h.ProviderRequestID, CacheKey: h.CacheKey}
}

// ToAudioTail reads what is known after the audio.
func ToAudioTail(p *pluginv1.AudioTail) sdk.AudioTail {
	return sdk.AudioTail{Duration: toDuration(p.GetDuration()), BilledUnits: p.GetBilledUnits(), Unit: p.GetUnit()}
}

// FromAudioTail writes what is known after the audio.
func FromAudioTail(t sdk.AudioTail) *pluginv1.AudioTail {
	return &pluginv1.AudioTail{Duration: fromDuration(t.Duration), BilledUnits: t.BilledUnits, Unit: t.Unit}
}

// ToCallOrder reads a call to place.
func ToCallOrder(p *pluginv1.PlaceCallRequest) sdk.CallOrder {
	return sdk.CallOrder{
		IdempotencyKey: p.GetIdempotencyKey(), To: ToAddress(p.GetTo()), From: ToAddress(p.GetFrom()), AgentID: p.GetAgentId(),
		Variables: p.GetVariables(), MaxDuration: toDuration(p.GetMaxDuration()), RecordingConsent: p.GetRecordingConsent(),
	}
}

// FromCallOrder writes a call to place on behalf of an installation.
func FromCallOrder(i *pluginv1.Installation, o sdk.CallOrder) *pluginv1.PlaceCallRequest {
	return &pluginv1.PlaceCallRequest{
		Installation: i, IdempotencyKey: o.IdempotencyKey, To: FromAddress(o.To), From: FromAddress(o.From), AgentId: o.AgentID,
		Variables: o.Variables, MaxDuration: fromDuration(o.MaxDuration), RecordingConsent: o.RecordingConsent,
	}
}

// ToPlacedCall reads the name of a call; its failure is apart.
func ToPlacedCall(p *pluginv1.PlaceCallResponse) sdk.PlacedCall {
	return sdk.PlacedCall{ProviderCallID: p.GetProviderCallId(), State: p.GetState()}
}

// FromPlacedCall writes the name of a call.
func FromPlacedCall(c sdk.PlacedCall) *pluginv1.PlaceCallResponse {
	return &pluginv1.PlaceCallResponse{ProviderCallId: c.ProviderCallID, State: c.State}
}

// ToCallUpdate reads how a call is.
func ToCallUpdate(p *pluginv1.CallUpdate) sdk.CallUpdate { return toCall(p) }

// FromCallUpdate writes how a call is.
func FromCallUpdate(c sdk.CallUpdate) *pluginv1.CallUpdate { return fromCall(c) }
