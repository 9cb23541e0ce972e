package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// str is a string that may arrive as a number; any other value reads as empty.
// NUL characters are taken out, because no database keeps them in text.
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
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9':
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

// isObject reports whether raw, which is valid JSON, is an object.
func isObject(raw json.RawMessage) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

// repaired escapes the control characters that stand bare in the strings of a
// document: a variable in a body written by hand brings the line breaks of
// what the person wrote. Quotes cannot be told from the ends of strings.
func repaired(b []byte) []byte {
	out := make([]byte, 0, len(b)+16)
	inside, escaped := false, false
	for _, c := range b {
		switch {
		case escaped:
			escaped = false
		case inside && c == '\\':
			escaped = true
		case c == '"':
			inside = !inside
		}
		switch {
		case !inside || c >= 0x20:
			out = append(out, c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\t':
			out = append(out, '\\', 't')
		case c != '\r':
			out = append(out, ' ')
		}
	}
	return out
}

// clip shortens s to at most n characters.
func clip(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}

// onlyDigits drops all but digits.
func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

func isDigits(s string) bool { return s != "" && onlyDigits(s) == s }
