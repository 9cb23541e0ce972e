package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// str is a string that may arrive as a number or a truth value; any other value
// reads as empty. NUL characters are taken out, because no database keeps them
// in text.
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
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9' || b[0] == 't' || b[0] == 'f':
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

// isObject reports whether raw is the beginning of a JSON object.
func isObject(raw []byte) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

// isNothing reports whether raw is absent or null.
func isNothing(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// lastSecond is the end of what can be a timestamp in seconds: 1 January 2100.
const lastSecond = 4102444800

// moment reads a Unix timestamp in seconds, or in milliseconds from 1e12 on,
// where some servers write those. What cannot be read is the zero time.
func moment(s str) time.Time {
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || !(f > 0) {
		return time.Time{}
	}
	if f >= 1e12 {
		f /= 1000
	}
	if f >= lastSecond {
		return time.Time{}
	}
	return time.Unix(int64(f), 0).UTC()
}

// seconds reads a length of time; what cannot be read is 0.
func seconds(s str) time.Duration {
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || !(f > 0) || f > 30*24*3600 {
		return 0
	}
	return time.Duration(f * float64(time.Second))
}

// clip shortens s to at most n characters.
func clip(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}
