package main

import (
	"bytes"
	"encoding/json"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// split cuts the body of the app's webhook, which serves many accounts, into
// one body for each. A change goes, byte for byte, to the number in its
// metadata, or to its account if it has none; nothing else of the body goes
// along but the entry's id and time. Changes of no account are dropped.
func split(b []byte) ([]sdk.RoutedPart, error) {
	var e rawEnvelope
	if err := read(b, &e); err != nil || !isObject(trimmed(b)) {
		return nil, failure.New(failure.Malformed, "the body of the webhook is not a JSON object")
	}
	if e.Object != objectName {
		return nil, nil
	}
	shares := map[sdk.RouteKey]*share{}
	var order []sdk.RouteKey
	for i, n := range e.Entries {
		if n.ID == testAccount {
			continue
		}
		for _, c := range n.Changes {
			key, ok := keyOf(n, c)
			if !ok {
				continue
			}
			if shares[key] == nil {
				shares[key] = &share{}
				order = append(order, key)
			}
			shares[key].add(i, n, c)
		}
	}
	parts := make([]sdk.RoutedPart, len(order))
	for i, key := range order {
		parts[i] = sdk.RoutedPart{Keys: []sdk.RouteKey{key}, Body: shares[key].body()}
	}
	return parts, nil
}

// rawEnvelope is an [envelope] that is only to be cut.
type rawEnvelope struct {
	Object  str        `json:"object"`
	Entries []rawEntry `json:"entry"`
}

type rawEntry struct {
	ID      str               `json:"id"`
	Time    str               `json:"time"`
	Changes []json.RawMessage `json:"changes"`
}

// share is the part of a body that belongs to one account. It is written by
// hand, because encoding/json would rewrite the bytes of the changes.
type share struct {
	buf  bytes.Buffer
	last int
}

// add appends a change of the entry with this number.
func (s *share) add(number int, n rawEntry, c json.RawMessage) {
	switch {
	case s.buf.Len() > 0 && s.last == number:
		s.buf.WriteByte(',')
		s.buf.Write(c)
		return
	case s.buf.Len() > 0:
		s.buf.WriteString("]},{")
	default:
		s.buf.WriteString(`{"object":"` + objectName + `","entry":[{`)
	}
	s.last = number
	if isDigits(string(n.ID)) {
		s.buf.WriteString(`"id":"` + string(n.ID) + `",`)
	}
	if isDigits(string(n.Time)) {
		s.buf.WriteString(`"time":"` + string(n.Time) + `",`)
	}
	s.buf.WriteString(`"changes":[`)
	s.buf.Write(c)
}

func (s *share) body() []byte { return append(s.buf.Bytes(), "]}]}"...) }

// keyOf finds whose a change is; false if it cannot be told, or nobody's.
func keyOf(n rawEntry, raw json.RawMessage) (sdk.RouteKey, bool) {
	var c struct {
		Value struct {
			Metadata metadata `json:"metadata"`
		} `json:"value"`
	}
	if read(raw, &c) != nil || !isObject(raw) {
		return sdk.RouteKey{}, false
	}
	id := string(c.Value.Metadata.PhoneNumberID)
	switch {
	case id == testNumber:
		return sdk.RouteKey{}, false
	case isDigits(id):
		return sdk.RouteKey{Kind: keyNumber, Value: id}, true
	case isDigits(string(n.ID)):
		return sdk.RouteKey{Kind: keyAccount, Value: string(n.ID)}, true
	}
	return sdk.RouteKey{}, false
}
