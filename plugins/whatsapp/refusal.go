package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/stratohub/strato/sdk/failure"
)

// rule is what an error code of the Graph API means to Strato.
type rule struct {
	code  failure.Code
	blame failure.Blame
	// after is the pause before another try; zero leaves it to the core.
	after time.Duration
	// tries is the attempt from which on the refusal counts as final, for codes
	// that are worth one or a few more tries; zero for no such bound.
	tries int
	words string
}

// rules are the documented error codes. Where a code means that somebody must
// mend the account, it is Permission, which pauses the installation.
var rules = map[int]rule{
	0:   {failure.Auth, failure.Tenant, 0, 0, "WhatsApp does not accept the access token"},
	190: {failure.Auth, failure.Tenant, 0, 0, "the access token is not valid or has expired"},
	104: {failure.Auth, failure.Tenant, 0, 0, "the access token is missing or incomplete"},
	3:   {failure.Permission, failure.Tenant, 0, 0, "the app may not do this; check the token's permissions"},
	10:  {failure.Permission, failure.Tenant, 0, 0, "the access token lacks a permission"},
	1:   {failure.Temporary, failure.Provider, 0, 2, "WhatsApp had an unknown error"},
	2:   {failure.Temporary, failure.Provider, 0, 0, "WhatsApp is not available for a moment"},
	4:   {failure.RateLimited, failure.Tenant, 5 * time.Minute, 0, "the app made too many requests"},
	17:  {failure.RateLimited, failure.Tenant, 5 * time.Minute, 0, "the account made too many requests"},
	33:  {failure.Permission, failure.Tenant, 0, 0, "the phone number was deleted from WhatsApp"},
	100: {failure.InvalidRequest, failure.Plugin, 0, 0, "WhatsApp did not accept a parameter"},
	368: {failure.Permission, failure.Tenant, 0, 0, "WhatsApp restricted the account for breaking its policies"},

	80007:  {failure.RateLimited, failure.Tenant, 5 * time.Minute, 0, "the WhatsApp Business account reached its request limit"},
	130429: {failure.RateLimited, failure.Tenant, 5 * time.Second, 0, "the number sends too many messages a second"},
	130472: {failure.Recipient, failure.Provider, 0, 0, "WhatsApp withholds marketing from this person, who is part of an experiment"},
	130497: {failure.Recipient, failure.Tenant, 0, 0, "the account may not write to people of this country"},

	131000: {failure.Temporary, failure.Provider, 0, 4, "WhatsApp had an unknown error"},
	131005: {failure.Permission, failure.Tenant, 0, 0, "access denied; check the token's permissions"},
	131008: {failure.InvalidRequest, failure.Plugin, 0, 0, "a required parameter is missing"},
	131009: {failure.InvalidRequest, failure.Plugin, 0, 0, "WhatsApp did not accept the value of a parameter"},
	131016: {failure.Temporary, failure.Provider, 0, 0, "WhatsApp is overloaded"},
	131021: {failure.Recipient, failure.Tenant, 0, 0, "the number cannot write to itself"},
	131026: {failure.Recipient, failure.Provider, 0, 0, "the message cannot be delivered; the person may not use WhatsApp or has an old version"},
	131030: {failure.Recipient, failure.Tenant, 0, 0, "the recipient is not in the test number's list of allowed numbers"},
	131031: {failure.Permission, failure.Tenant, 0, 0, "WhatsApp locked the account"},
	131037: {failure.Permission, failure.Tenant, 0, 0, "the number's display name is not approved yet"},
	131042: {failure.QuotaExhausted, failure.Tenant, 0, 0, "there is a problem with the account's payment method"},
	131045: {failure.Permission, failure.Tenant, 0, 0, "the phone number is not registered correctly"},
	131047: {failure.WindowClosed, failure.Tenant, 0, 0, "more than 24 hours have passed since the person last wrote; use a template"},
	131048: {failure.RateLimited, failure.Tenant, time.Hour, 0, "people blocked or reported the number, so WhatsApp limits how much it sends"},
	131049: {failure.Recipient, failure.Provider, 24 * time.Hour, 0, "WhatsApp withheld the message because the person got many of its kind"},
	131050: {failure.Recipient, failure.Tenant, 0, 0, "the person stopped marketing messages from this number"},
	131051: {failure.Unsupported, failure.Plugin, 0, 0, "WhatsApp does not support this kind of message"},
	131052: {failure.Media, failure.Tenant, 0, 0, "the person's file could not be downloaded"},
	131053: {failure.Media, failure.Tenant, 0, 0, "WhatsApp did not take the file; check its kind and size"},
	131055: {failure.InvalidRequest, failure.Plugin, 0, 0, "the method is not allowed"},
	131056: {failure.RateLimited, failure.Tenant, pairPause, 0, "too many messages to the same person in a short time"},
	131057: {failure.Temporary, failure.Provider, time.Minute, 0, "the account is in maintenance for about a minute"},
	131062: {failure.Recipient, failure.Tenant, 0, 0, "this message needs the person's phone number, which is hidden"},
	131063: {failure.Template, failure.Tenant, 0, 0, "the account cannot send marketing templates this way"},
	131064: {failure.Template, failure.Tenant, 0, 0, "WhatsApp cut the account's limit because templates were in the wrong category"},

	132000: {failure.Template, failure.Tenant, 0, 0, "the number of the template's parameters is not right"},
	132001: {failure.Template, failure.Tenant, 0, 0, "the template does not exist in this language or is not approved"},
	132005: {failure.Template, failure.Tenant, 0, 0, "the template's text is too long once it is filled"},
	132007: {failure.Template, failure.Tenant, 0, 0, "the template's content breaks a policy of WhatsApp"},
	132008: {failure.Template, failure.Tenant, 0, 0, "a parameter of the template has the wrong format"},
	132012: {failure.Template, failure.Tenant, 0, 0, "a parameter of the template has the wrong format"},
	132015: {failure.Template, failure.Tenant, 0, 0, "WhatsApp paused the template for its low quality"},
	132016: {failure.Template, failure.Tenant, 0, 0, "WhatsApp disabled the template"},
	132018: {failure.Template, failure.Tenant, 0, 0, "a parameter of the template has line breaks, tabs or too many spaces"},
	132068: {failure.InvalidRequest, failure.Tenant, 0, 0, "the flow is blocked"},
	132069: {failure.RateLimited, failure.Tenant, time.Minute, 0, "the flow is throttled"},

	133004: {failure.Temporary, failure.Provider, 0, 0, "WhatsApp's registration server is not available for a moment"},
	133010: {failure.Permission, failure.Tenant, 0, 0, "the phone number is not registered with WhatsApp"},
	133015: {failure.Temporary, failure.Provider, 5 * time.Minute, 0, "the phone number was deleted a moment ago"},
	133016: {failure.RateLimited, failure.Tenant, time.Hour, 0, "the phone number was registered too often"},

	134011: {failure.InvalidRequest, failure.Tenant, 0, 0, "the payment terms of WhatsApp were not accepted"},
	134100: {failure.Template, failure.Tenant, 0, 0, "the account is not set up for marketing messages"},
	134101: {failure.Template, failure.Tenant, 0, 0, "the template is not ready for marketing messages yet"},
	134102: {failure.Template, failure.Tenant, 0, 0, "the template cannot be used for marketing messages"},
	135000: {failure.InvalidRequest, failure.Plugin, 0, 0, "WhatsApp did not understand the message"},
	136024: {failure.Permission, failure.Tenant, 0, 0, "the verification code could not be requested"},
	136025: {failure.Permission, failure.Tenant, 0, 0, "the verification code is not right"},
	137000: {failure.Recipient, failure.Tenant, 0, 0, "the person's identity changed and must be confirmed again"},
}

// ranges are the codes that mean the same from first to last, after [rules].
var ranges = []struct {
	first, last int
	rule        rule
}{
	{200, 299, rule{failure.Permission, failure.Tenant, 0, 0, "the access token lacks a permission"}},
	{132000, 132999, rule{failure.Template, failure.Tenant, 0, 0, "WhatsApp did not accept the template"}},
	{133000, 133016, rule{failure.Permission, failure.Tenant, 0, 0, "the phone number is not registered correctly"}},
}

// subcodes refine code 100.
var subcodes = map[int]rule{
	33: {failure.Permission, failure.Tenant, 0, 0, "the number or account does not exist, or the access token may not see it"},

	2388019: {failure.Template, failure.Tenant, 0, 0, "the account has no room for more templates"},
	2388040: {failure.Template, failure.Tenant, 0, 0, "a field of the template is too long"},
	2388047: {failure.Template, failure.Tenant, 0, 0, "the template's header is not right"},
	2388072: {failure.Template, failure.Tenant, 0, 0, "the template's body is not right"},
	2388073: {failure.Template, failure.Tenant, 0, 0, "the template's footer is not right"},
	2388293: {failure.Template, failure.Tenant, 0, 0, "the template has too many variables for its length"},
	2388299: {failure.Template, failure.Tenant, 0, 0, "the template starts or ends with a variable"},
}

// The pause after a pair rate limit is 4^n seconds, n being the attempt, up to
// a bound of 4^6, which is a little more than an hour.
const (
	pairPause    = 4 * time.Second
	maxPairTries = 6
)

// refuse turns an error of the Graph API into a failure. The error's code
// decides; status, the HTTP status of the answer or 0, only does where the code
// is not known. attempt is that of the message, 1 for the first.
func refuse(e graphBody, status, attempt int) *failure.Failure {
	r := ruleOf(e, status)
	f := &failure.Failure{
		Code:         r.code,
		Outcome:      failure.NotSent,
		Blame:        r.blame,
		RetryAfter:   r.after,
		Message:      r.words,
		ProviderCode: string(e.Code),
		TraceID:      string(e.TraceID),
		HTTPStatus:   status,
	}
	switch {
	case e.Code == "131056":
		f.Limit = "pair"
		for range min(max(attempt, 1), maxPairTries) - 1 {
			f.RetryAfter *= 4
		}
	case r.tries > 0 && attempt >= r.tries:
		f.Code = failure.InvalidRequest
	}
	if e.Subcode != "" && e.Code == "100" {
		f.ProviderCode += "/" + string(e.Subcode)
	}
	// The provider's own details name the parameter that is wrong. Its message
	// is left out: that of a bad token quotes the token.
	details := clip(string(e.Data.Details), 300)
	if details != "" && (f.Code == failure.InvalidRequest || f.Code == failure.Template || f.Code == failure.Media) {
		f.Message += ": " + details
	}
	return f
}

func ruleOf(e graphBody, status int) rule {
	code, err := strconv.Atoi(string(e.Code))
	if err != nil {
		return ruleOfStatus(status)
	}
	if sub, err := strconv.Atoi(string(e.Subcode)); err == nil && code == 100 {
		if r, ok := subcodes[sub]; ok {
			return r
		}
		if sub/1000 == 2388 {
			return rule{failure.Template, failure.Tenant, 0, 0, "WhatsApp did not accept the template"}
		}
	}
	if r, ok := rules[code]; ok {
		return r
	}
	for _, g := range ranges {
		if code >= g.first && code <= g.last {
			return g.rule
		}
	}
	if e.Transient {
		return rule{failure.Temporary, failure.Provider, 0, 0, "WhatsApp had an error that should pass"}
	}
	return ruleOfStatus(status)
}

// ruleOfStatus guesses from the HTTP status what an unknown code means.
func ruleOfStatus(status int) rule {
	switch {
	case status == http.StatusTooManyRequests:
		return rule{failure.RateLimited, failure.Tenant, time.Minute, 0, "WhatsApp asks to slow down"}
	case status == http.StatusUnauthorized:
		return rules[190]
	case status == http.StatusForbidden:
		return rules[10]
	case status >= 500:
		return rule{failure.Temporary, failure.Provider, 0, 0, "WhatsApp has trouble"}
	}
	return rule{failure.InvalidRequest, failure.Plugin, 0, 0, "WhatsApp refused the message for a reason that Strato does not know"}
}
