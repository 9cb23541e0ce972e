package main

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/failure"
)

// rule is what a refusal of ManyChat means to Strato.
type rule struct {
	code  failure.Code
	blame failure.Blame
	words string
}

// codes are the documented codes. 304x are many, of which only the beginning is.
var codes = map[string]rule{
	"2011": {failure.Recipient, failure.Tenant, "ManyChat does not know this reference of a person"},
	"2012": {failure.Recipient, failure.Tenant, "the person is not a contact in ManyChat yet"},
	"3011": {failure.WindowClosed, failure.Tenant, "more than 24 hours have passed since the person last wrote; start a flow that begins with a template, or set a message tag on Messenger"},
	"3021": {failure.Recipient, failure.Tenant, "the person has not asked to be notified on this topic"},
	"3031": {failure.WindowClosed, failure.Tenant, "more than 24 hours have passed since the person last wrote; answer from ManyChat's inbox, or wait"},
}

var channelRule = rule{failure.Unsupported, failure.Tenant, "ManyChat cannot send this content on this channel"}

// phrases are what ManyChat writes where it has no code. The texts vary in
// their punctuation, so that only words are looked for, and the first that
// stands in the message or in a detail decides.
var phrases = []struct {
	words string
	rule  rule
}{
	{"unsupported message tag", rule{failure.InvalidRequest, failure.Tenant, "ManyChat does not allow this message tag for the account and channel; change or clear it in the settings"}},
	// Not a lack of permission that would pause the installation: all but the
	// import of new contacts works.
	{"permission denied to import", rule{failure.Recipient, failure.Tenant, "ManyChat does not let this account import contacts over its API; its support can unlock that"}},
	{"already exists", rule{failure.Recipient, failure.Tenant, "ManyChat has a contact with this number but does not find it; open it in ManyChat and let the person write, or fill its phone"}},
	{"message tag", codes["3011"]},
	{"notification reason", codes["3031"]},
	{"24 h", codes["3011"]},
	{"wrong token", rule{failure.Auth, failure.Tenant, "ManyChat does not accept the API key; it was replaced or copied wrongly"}},
	{"subscriber does not exist", rule{failure.Recipient, failure.Tenant, "ManyChat has no such contact"}},
	{"subscriber not found", rule{failure.Recipient, failure.Tenant, "ManyChat has no such contact"}},
	{"subscriber is not active", rule{failure.Recipient, failure.Tenant, "the contact unsubscribed in ManyChat"}},
	{"flow does not exist", rule{failure.Template, failure.Tenant, "the flow does not exist in ManyChat"}},
	{"flow not found", rule{failure.Template, failure.Tenant, "the flow does not exist in ManyChat"}},
	{"cannot be blank", rule{failure.InvalidRequest, failure.Plugin, "ManyChat misses a value"}},
}

// ratePause is how long to wait after a refusal that names no time.
const ratePause = 2 * time.Second

// refused is a refusal with the answer that it was read from.
type refused struct {
	*failure.Failure
	answer answer
}

// Unwrap returns the failure.
func (r *refused) Unwrap() error { return r.Failure }

// refuse turns a refusal into a failure. Code and words decide before the status.
func refuse(a answer, status int) *failure.Failure {
	r := ruleOf(a, status)
	f := refusal(r.code, r.blame, r.words)
	f.ProviderCode, f.HTTPStatus = clip(string(a.Code), 40), status
	if r.code == failure.RateLimited {
		f.RetryAfter = ratePause
	}
	// The provider's own words name the field that is wrong; they hold no secret,
	// but for those about the key, which are not repeated.
	if f.Code == failure.InvalidRequest {
		words := []string{string(a.Message)}
		for _, d := range a.findings() {
			words = append(words, d.words)
		}
		if said := clip(strings.Trim(strings.Join(words, "; "), "; "), 300); said != "" {
			f.Message += ": " + said
		}
	}
	return f
}

func ruleOf(a answer, status int) rule {
	code := string(a.Code)
	if r, ok := codes[code]; ok {
		return r
	}
	if len(code) == 4 && strings.HasPrefix(code, "304") {
		return channelRule
	}
	if status == http.StatusTooManyRequests {
		return rule{failure.RateLimited, failure.Tenant, "ManyChat asks to slow down"}
	}
	words := []string{string(a.Message)}
	for _, d := range a.findings() {
		words = append(words, d.words)
	}
	said := strings.ToLower(strings.Join(words, "\n"))
	for _, p := range phrases {
		if strings.Contains(said, p.words) {
			return p.rule
		}
	}
	switch status {
	case http.StatusUnauthorized:
		return rule{failure.Auth, failure.Tenant, "ManyChat does not accept the API key"}
	case http.StatusForbidden:
		return rule{failure.Permission, failure.Tenant, "the ManyChat account may not use the API; it needs a paid plan"}
	case http.StatusNotFound:
		return rule{failure.InvalidRequest, failure.Plugin, "ManyChat has no such address"}
	}
	return rule{failure.InvalidRequest, failure.Plugin, "ManyChat refused the request"}
}

var existing = regexp.MustCompile(`(?i)already exists:?\s*\+?([0-9]{7,15})`)

// existingNumber is the number in a refusal to create a contact that is there
// already; false for any other refusal.
func (a answer) existingNumber() (string, bool) {
	for _, d := range append(a.findings(), finding{"", string(a.Message)}) {
		if m := existing.FindStringSubmatch(d.words); m != nil {
			return m[1], true
		}
		if strings.Contains(strings.ToLower(d.words), "already exists") {
			return "", true
		}
	}
	return "", false
}
