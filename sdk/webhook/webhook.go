// Package webhook helps to verify and read webhooks: signatures over the raw
// bytes, headers, and JSON of providers who write ids now as text, now as numbers.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/url"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
)

// Header returns the value of the first header line of that name, whatever its
// case; empty if there is none.
func Header(r sdk.Request, name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Query returns the query's parameters; what cannot be read is left out.
func Query(r sdk.Request) url.Values {
	v, _ := url.ParseQuery(r.RawQuery)
	return v
}

// Equal compares two secrets in a time that does not depend on where they
// differ. An empty secret equals nothing, so that a setting that was left out
// does not open the door.
func Equal(a, b string) bool {
	// Hashed first, so that the lengths show nothing either.
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1 && a != ""
}

// SignHMACSHA256 returns the lower-case hex HMAC-SHA-256 of a body.
func SignHMACSHA256(secret string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	_, _ = m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}

// VerifyHMACSHA256 reports whether signature, in hex, is that of the raw body.
// An empty secret verifies nothing.
func VerifyHMACSHA256(secret string, body []byte, signature string) bool {
	given, err := hex.DecodeString(signature)
	if err != nil || secret == "" {
		return false
	}
	m := hmac.New(sha256.New, []byte(secret))
	_, _ = m.Write(body)
	return hmac.Equal(given, m.Sum(nil))
}

// HubHeader carries the signature that Meta and others who follow WebSub send.
const HubHeader = "X-Hub-Signature-256"

// SignHub returns the value of [HubHeader] for a body.
func SignHub(secret string, body []byte) string { return "sha256=" + SignHMACSHA256(secret, body) }

// VerifyHub reports whether [HubHeader] is the signature of the body by one of
// the secrets, of which several are valid while one is being replaced.
func VerifyHub(r sdk.Request, secrets ...string) bool {
	signature, ok := strings.CutPrefix(Header(r, HubHeader), "sha256=")
	if !ok {
		return false
	}
	for _, s := range secrets {
		if VerifyHMACSHA256(s, r.Body, signature) {
			return true
		}
	}
	return false
}

// Fresh reports whether a timestamp of the provider lies within tolerance of
// when the request arrived. It does not look at the clock: the core may have
// kept the request while the plugin was away.
func Fresh(r sdk.Request, at time.Time, tolerance time.Duration) bool {
	d := r.ReceivedAt.Sub(at)
	return d <= tolerance && d >= -tolerance
}
