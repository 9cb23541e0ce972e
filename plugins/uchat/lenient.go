package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// str is a string that may arrive as a number or a boolean; any other value
// reads as empty. NUL characters are taken out.
type str string

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (s *str) UnmarshalJSON(b []byte) error {
	switch {
	case len(b) == 0:
	case b[0] == '"':
		var v string
		if json.Unmarshal(b, &v) == nil {
			*s = str(strings.ReplaceAll(v, "\x00", ""))
		}
	case b[0] == '-', b[0] >= '0' && b[0] <= '9', string(b) == "true", string(b) == "false":
		*s = str(b)
	}
	return nil
}

// read decodes b into dst and passes over values of the wrong type, which leave
// their field as it was. It fails only if b is not JSON.
func read(b []byte, dst any) error {
	err := json.Unmarshal(b, dst)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return nil
	}
	return err
}

// one reads a single object that may come bare or wrapped in "data".
type one[T any] struct{ Value T }

// UnmarshalJSON implements json.Unmarshaler.
func (o *one[T]) UnmarshalJSON(b []byte) error {
	var wrapped struct {
		Data json.RawMessage `json:"data"`
	}
	if read(b, &wrapped) == nil && isObject(wrapped.Data) {
		b = wrapped.Data
	}
	return read(b, &o.Value)
}

// many reads a list that may come bare or wrapped in "data". An element that is
// no object is left out.
type many[T any] struct{ Items []T }

// UnmarshalJSON implements json.Unmarshaler.
func (m *many[T]) UnmarshalJSON(b []byte) error {
	var wrapped struct {
		Data []json.RawMessage `json:"data"`
	}
	raw := []json.RawMessage{}
	if isObject(b) {
		if err := read(b, &wrapped); err != nil {
			return err
		}
		raw = wrapped.Data
	} else if err := read(b, &raw); err != nil {
		return err
	}
	for _, r := range raw {
		var v T
		if isObject(r) && read(r, &v) == nil {
			m.Items = append(m.Items, v)
		}
	}
	return nil
}

// isObject reports whether raw, which is valid JSON without white space before
// it, is an object.
func isObject(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '{' }

// first is the first of several that is not empty.
func first(list ...str) str {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// lastSecond is the end of what can be a timestamp: 1 January 2100.
const lastSecond = 4102444800

// moment reads a Unix timestamp in seconds or milliseconds. What cannot be read
// is the arrival.
func moment(s str, arrived time.Time) time.Time {
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil || n <= 0 {
		return arrived
	}
	if n >= 1e12 {
		n /= 1000
	}
	if n >= lastSecond {
		return arrived
	}
	return time.Unix(n, 0).UTC()
}

// clip shortens s to at most n characters.
func clip(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}

// digitsOf is a telephone number in international digits without a plus, as
// UChat names people; empty if s has anything else in it.
func digitsOf(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case strings.ContainsRune("+ -().", r):
		default:
			return ""
		}
	}
	if n := b.Len(); n < 6 || n > 20 {
		return ""
	}
	return b.String()
}
