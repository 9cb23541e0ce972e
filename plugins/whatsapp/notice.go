package main

import (
	"encoding/json"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// notice is what the fields about the account and its templates say, in the
// keys that are read.
type notice struct {
	Event          str `json:"event"`
	Decision       str `json:"decision"`
	Reason         str `json:"reason"`
	TemplateName   str `json:"message_template_name"`
	Language       str `json:"message_template_language"`
	CurrentLimit   str `json:"current_limit"`
	Username       str `json:"username"`
	Status         str `json:"status"`
	RequestedName  str `json:"requested_verified_name"`
	RejectedReason str `json:"rejection_reason"`
	MaxDaily       str `json:"max_daily_conversations_per_business"`
	RejectionInfo  struct {
		Reason str `json:"reason"`
	} `json:"rejection_info"`
	BanInfo struct {
		State str `json:"waba_ban_state"`
	} `json:"ban_info"`
	AlertInfo struct {
		Severity    str `json:"alert_severity"`
		Type        str `json:"alert_type"`
		Description str `json:"alert_description"`
	} `json:"alert_info"`
	DisconnectionInfo struct {
		Reason str `json:"reason"`
	} `json:"disconnection_info"`
}

// accountHealth is what an event of account_update says of the account; what
// is not listed says nothing.
var accountHealth = map[str]sdk.Health{
	"VERIFIED_ACCOUNT":    sdk.HealthOK,
	"ACCOUNT_RECONNECTED": sdk.HealthOK,
	"PARTNER_ADDED":       sdk.HealthOK,
	"ACCOUNT_RESTRICTION": sdk.HealthDegraded,
	"ACCOUNT_VIOLATION":   sdk.HealthDegraded,
	"DISABLED_UPDATE":     sdk.HealthFailed,
	"ACCOUNT_DELETED":     sdk.HealthFailed,
	"PARTNER_REMOVED":     sdk.HealthFailed,
	"ACCOUNT_OFFBOARDED":  sdk.HealthFailed,
}

// banHealth refines DISABLED_UPDATE, which is also sent when a ban ends.
var banHealth = map[str]sdk.Health{
	"REINSTATE":            sdk.HealthOK,
	"SCHEDULE_FOR_DISABLE": sdk.HealthDegraded,
}

// notice reads a field that carries neither messages nor statuses. Imported
// history ends here too: it is kept apart and is never live traffic.
func (t *translation) notice(field string, v value, raw json.RawMessage) {
	var n notice
	if !isObject(raw) || read(raw, &n) != nil {
		t.keepOf(v, field, raw)
		return
	}
	var payload sdk.Payload
	switch field {
	case "message_template_status_update":
		payload = templateUpdate(n)
	case "account_update", "account_review_update", "account_alerts", "phone_number_quality_update",
		"phone_number_name_update", "business_capability_update", "business_username_update", "security":
		payload = accountUpdate(field, n)
	}
	if payload == nil {
		t.keepOf(v, field, raw)
		return
	}
	t.add(sdk.Event{
		DedupeKey:  t.fingerprint(field, raw),
		OccurredAt: t.at,
		RouteKeys:  t.keys(v),
		Payload:    payload,
	}, raw)
}

// templateUpdate is nil if n is not about a template's standing: the field has
// been seen with news of quality in it.
func templateUpdate(n notice) sdk.Payload {
	if n.Event == "" || n.TemplateName == "" {
		return nil
	}
	reason := string(n.Reason)
	if reason == "NONE" {
		reason = ""
	}
	if n.RejectionInfo.Reason != "" {
		reason = joined(": ", reason, string(n.RejectionInfo.Reason))
	}
	return sdk.TemplateUpdate{
		Name:     string(n.TemplateName),
		Language: strings.ReplaceAll(string(n.Language), "-", "_"),
		Status:   strings.ToLower(string(n.Event)),
		Reason:   reason,
	}
}

func accountUpdate(field string, n notice) sdk.Payload {
	u := sdk.AccountUpdate{Kind: field}
	switch field {
	case "account_update":
		u.State = accountHealth[n.Event]
		if h, ok := banHealth[n.BanInfo.State]; ok && n.Event == "DISABLED_UPDATE" {
			u.State = h
		}
		u.Detail = joined(" ", string(n.Event), string(n.BanInfo.State), string(n.DisconnectionInfo.Reason))
	case "account_review_update":
		u.Detail = string(n.Decision)
		switch n.Decision {
		case "APPROVED":
			u.State = sdk.HealthOK
		case "REJECTED":
			u.State = sdk.HealthFailed
		}
	case "account_alerts":
		u.Detail = joined(": ", string(n.AlertInfo.Type), string(n.AlertInfo.Description))
		if n.AlertInfo.Severity == "CRITICAL" {
			u.State = sdk.HealthDegraded
		}
	case "phone_number_quality_update":
		u.Detail = joined(" ", string(n.Event), string(n.CurrentLimit))
		if n.Event == "FLAGGED" {
			u.State = sdk.HealthDegraded
		}
	default:
		u.Detail = joined(" ", string(n.Event), string(n.Decision), string(n.RequestedName), string(n.RejectedReason),
			string(n.Username), string(n.Status), string(n.MaxDaily))
	}
	if u.Detail == "" {
		return nil
	}
	return u
}

// preference reads an element of user_preferences: an opt-in or opt-out.
func (t *translation) preference(v value, raw json.RawMessage) {
	if isNothing(raw) {
		return
	}
	var p struct {
		WaID      str `json:"wa_id"`
		UserID    str `json:"user_id"`
		Category  str `json:"category"`
		Value     str `json:"value"`
		Timestamp str `json:"timestamp"`
	}
	known := read(raw, &p) == nil && isObject(raw) && p.Category == "marketing_messages" &&
		(p.Value == "stop" || p.Value == "resume" || p.Value == "signup")
	who := v.people.party(p.WaID, p.UserID)
	if !known || len(who.Addresses) == 0 {
		t.keepOf(v, "user_preferences", raw)
		return
	}
	t.add(sdk.Event{
		DedupeKey:   t.fingerprint("user_preferences", raw),
		OccurredAt:  moment(p.Timestamp, t.arrived),
		RouteKeys:   t.keys(v),
		OrderingKey: orderOf(who),
		Payload:     sdk.ConsentChange{Contact: who, OptedIn: p.Value != "stop", Scope: "marketing"},
	}, raw)
}

// valueError reads an error of a value as a whole, of no message.
func (t *translation) valueError(v value, raw json.RawMessage) {
	var e graphBody
	if isNothing(raw) {
		return
	}
	if read(raw, &e) != nil || !isObject(raw) || e.Code == "" {
		t.keepOf(v, "messages/errors", raw)
		return
	}
	f := refuse(e, 0, 1)
	u := sdk.AccountUpdate{Kind: "error", Detail: f.ProviderCode + ": " + f.Message}
	if f.Code == failure.Auth || f.Code == failure.Permission {
		u.State = sdk.HealthFailed
	}
	t.add(sdk.Event{
		DedupeKey:  t.fingerprint("messages/errors", raw),
		OccurredAt: t.at,
		RouteKeys:  t.keys(v),
		Payload:    u,
	}, raw)
}

// joined puts the words that are not empty together.
func joined(between string, words ...string) string {
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return strings.Join(out, between)
}
