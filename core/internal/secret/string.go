// Package secret keeps secrets: a string that does not print, a ring of keys
// that comes from the configuration, and a box that seals each tenant's secrets
// under a key of its own.
package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// mask is what a secret prints as.
const mask = "<secret>"

// String is text that must not be seen: it prints, logs and encodes as
// "<secret>", or as nothing when empty. The zero String is empty.
type String struct{ text string }

// NewString hides text.
func NewString(text string) String { return String{text} }

// Reveal returns the text. Hand it straight to what needs it.
func (s String) Reveal() string { return s.text }

// IsZero reports whether there is no text.
func (s String) IsZero() bool { return s.text == "" }

// String returns "<secret>", or nothing when empty.
func (s String) String() string {
	if s.text == "" {
		return ""
	}
	return mask
}

// Format prints the mask whatever the verb, so that %#v and %x give nothing
// away.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue is what slog prints.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON encodes the mask.
func (s String) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText encodes the mask.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the text as it is.
func (s *String) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}

// Hint returns the end of a secret, as "…1234", so that its owner can tell
// which one is stored. Values shorter than 8 characters give only "…", the
// empty one nothing.
func Hint(value string) string {
	runes := []rune(value)
	switch {
	case len(runes) == 0:
		return ""
	case len(runes) < 8:
		return "…"
	default:
		return "…" + string(runes[len(runes)-4:])
	}
}
