package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/webhook"
)

// signatureHeader carries "t=<seconds>,v0=<hex>", several v0 while a secret is
// being replaced.
const signatureHeader = "ElevenLabs-Signature"

// How far a signature's time may be from the request's arrival. The provider
// tells to refuse what is older; the other bound is against forged futures.
const (
	maxAge    = 30 * time.Minute
	maxFuture = 5 * time.Minute
)

// verify reports whether r was signed with the secret, lately when it arrived. It
// does not look at the clock: the core may have kept the request for hours.
func verify(r sdk.Request, secret string) bool {
	stamp, signatures := "", []string{}
	for part := range strings.SplitSeq(webhook.Header(r, signatureHeader), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			stamp = value
		case "v0":
			signatures = append(signatures, value)
		}
	}
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || at <= 0 || at > lastSecond {
		return false
	}
	if age := r.ReceivedAt.Sub(time.Unix(at, 0)); age > maxAge || age < -maxFuture {
		return false
	}
	signed := append([]byte(stamp+"."), r.Body...)
	for _, s := range signatures {
		if webhook.VerifyHMACSHA256(secret, signed, s) {
			return true
		}
	}
	return false
}
