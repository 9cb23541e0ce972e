package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// maxEvents bounds the events of one request. Meta batches at most 1000
// updates; of a larger body the last event keeps what is left.
const maxEvents = 1000

// maxID is the longest id that is taken for one: ids end in database indexes.
const maxID = 512

// window is how long a person may be answered freely after writing.
const window = 24 * time.Hour

// objectName is the object of every webhook of WhatsApp.
const objectName = "whatsapp_business_account"

// The constants of the App Dashboard's test button, which no tenant owns.
const (
	testAccount = "0"
	testNumber  = "123456123"
)

// translation turns one body into events. An element that cannot be read is
// kept as [sdk.Unrecognized] and never costs its neighbours.
type translation struct {
	arrived time.Time
	// fallback names the account of what names none itself.
	fallback []sdk.RouteKey

	// Where the walk is.
	account str
	at      time.Time
	stamp   string

	events []sdk.Event
	last   json.RawMessage // what told of the last of events
	rest   []json.RawMessage
}

// translate reads the body of a webhook that arrived at a moment. What names
// no account in it is said to belong to fallback. It fails, with a failure of
// code Malformed, only if the body is not a JSON object.
func translate(b []byte, arrived time.Time, fallback []sdk.RouteKey) ([]sdk.Event, error) {
	var e envelope
	if err := read(b, &e); err != nil || !isObject(trimmed(b)) {
		return nil, failure.New(failure.Malformed, "the body of the webhook is not a JSON object")
	}
	if len(fallback) > 1 {
		fallback = fallback[:1]
	}
	t := &translation{arrived: arrived, at: arrived, fallback: fallback}
	if e.Object != objectName {
		t.keepOf(value{}, "object/"+string(e.Object), b)
		return t.events, nil
	}
	for _, n := range e.Entries {
		if n.ID == testAccount {
			continue
		}
		t.account, t.at, t.stamp = n.ID, moment(n.Time, arrived), string(n.Time)
		for _, c := range n.Changes {
			t.change(c)
		}
	}
	return t.finish(), nil
}

func (t *translation) change(c change) {
	var v value
	if isObject(c.Value) {
		_ = read(c.Value, &v) // c.Value came out of valid JSON
		v.people = newDirectory(v.Contacts)
	}
	if v.Metadata.PhoneNumberID == testNumber {
		return
	}
	before := len(t.events) + len(t.rest)
	switch c.Field {
	case "messages":
		t.messages(v)
	case "smb_message_echoes", "message_echoes":
		for _, raw := range v.MessageEchoes {
			t.echo(v, raw)
		}
	case "user_preferences":
		for _, raw := range v.UserPreferences {
			t.preference(v, raw)
		}
	default:
		t.notice(cmp.Or(string(c.Field), "unnamed"), v, c.Value)
		return
	}
	if len(t.events)+len(t.rest) == before && !carries(v) {
		t.keepOf(v, string(c.Field), c.Value)
	}
}

// carries reports whether v has any of the lists that are read, so that a
// value which gave no event was understood all the same.
func carries(v value) bool {
	return len(v.Messages)+len(v.Statuses)+len(v.Errors)+len(v.MessageEchoes)+len(v.UserPreferences) > 0
}

// messages reads a value of the field of that name. Without metadata nobody
// can tell whose number it was, so the value is left to be kept whole.
func (t *translation) messages(v value) {
	if !isDigits(string(v.Metadata.PhoneNumberID)) {
		for _, list := range [][]json.RawMessage{v.Messages, v.Statuses, v.Errors} {
			for _, raw := range list {
				t.keepOf(v, "messages", raw)
			}
		}
		return
	}
	for _, raw := range v.Messages {
		t.message(v, raw)
	}
	for _, raw := range v.Statuses {
		t.status(v, raw)
	}
	for _, raw := range v.Errors {
		t.valueError(v, raw)
	}
}

// keys names the account of a value: the number if it has one, for a number
// belongs to one tenant while tenants may share the account above it.
func (t *translation) keys(v value) []sdk.RouteKey {
	if id := string(v.Metadata.PhoneNumberID); isDigits(id) {
		return []sdk.RouteKey{{Kind: keyNumber, Value: id}}
	}
	if isDigits(string(t.account)) {
		return []sdk.RouteKey{{Kind: keyAccount, Value: string(t.account)}}
	}
	return t.fallback
}

// add takes an event that raw told of.
func (t *translation) add(e sdk.Event, raw json.RawMessage) {
	if len(t.events) == maxEvents {
		t.rest = append(t.rest, raw)
		return
	}
	t.events, t.last = append(t.events, e), raw
}

// finish returns the events. When there were too many, the last makes room for
// one that holds the rest.
func (t *translation) finish() []sdk.Event {
	if len(t.rest) == 0 {
		return t.events
	}
	left := append([]json.RawMessage{t.last}, t.rest...)
	raw := append([]byte("["), bytes.Join(rawBytes(left), []byte(","))...)
	raw = append(raw, ']')
	t.account, t.at, t.stamp = "", t.arrived, ""
	t.events[maxEvents-1] = t.unrecognized(t.keys(value{}), "overflow", raw)
	return t.events
}

// keepOf holds on to something out of v that cannot be read.
func (t *translation) keepOf(v value, kind string, raw json.RawMessage) {
	if isNothing(raw) {
		return
	}
	t.add(t.unrecognized(t.keys(v), kind, raw), raw)
}

func (t *translation) unrecognized(keys []sdk.RouteKey, kind string, raw json.RawMessage) sdk.Event {
	kind = clip(kind, 100)
	return sdk.Event{
		DedupeKey:  t.fingerprint(kind, raw),
		OccurredAt: t.at,
		RouteKeys:  keys,
		Payload:    sdk.Unrecognized{ProviderType: kind, Raw: raw},
	}
}

// fingerprint is the dedupe key of a fact that has no id: the same bytes of
// the same entry are the same fact, delivered again.
func (t *translation) fingerprint(kind string, raw json.RawMessage) string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(t.account), []byte(t.stamp), raw} {
		h.Write(part)
		h.Write([]byte{0})
	}
	return kind + ":" + hex.EncodeToString(h.Sum(nil)[:16])
}

// trimmed drops the white space that JSON allows before a value.
func trimmed(b []byte) json.RawMessage {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

func rawBytes(list []json.RawMessage) [][]byte {
	out := make([][]byte, len(list))
	for i, raw := range list {
		out[i] = raw
	}
	return out
}
