// Package wire converts between the SDK's Go types and the messages of the
// protocol. A test walks both sides by reflection, so that no field is
// forgotten in either direction.
package wire

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// each converts a slice; an empty one becomes nil.
func each[A, B any](in []A, f func(A) B) []B {
	if len(in) == 0 {
		return nil
	}
	out := make([]B, len(in))
	for i := range in {
		out[i] = f(in[i])
	}
	return out
}

func fromTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func toTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func fromDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func toDuration(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.AsDuration()
}

// ToInstallation reads an installation. The host token stays behind: it is the
// SDK's, not the author's.
func ToInstallation(p *pluginv1.Installation) sdk.Installation {
	return sdk.Installation{
		TenantID: p.GetTenantId(), ID: p.GetInstallationId(), Revision: p.GetRevision(), SettingsVersion: p.GetSettingsVersion(),
		Settings: p.GetSettingsJson(), Secrets: p.GetSecrets(), WebhookURL: p.GetWebhookUrl(),
		TimeZone: p.GetTimezone(), Locale: p.GetLocale(),
	}
}

// FromInstallation writes an installation.
func FromInstallation(i sdk.Installation) *pluginv1.Installation {
	return &pluginv1.Installation{
		TenantId: i.TenantID, InstallationId: i.ID, Revision: i.Revision, SettingsVersion: i.SettingsVersion,
		SettingsJson: i.Settings, Secrets: i.Secrets, WebhookUrl: i.WebhookURL, Timezone: i.TimeZone, Locale: i.Locale,
	}
}

// ToFailure reads a failure; nil stays nil.
func ToFailure(p *pluginv1.Failure) *failure.Failure {
	if p == nil {
		return nil
	}
	return &failure.Failure{
		Code: failure.Code(p.GetCode()), Outcome: failure.Outcome(p.GetOutcome()), Blame: failure.Blame(p.GetBlame()),
		RetryAfter: toDuration(p.GetRetryAfter()), Message: p.GetMessage(), ProviderCode: p.GetProviderCode(),
		TraceID: p.GetProviderTraceId(), HTTPStatus: int(p.GetHttpStatus()), Limit: p.GetLimit(),
	}
}

// FromFailure writes a failure as it is; nil stays nil.
func FromFailure(f *failure.Failure) *pluginv1.Failure {
	if f == nil {
		return nil
	}
	return &pluginv1.Failure{
		Code: pluginv1.FailureCode(f.Code), Outcome: pluginv1.Outcome(f.Outcome), Blame: pluginv1.Blame(f.Blame),
		RetryAfter: fromDuration(f.RetryAfter), Message: f.Message, ProviderCode: f.ProviderCode,
		ProviderTraceId: f.TraceID, HttpStatus: uint32(max(f.HTTPStatus, 0)), Limit: f.Limit,
	}
}

// ToRouteKey reads a routing key.
func ToRouteKey(p *pluginv1.RouteKey) sdk.RouteKey {
	return sdk.RouteKey{Kind: p.GetKind(), Value: p.GetValue()}
}

// FromRouteKey writes a routing key.
func FromRouteKey(k sdk.RouteKey) *pluginv1.RouteKey {
	return &pluginv1.RouteKey{Kind: k.Kind, Value: k.Value}
}

// ToRouteKeys reads routing keys.
func ToRouteKeys(p []*pluginv1.RouteKey) []sdk.RouteKey { return each(p, ToRouteKey) }

// FromRouteKeys writes routing keys.
func FromRouteKeys(k []sdk.RouteKey) []*pluginv1.RouteKey { return each(k, FromRouteKey) }

// ToAddress reads an address; nil is the zero address.
func ToAddress(p *pluginv1.Address) sdk.Address {
	return sdk.Address{Kind: p.GetKind(), Value: p.GetValue()}
}

// FromAddress writes an address; the zero address is nil.
func FromAddress(a sdk.Address) *pluginv1.Address {
	if a == (sdk.Address{}) {
		return nil
	}
	return &pluginv1.Address{Kind: a.Kind, Value: a.Value}
}

func toParty(p *pluginv1.Party) sdk.Party {
	return sdk.Party{Addresses: each(p.GetAddresses(), ToAddress), DisplayName: p.GetDisplayName(), Username: p.GetUsername()}
}

func fromParty(p sdk.Party) *pluginv1.Party {
	if len(p.Addresses) == 0 && p.DisplayName == "" && p.Username == "" {
		return nil
	}
	return &pluginv1.Party{Addresses: each(p.Addresses, FromAddress), DisplayName: p.DisplayName, Username: p.Username}
}

func toHeader(p *pluginv1.Header) sdk.Header {
	return sdk.Header{Name: p.GetName(), Value: p.GetValue()}
}

func fromHeader(h sdk.Header) *pluginv1.Header { return &pluginv1.Header{Name: h.Name, Value: h.Value} }

// ToRequest reads a webhook request.
func ToRequest(p *pluginv1.HttpRequest) sdk.Request {
	return sdk.Request{
		Method: p.GetMethod(), Path: p.GetPath(), RawQuery: p.GetRawQuery(), Headers: each(p.GetHeaders(), toHeader),
		Body: p.GetBody(), RemoteAddr: p.GetRemoteAddr(), ReceivedAt: toTime(p.GetReceivedAt()),
	}
}

// FromRequest writes a webhook request.
func FromRequest(r sdk.Request) *pluginv1.HttpRequest {
	return &pluginv1.HttpRequest{
		Method: r.Method, Path: r.Path, RawQuery: r.RawQuery, Headers: each(r.Headers, fromHeader),
		Body: r.Body, RemoteAddr: r.RemoteAddr, ReceivedAt: fromTime(r.ReceivedAt),
	}
}

// ToResponse reads an answer; nil is the zero answer.
func ToResponse(p *pluginv1.HttpResponse) sdk.Response {
	return sdk.Response{Status: int(p.GetStatus()), Headers: each(p.GetHeaders(), toHeader), Body: p.GetBody()}
}

// FromResponse writes an answer.
func FromResponse(r sdk.Response) *pluginv1.HttpResponse {
	return &pluginv1.HttpResponse{Status: uint32(max(r.Status, 0)), Headers: each(r.Headers, fromHeader), Body: r.Body}
}
