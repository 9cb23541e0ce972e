package simulator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// identity is what ElevenLabs knows an agency by. It is derived from the label.
type identity struct {
	Label, Name                 string
	APIKey, WebhookSecret       string
	AgentID                     string
	TwilioNumberID, SIPNumberID string
	// Number is the agency's own, from which agents call.
	Number string
}

func identityOf(label string) identity {
	return identity{
		Label:          label,
		Name:           strings.ToUpper(label[:min(1, len(label))]) + label[min(1, len(label)):] + " Propiedades",
		APIKey:         "sk_sim" + secret(label, "api_key", 20),
		WebhookSecret:  "wsec_" + secret(label, "webhook_secret", 20),
		AgentID:        "agent_" + secret(label, "agent", 14),
		TwilioNumberID: "phnum_" + secret(label, "twilio", 14),
		SIPNumberID:    "phnum_" + secret(label, "sip", 14),
		Number:         "+541155" + digits(label, "number", 6),
	}
}

func derive(label, purpose string) []byte {
	h := hmac.New(sha256.New, []byte("elevenlabs simulator"))
	h.Write([]byte(label + "\x00" + purpose))
	return h.Sum(nil)
}

func secret(label, purpose string, n int) string {
	return hex.EncodeToString(derive(label, purpose)[:n])
}

// digits derives n digits, at most 19.
func digits(label, purpose string, n int) string {
	s := fmt.Sprintf("%019d", binary.BigEndian.Uint64(derive(label, purpose))%1e19)
	return s[len(s)-n:]
}

// newID is an id as the provider's: a word, and 28 letters and digits.
func newID(word string) string {
	raw := make([]byte, 18)
	_, _ = rand.Read(raw) // crypto/rand never fails
	return word + "_" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))[:28]
}

// newHex is a word and 32 hex digits, as Twilio's ids.
func newHex(word string) string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // crypto/rand never fails
	return word + hex.EncodeToString(raw)
}

// digitsOf drops what people write between the digits of a number.
func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
