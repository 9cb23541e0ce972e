package contact

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// phoneKinds are identities whose value is a telephone number, in the order in
// which they are trusted. They share match keys: a number typed by an agent
// finds the person who writes from it.
var phoneKinds = []string{"wa_id", "phone"}

func isPhone(kind string) bool {
	return slices.Contains(phoneKinds, kind)
}

// MatchKey is what two spellings of the same address share. For telephone
// numbers it is the country code and the national number without what a country
// writes in some places and not in others: Argentina's mobile 9, trunk 0 and
// 15, Mexico's 1, Brazil's ninth digit. It is only for finding people, never an
// address to send to. Other kinds, and what is written in the place of a number
// and is none, are compared as they are.
func MatchKey(a Address) string {
	if !isPhone(a.Kind) {
		return a.Value
	}
	digits, ok := digitsOf(a.Value)
	if !ok {
		return a.Value
	}
	n, err := phonenumbers.Parse("+"+digits, "")
	if err != nil {
		return digits
	}
	national := phonenumbers.GetNationalSignificantNumber(n)
	switch n.GetCountryCode() {
	case 54:
		national = foldArgentina(national)
	case 52:
		if len(national) == 11 {
			national = strings.TrimPrefix(national, "1")
		}
	case 55:
		if len(national) == 11 && national[2] == '9' {
			national = national[:2] + national[3:]
		}
	}
	return strconv.Itoa(int(n.GetCountryCode())) + ":" + national
}

// foldArgentina reduces a number to area code and subscriber, ten digits: the
// mobile prefix 9 goes before the area code, and the older 15 after it. Area
// codes have two to four digits, so 15 is looked for behind each length.
func foldArgentina(national string) string {
	national = strings.TrimPrefix(national, "0")
	if len(national) == 11 && national[0] == '9' {
		return national[1:]
	}
	if len(national) == 13 && national[0] == '9' {
		national = national[1:]
	}
	if len(national) != 12 {
		return national
	}
	for area := 2; area <= 4; area++ {
		if national[area:area+2] == "15" {
			return national[:area] + national[area+2:]
		}
	}
	return national
}

// digitsOf are the digits of a number as people write it, with its country code
// first; false for what is no number.
func digitsOf(s string) (string, bool) {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
	if digits == "" || strings.Trim(s, "+0123456789 -()./\u00a0") != "" {
		return "", false
	}
	return strings.TrimPrefix(digits, "00"), true
}
