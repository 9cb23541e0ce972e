package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// refusal is an error of the provider.
type refusal struct {
	http    int
	status  string
	message string
}

func (r *refusal) Error() string { return r.status }

// refusals are the provider's errors by their status word.
var refusals = map[string]refusal{
	"invalid_api_key":              {401, "", "Invalid API key"},
	"missing_permissions":          {401, "", "The API key you used is missing the permission user_read to execute this operation."},
	"quota_exceeded":               {401, "", "This request exceeds your quota."},
	"detected_unusual_activity":    {401, "", "Unusual activity detected. Free Tier usage disabled."},
	"only_for_creator+":            {403, "", "This feature is only available for the Creator tier and above."},
	"output_format_not_allowed":    {403, "", "This output format is not allowed on your subscription."},
	"max_character_limit_exceeded": {400, "", "This request's text has too many characters."},
	"voice_not_found":              {404, "", "A voice with this voice_id was not found."},
	"too_many_concurrent_requests": {429, "", "Too many concurrent requests."},
	"system_busy":                  {429, "", "The system is experiencing heavy traffic, please try again."},
	"unsupported_model":            {400, "", "This model does not support previous_text and next_text."},
	"conversation_not_found":       {404, "", "Conversation not found."},
	"agent_not_found":              {404, "", "Agent not found."},
	"phone_number_not_found":       {404, "", "Phone number not found."},
	"batch_call_not_found":         {404, "", "Batch call not found."},
	"conversation_not_ready":       {425, "", "The conversation is not ready yet."},
}

// refuse returns an error by its word.
func refuse(status string) *refusal {
	r, ok := refusals[status]
	if !ok {
		r = refusal{http: 400, message: "The request is not right."}
	}
	r.status = status
	return &r
}

func (r *refusal) with(format string, args ...any) *refusal {
	r.message = fmt.Sprintf(format, args...)
	return r
}

// newCodes are the types and codes of the newer shape.
var newCodes = map[string][2]string{
	"too_many_concurrent_requests": {"rate_limit_error", "concurrent_limit_exceeded"},
	"system_busy":                  {"rate_limit_error", "system_busy"},
	"quota_exceeded":               {"authentication_error", "quota_exceeded"},
	"invalid_api_key":              {"authentication_error", "invalid_api_key"},
}

// write answers with the error. Too many requests at once were seen in the newer
// shape; whether all errors come so is a switch.
func (r *refusal) write(w http.ResponseWriter, f Faults) {
	detail := any(map[string]any{"status": r.status, "message": r.message})
	code, known := newCodes[r.status]
	switch {
	case f.PlainErrors:
		detail = r.message
	case f.NewErrors, r.status == "too_many_concurrent_requests":
		if !known {
			code = [2]string{"invalid_request_error", r.status}
		}
		detail = map[string]any{"type": code[0], "code": code[1], "status": r.status, "message": r.message, "request_id": newHex("")}
	}
	reply(w, r.http, map[string]any{"detail": detail})
}

// missing answers as for a body that lacks a field.
func missing(w http.ResponseWriter, field string) {
	reply(w, http.StatusUnprocessableEntity, map[string]any{"detail": []any{
		map[string]any{"loc": []any{"body", field}, "msg": "Field required", "type": "missing"},
	}})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the caller has gone; nobody is left to tell
}
