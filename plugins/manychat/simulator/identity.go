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

// What every simulated account has.
const (
	// FlowReply prints the custom field ReplyField, FlowTemplate begins with an
	// approved template and so reaches people after the window.
	FlowReply    = "content20260416033957_434106"
	FlowTemplate = "content20260502101500_434207"
	ReplyField   = "Respuesta CRM"
	PhoneField   = "Telefono"
)

// identity is what ManyChat knows an agency by. It is derived from the label.
type identity struct {
	Label string
	// Number is the account's; Page the id of what it is connected with.
	Number, Page string
	APIKey       string
	Secret       string
	Name         string
}

func identityOf(label string) identity {
	number := "3" + digits(label, "account", 6)
	return identity{
		Label:  label,
		Number: number,
		Page:   "1" + digits(label, "page", 14),
		APIKey: number + ":" + secret(label, "api key", 16),
		Secret: secret(label, "webhook secret", 16),
		Name:   strings.ToUpper(label[:min(1, len(label))]) + label[min(1, len(label)):] + " Propiedades",
	}
}

func derive(label, purpose string) []byte {
	h := hmac.New(sha256.New, []byte("manychat simulator"))
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

// subscriberID is the id of a person in an account.
func subscriberID(label, person string) string { return "1" + digits(label, "subscriber "+person, 9) }

// newID names a line on a phone; ManyChat itself names no messages.
func newID() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // crypto/rand never fails
	return "line." + hex.EncodeToString(raw[:])
}

// onlyDigits drops what people write between the digits of a number.
func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// personKey is one spelling of a number, as WhatsApp writes it, with the 9 of
// Argentine mobiles.
func personKey(s string) string {
	d := onlyDigits(s)
	if strings.HasPrefix(d, "54") && !strings.HasPrefix(d, "549") && len(d) == 12 {
		return "549" + d[2:]
	}
	return d
}
