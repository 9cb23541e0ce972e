package main

import (
	"slices"

	"github.com/stratohub/strato/sdk"
)

// The kinds of address that WhatsApp knows a person by.
const (
	kindPhone      = "wa_id"
	kindUser       = "bsuid"
	kindParentUser = "parent_bsuid"
)

// The kinds of routing key. The first also names our side of a conversation.
const (
	keyNumber  = "phone_number_id"
	keyAccount = "waba_id"
)

// addressRank is the order in which addresses are best answered to.
var addressRank = map[string]int{kindPhone: 0, kindUser: 1, kindParentUser: 2}

// addressOf tells by its form what an id is, whatever key it came under:
// business-scoped ids have been seen in the place of phone numbers.
func addressOf(id str) (sdk.Address, bool) {
	v := string(id)
	if isPhone(v) {
		return sdk.Address{Kind: kindPhone, Value: v}, true
	}
	switch user, parent := isUserID(v); {
	case parent:
		return sdk.Address{Kind: kindParentUser, Value: v}, true
	case user:
		return sdk.Address{Kind: kindUser, Value: v}, true
	}
	return sdk.Address{}, false
}

// addresses returns the ids that are addresses, each once, the best first.
func addresses(ids ...str) []sdk.Address {
	var out []sdk.Address
	for _, id := range ids {
		if a, ok := addressOf(id); ok && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b sdk.Address) int { return addressRank[a.Kind] - addressRank[b.Kind] })
	return out
}

func isPhone(s string) bool { return len(s) > 0 && len(s) <= 20 && isDigits(s) }

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isUserID reports whether s is a business-scoped user id: two capitals, a dot,
// "ENT." in one of a parent portfolio, and 1 to 128 letters and digits.
func isUserID(s string) (user, parent bool) {
	if len(s) < 4 || !isCapital(s[0]) || !isCapital(s[1]) || s[2] != '.' {
		return false, false
	}
	rest := s[3:]
	if len(rest) > 4 && rest[:4] == "ENT." {
		rest, parent = rest[4:], true
	}
	if len(rest) > 128 {
		return false, false
	}
	for i := range len(rest) {
		c := rest[i]
		if !isCapital(c) && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false, false
		}
	}
	return true, parent
}

func isCapital(c byte) bool { return c >= 'A' && c <= 'Z' }

// directory finds the profile that came with an id.
type directory map[sdk.Address]profile

// newDirectory indexes the profiles of a value by each of their ids; the first
// of several with one id counts.
func newDirectory(profiles []profile) directory {
	d := make(directory, len(profiles))
	for _, p := range profiles {
		for _, a := range addresses(p.WaID, p.UserID, p.ParentUserID) {
			if _, taken := d[a]; !taken {
				d[a] = p
			}
		}
	}
	return d
}

// party describes the person with these ids by the profile that shares one of
// them; the position of a profile in its list means nothing.
func (d directory) party(ids ...str) sdk.Party {
	p := sdk.Party{Addresses: addresses(ids...)}
	for _, a := range p.Addresses {
		if c, ok := d[a]; ok {
			p.Addresses = addresses(append(ids, c.WaID, c.UserID, c.ParentUserID)...)
			p.DisplayName, p.Username = clip(string(c.Profile.Name), 200), clip(string(c.Profile.Username), 200)
			break
		}
	}
	return p
}

// orderOf is the key under which the events of a person stay in order: the
// business-scoped id, which stays when the phone is hidden, else the phone.
func orderOf(p sdk.Party) string {
	if len(p.Addresses) == 0 {
		return ""
	}
	best := p.Addresses[0]
	for _, a := range p.Addresses {
		if a.Kind == kindUser {
			best = a
			break
		}
	}
	return best.Kind + ":" + best.Value
}
