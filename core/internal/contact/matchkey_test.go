package contact_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/contact"
)

func TestMatchKey(t *testing.T) {
	t.Parallel()

	// Everything in a row is one person.
	for name, tt := range map[string]struct {
		want   string
		values []string
	}{
		"Argentina, area code of two digits": {"54:1160001234", []string{
			"5491160001234", "541160001234", "+54 9 11 6000-1234", "+54 11 6000-1234", "54 11 15 6000 1234", "+54 (011) 15-6000-1234",
			"+54 011 6000 1234", "00 54 9 11 6000 1234", "54 9 11 15 6000 1234",
		}},
		"Argentina, area code of three digits": {"54:3815550201", []string{
			"5493815550201", "543815550201", "+54 9 381 555-0201", "+54 381 15 555 0201", "+54 0381 15-555-0201", "+54 0381 555-0201",
		}},
		"Argentina, area code of four digits": {"54:2954123456", []string{
			"5492954123456", "542954123456", "+54 2954 15 12-3456", "+54 02954 15 123456", "+54 9 2954 12-3456",
		}},
		"Argentina, a subscriber that begins with 15": {"54:1115001234", []string{"5491115001234", "541115001234"}},
		"Argentina, an area code that ends in 15":     {"54:3715401234", []string{"5493715401234", "543715401234", "+54 3715 15 401234"}},
		"Mexico, with and without the 1":              {"52:5512345678", []string{"5215512345678", "525512345678", "+52 1 55 1234 5678", "+52 55 1234 5678"}},
		"Brazil, eight and nine digits":               {"55:1187654321", []string{"5511987654321", "551187654321", "+55 11 98765-4321", "+55 (11) 8765-4321"}},
		"Brazil, a landline":                          {"55:1132654321", []string{"551132654321", "+55 11 3265-4321"}},
		"Uruguay":                                     {"598:94123456", []string{"59894123456", "+598 94 123 456", "+598 094 123456"}},
		"Spain":                                       {"34:612345678", []string{"34612345678", "+34 612 34 56 78"}},
		"United States":                               {"1:2125550123", []string{"12125550123", "+1 (212) 555-0123"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			for _, v := range tt.values {
				for _, kind := range []string{"wa_id", "phone"} {
					require.Equal(t, tt.want, contact.MatchKey(contact.Address{Kind: kind, Value: v}), "%s %s", kind, v)
				}
			}
		})
	}

	t.Run("what is no number stays as it is", func(t *testing.T) {
		t.Parallel()

		for _, a := range []contact.Address{
			{Kind: "wa_id", Value: ""}, {Kind: "wa_id", Value: "anonymous"}, {Kind: "phone", Value: "+"}, {Kind: "phone", Value: "n/a"},
			{Kind: "wa_id", Value: "AR.5491160001234"}, {Kind: "phone", Value: "call 5491160001234"},
			{Kind: "bsuid", Value: "AR.13491208655302741918"}, {Kind: "bsuid", Value: "5491160001234"},
			{Kind: "email", Value: "Ana@Example.com"}, {Kind: "phone", Value: "٥٤٩١١"},
		} {
			require.Equal(t, a.Value, contact.MatchKey(a))
		}
	})

	t.Run("numbers of no known form keep their digits", func(t *testing.T) {
		t.Parallel()

		for value, want := range map[string]string{"12": "12", "999 9": "9999", "0": "0", "+0": "0"} {
			require.Equal(t, want, contact.MatchKey(contact.Address{Kind: "wa_id", Value: value}))
		}
	})

	t.Run("people are not thrown together", func(t *testing.T) {
		t.Parallel()

		keys := map[string]string{}
		for _, v := range []string{"5491160001234", "5491160001235", "5493816000123", "5215512345678", "5511987654321", "unknown", "withheld"} {
			k := contact.MatchKey(contact.Address{Kind: "wa_id", Value: v})
			require.NotContains(t, keys, k, "%s and %s", v, keys[k])
			keys[k] = v
		}
	})
}
