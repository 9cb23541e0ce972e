package simulator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// identity is what Meta knows an agency by. It is derived from the label.
type identity struct {
	Label             string
	PhoneNumberID     string
	BusinessAccountID string
	AccessToken       string
	AppSecret         string
	VerifyToken       string
	// Digits is the business's number; Display the same as Meta writes it.
	Digits, Display string
	Name            string
}

func identityOf(label string) identity {
	tail := digits(label, "number", 8)
	return identity{
		Label:             label,
		PhoneNumberID:     "1" + digits(label, "phone_number_id", 14),
		BusinessAccountID: "2" + digits(label, "business_account_id", 14),
		AccessToken:       "EAASIM" + secret(label, "access_token", 24),
		AppSecret:         secret(label, "app_secret", 16),
		VerifyToken:       secret(label, "verify_token", 12),
		Digits:            "54911" + tail,
		Display:           fmt.Sprintf("+54 9 11 %s-%s", tail[:4], tail[4:]),
		Name:              strings.ToUpper(label[:min(1, len(label))]) + label[min(1, len(label)):] + " Propiedades",
	}
}

func derive(label, purpose string) []byte {
	h := hmac.New(sha256.New, []byte("whatsapp simulator"))
	h.Write([]byte(label + "\x00" + purpose))
	return h.Sum(nil)
}

func secret(label, purpose string, n int) string {
	return hex.EncodeToString(derive(label, purpose)[:n])
}

// digits derives n digits, at most 19.
func digits(label, purpose string, n int) string {
	v := binary.BigEndian.Uint64(derive(label, purpose)) % 1e19
	s := fmt.Sprintf("%019d", v)
	return s[len(s)-n:]
}

// userID is the business-scoped id of a person towards one business.
func userID(label, person string) string { return "AR." + digits(label, "user "+person, 16) }

// newMessageID looks like Meta's: opaque, and base64 with its padding.
func newMessageID(inbound bool) string {
	raw := make([]byte, 26)
	copy(raw, "\x1c\x18\x0d")
	_, _ = rand.Read(raw[3:]) // crypto/rand never fails
	raw[3] = 0x11
	if inbound {
		raw[3] = 0x12
	}
	return "wamid." + base64.StdEncoding.EncodeToString(raw)
}

// newID is a number of 16 digits, as those of files.
func newID() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // crypto/rand never fails
	return fmt.Sprintf("1%015d", binary.BigEndian.Uint64(raw[:])%1e15)
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

// personKey is one spelling for a person: a business-scoped id as it is, a
// number as WhatsApp writes it, with the 9 of Argentine mobiles.
func personKey(s string) string {
	if len(s) > 3 && s[2] == '.' {
		return s
	}
	d := onlyDigits(s)
	if strings.HasPrefix(d, "54") && !strings.HasPrefix(d, "549") && len(d) == 12 {
		return "549" + d[2:]
	}
	return d
}

// withoutNine is the Argentine spelling that test numbers keep in their lists.
func withoutNine(d string) string {
	if strings.HasPrefix(d, "549") && len(d) == 13 {
		return "54" + d[3:]
	}
	return d
}
