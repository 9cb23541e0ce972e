package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	// What encoding/json is from Go 1.27 on; it reads these bodies in half the
	// time of the one before.
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// str is a string that may arrive as a number; any other value reads as empty.
// NUL characters are taken out, because no database keeps them in text.
type str string

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (s *str) UnmarshalJSON(b []byte) error {
	switch {
	case len(b) == 0:
	case isPlain(b):
		*s = str(b[1 : len(b)-1])
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

// isPlain reports whether b, which is valid JSON, is a string that stands for
// itself: without escapes and in proper UTF-8. Nearly all are.
func isPlain(b []byte) bool {
	return b[0] == '"' && bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b)
}

// read decodes b into dst and passes over values of the wrong type, which leave
// their field as it was. It fails only if b is not JSON.
func read(b []byte, dst any) error {
	err := jsonv1.Unmarshal(b, dst)
	if _, ok := errors.AsType[*jsonv1.UnmarshalTypeError](err); ok {
		return nil
	}
	return err
}

// isObject reports whether raw, which is valid JSON, is an object.
func isObject(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '{' }

// isNothing reports whether raw is absent or null.
func isNothing(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// lastSecond is the end of what can be a timestamp in seconds, or in
// milliseconds after division: 1 January 2100.
const lastSecond = 4102444800

// moment reads a Unix timestamp in seconds or, from 1e12 on, in milliseconds.
// What cannot be read, or is beyond the year 2100, is the arrival.
func moment(s str, arrived time.Time) time.Time {
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil || n <= 0 {
		return arrived
	}
	if n >= 1e12 {
		if n/1000 >= lastSecond {
			return arrived
		}
		return time.UnixMilli(n).UTC()
	}
	if n >= lastSecond {
		return arrived
	}
	return time.Unix(n, 0).UTC()
}

// coordinate reads a number of degrees of at most limit.
func coordinate(s str, limit float64) (float64, bool) {
	v, err := strconv.ParseFloat(string(s), 64)
	return v, err == nil && v >= -limit && v <= limit
}

// hexSHA256 turns a digest, in base64 as webhooks have it or in hex, into
// lower-case hex. It is empty if s is neither.
func hexSHA256(s str) string {
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString, base64.URLEncoding.DecodeString,
	} {
		if b, err := decode(string(s)); err == nil && len(b) == 32 {
			return hex.EncodeToString(b)
		}
	}
	return ""
}

// clip shortens s to at most n characters.
func clip(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}
