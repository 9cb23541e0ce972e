package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/failure"
)

// rule is what a status of the provider means to Strato.
type rule struct {
	code  failure.Code
	blame failure.Blame
	// after is the pause before another try; zero leaves it to the core.
	after time.Duration
	words string
}

// The pauses where the provider names none.
const (
	concurrencyPause = 2 * time.Second
	busyPause        = 15 * time.Second
)

// rules are the documented statuses, and the codes of the newer shape. Running
// out of characters and too many requests at once come with the HTTP statuses of
// a wrong key and of a rate limit: the word decides, not the number.
var rules = map[string]rule{
	"invalid_api_key":              {failure.Auth, failure.Tenant, 0, "ElevenLabs does not accept the API key"},
	"needs_authorization":          {failure.Auth, failure.Tenant, 0, "ElevenLabs does not accept the API key"},
	"missing_permissions":          {failure.Permission, failure.Tenant, 0, "the API key lacks a permission"},
	"quota_exceeded":               {failure.QuotaExhausted, failure.Tenant, 0, "the ElevenLabs account has no characters left"},
	"detected_unusual_activity":    {failure.Permission, failure.Tenant, 0, "ElevenLabs blocked the account for unusual activity"},
	"only_for_creator+":            {failure.Permission, failure.Tenant, 0, "the ElevenLabs plan does not include this"},
	"output_format_not_allowed":    {failure.Permission, failure.Tenant, 0, "the ElevenLabs plan does not include this audio format"},
	"max_character_limit_exceeded": {failure.InvalidRequest, failure.Tenant, 0, "the text is too long for the voice's model"},
	"voice_not_found":              {failure.InvalidRequest, failure.Tenant, 0, "the voice does not exist, or the API key may not use it"},
	"too_many_concurrent_requests": {failure.RateLimited, failure.Tenant, concurrencyPause, "the ElevenLabs plan allows no more requests at once"},
	"concurrent_limit_exceeded":    {failure.RateLimited, failure.Tenant, concurrencyPause, "the ElevenLabs plan allows no more requests at once"},
	"system_busy":                  {failure.RateLimited, failure.Provider, busyPause, "ElevenLabs is busy"},
}

// detail is an error of the provider, whatever shape it came in.
type detail struct{ status, code, message, param string }

// readDetail reads the three shapes, and a plain string.
func readDetail(body []byte) detail {
	var e struct {
		Detail json.RawMessage `json:"detail"`
	}
	if read(body, &e) != nil || len(e.Detail) == 0 {
		return detail{}
	}
	switch e.Detail[0] {
	case '"':
		var words str
		_ = words.UnmarshalJSON(e.Detail) // never fails
		return detail{message: string(words)}
	case '[':
		var list []struct {
			Place   []str `json:"loc"`
			Message str   `json:"msg"`
			Type    str   `json:"type"`
		}
		_ = read(e.Detail, &list) // it came out of valid JSON
		if len(list) == 0 {
			return detail{}
		}
		place := make([]string, len(list[0].Place))
		for i, p := range list[0].Place {
			place[i] = string(p)
		}
		return detail{status: string(list[0].Type), message: string(list[0].Message), param: strings.Join(place, ".")}
	}
	var o struct {
		Status  str `json:"status"`
		Code    str `json:"code"`
		Message str `json:"message"`
		Param   str `json:"param"`
	}
	_ = read(e.Detail, &o) // it came out of valid JSON
	return detail{status: string(o.Status), code: string(o.Code), message: string(o.Message), param: string(o.Param)}
}

// refuse corrects what the HTTP status means by what the body says.
func refuse(f *failure.Failure, body []byte) *failure.Failure {
	d := readDetail(body)
	f.ProviderCode = clip(d.status, 100)
	r, known := rules[d.status]
	if !known {
		r, known = rules[d.code]
		if f.ProviderCode == "" {
			f.ProviderCode = clip(d.code, 100)
		}
	}
	switch {
	case known:
		f.Code, f.Blame, f.RetryAfter, f.Message = r.code, r.blame, r.after, r.words
		f.Outcome = failure.NotSent // it says what it did not do
	case f.HTTPStatus == http.StatusTooManyRequests:
		f.Blame, f.RetryAfter = failure.Provider, busyPause
	case f.HTTPStatus == http.StatusNotFound:
		f.Blame, f.Message = failure.Tenant, "ElevenLabs knows no such voice, agent, number or conversation"
	case f.HTTPStatus == http.StatusConflict:
		f.Code, f.Blame, f.Message = failure.Temporary, failure.Provider, "ElevenLabs is not ready for this yet"
	case f.HTTPStatus == http.StatusBadRequest, f.HTTPStatus == http.StatusUnprocessableEntity:
		f.Message = "ElevenLabs did not understand the order"
	}
	// The provider's own words name the parameter that is wrong. Of a bad key
	// they are left out: they could quote it.
	if f.Code == failure.InvalidRequest && d.message != "" {
		f.Message += ": " + clip(strings.TrimSpace(d.param+" "+d.message), 300)
	}
	return f
}

// refusal is a failure of the plugin's own: nothing was sent.
func refusal(code failure.Code, blame failure.Blame, words string) *failure.Failure {
	f := failure.New(code, "%s", words)
	f.Outcome, f.Blame = failure.NotSent, blame
	return f
}
