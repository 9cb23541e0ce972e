package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// refusal is an error of the Graph API.
type refusal struct {
	status  int
	code    int
	subcode int
	kind    string
	message string
	details string
}

// known are the errors that have words of their own, with their HTTP status.
var known = map[int]struct {
	status int
	words  string
}{
	0:      {401, "AuthException"},
	1:      {400, "API Unknown"},
	2:      {503, "API Service"},
	3:      {500, "API Method"},
	4:      {400, "API Too Many Calls"},
	10:     {403, "Permission Denied"},
	17:     {400, "User request limit reached"},
	33:     {400, "Parameter value is not valid"},
	100:    {400, "Invalid parameter"},
	104:    {401, "Access token is missing"},
	190:    {401, "Invalid OAuth access token - Cannot parse access token"},
	200:    {403, "API Permission"},
	368:    {403, "Temporarily blocked for policies violations"},
	80007:  {400, "Rate limit issues"},
	130429: {400, "Rate limit hit"},
	130472: {400, "User's number is part of an experiment"},
	130497: {403, "Business account is restricted from messaging users in this country"},
	131000: {500, "Something went wrong"},
	131005: {403, "Access denied"},
	131008: {400, "Required parameter is missing"},
	131009: {400, "Parameter value is not valid"},
	131016: {500, "Service unavailable"},
	131021: {400, "Recipient cannot be sender"},
	131026: {400, "Message undeliverable"},
	131030: {400, "Recipient phone number not in allowed list"},
	131031: {403, "Account has been locked"},
	131037: {400, "WhatsApp provided number needs display name approval before message can be sent"},
	131042: {400, "Business eligibility payment issue"},
	131045: {500, "Incorrect certificate"},
	131047: {400, "Re-engagement message"},
	131048: {400, "Spam rate limit hit"},
	131049: {400, "This message was not delivered to maintain healthy ecosystem engagement"},
	131050: {400, "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages"},
	131051: {400, "Unsupported message type"},
	131052: {400, "Media download error"},
	131053: {400, "Media upload error"},
	131055: {400, "Method not allowed"},
	131056: {400, "(Business Account, Consumer Account) pair rate limit hit"},
	131057: {500, "Account in maintenance mode"},
	131062: {400, "Business-scoped user ID is not supported for this message"},
	131063: {400, "Marketing templates are disabled on this endpoint"},
	131064: {400, "Messaging limit reduced for template classification violations"},
	132000: {400, "Number of parameters does not match the expected number of params"},
	132001: {404, "Template name does not exist in the translation"},
	132005: {400, "Template hydrated text too long"},
	132007: {400, "Template format character policy violated"},
	132008: {400, "Template parameter format mismatch"},
	132012: {400, "Template parameter format does not match"},
	132015: {400, "Template is paused"},
	132016: {400, "Template is disabled"},
	132018: {400, "Template parameter text is not valid"},
	132068: {400, "Flow is blocked"},
	132069: {400, "Flow is throttled"},
	133004: {503, "Server temporarily unavailable"},
	133010: {400, "Phone number not registered"},
	133015: {400, "Please wait a few minutes before attempting to register this phone number"},
	133016: {400, "Account register deregister rate limit exceeded"},
	134011: {400, "Payments terms of service have not been accepted"},
	135000: {400, "Generic user error"},
	137000: {400, "Identity key hash does not match"},
}

// refuse returns the error with a code, as Meta words it.
func refuse(code int, details string) *refusal {
	k, ok := known[code]
	if !ok {
		k.status, k.words = http.StatusBadRequest, "An error of the Graph API"
	}
	r := &refusal{status: k.status, code: code, kind: "OAuthException", details: details}
	r.message = fmt.Sprintf("(#%d) %s", code, k.words)
	if code == 190 {
		r.message = k.words
	}
	return r
}

// invalid is a request that breaks the documented form.
func invalid(format string, args ...any) *refusal {
	details := fmt.Sprintf(format, args...)
	r := refuse(100, details)
	r.message = "(#100) " + details
	return r
}

// nowhere is the answer for an object that is missing or not the token's.
func nowhere(method, id string) *refusal {
	return &refusal{
		status: http.StatusBadRequest, code: 100, subcode: 33, kind: "GraphMethodException",
		message: fmt.Sprintf("Unsupported %s request. Object with ID '%s' does not exist, cannot be loaded due to "+
			"missing permissions, or does not support this operation", lower(method), id),
	}
}

func lower(method string) string {
	if method == http.MethodGet {
		return "get"
	}
	return "post"
}

func (r *refusal) write(w http.ResponseWriter) {
	e := map[string]any{"message": r.message, "type": r.kind, "code": r.code, "fbtrace_id": "A" + newID()}
	if r.subcode != 0 {
		e["error_subcode"] = r.subcode
	}
	if r.details != "" {
		e["error_data"] = map[string]any{"messaging_product": "whatsapp", "details": r.details}
	}
	reply(w, r.status, map[string]any{"error": e})
}

// inStatus is the error as a failed status carries it.
func (r *refusal) inStatus() map[string]any {
	words := known[r.code].words
	return map[string]any{
		"code": r.code, "title": words, "message": words,
		"error_data": map[string]any{"details": r.details},
		"href":       "https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes/",
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the caller has gone; nobody is left to tell
}

func success(w http.ResponseWriter) { reply(w, http.StatusOK, map[string]any{"success": true}) }
