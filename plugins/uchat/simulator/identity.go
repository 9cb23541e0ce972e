package simulator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// identity is what UChat knows an agency by. It is derived from the label.
type identity struct {
	Label         string
	FlowNS        string
	APIKey        string
	WebhookSecret string
	Hook          string
	TeamID        int
}

func identityOf(label string) identity {
	return identity{
		Label:         label,
		FlowNS:        "f" + number(label, "flow", 6),
		APIKey:        "uchat-sim-" + secret(label, "api_key", 24),
		WebhookSecret: secret(label, "webhook_secret", 16),
		Hook:          secret(label, "hook", 16),
		TeamID:        48213,
	}
}

func derive(label, purpose string) []byte {
	h := hmac.New(sha256.New, []byte("uchat simulator"))
	h.Write([]byte(label + "\x00" + purpose))
	return h.Sum(nil)
}

func secret(label, purpose string, n int) string {
	return hex.EncodeToString(derive(label, purpose)[:n])
}

// number derives n digits, at most 18, of which the first is not 0.
func number(label, purpose string, n int) string {
	v := binary.BigEndian.Uint64(derive(label, purpose)) % 1e18
	s := fmt.Sprintf("1%018d", v)
	return "1" + s[len(s)-n+1:]
}

// randomID is n random bytes in hex, as live chat names messages.
func randomID(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // crypto/rand never fails
	return hex.EncodeToString(raw)
}

// digits drops what people write between the digits of a number.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
