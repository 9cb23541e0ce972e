package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/failure"
)

// DecodeJSON reads one JSON value into v. What is not JSON, or not of v's
// shape, is a failure of code Malformed, whose words tell the place and never a
// value. Fields that v does not have are left out: providers add some.
func DecodeJSON(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(v); err != nil {
		return malformed(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return failure.New(failure.Malformed, "the body has more after its JSON value")
	}
	return nil
}

func malformed(err error) error {
	f := failure.New(failure.Malformed, "the body is not the JSON that the provider documents")
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		f.Message = fmt.Sprintf("the body is not JSON (at byte %d)", e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		f.Message = fmt.Sprintf("the body has a %s where %q should be something else", kindOf(e.Value), e.Field)
	}
	return f
}

// kindOf drops the number that encoding/json appends to "number".
func kindOf(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	return kind
}

// ID is an identifier that a provider writes as text or as a number. Null is empty.
type ID string

// UnmarshalJSON implements [json.Unmarshaler].
func (i *ID) UnmarshalJSON(b []byte) error {
	s, err := textOrNumber(b, "ID")
	*i = ID(s)
	return err
}

// String returns the identifier.
func (i ID) String() string { return string(i) }

// Int is a whole number that a provider writes as a number or as text. Null
// and empty text are 0.
type Int int64

// UnmarshalJSON implements [json.Unmarshaler].
func (i *Int) UnmarshalJSON(b []byte) error {
	s, err := textOrNumber(b, "Int")
	if err != nil || s == "" {
		*i = 0
		return err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return fmt.Errorf("not a whole number")
	}
	*i = Int(n)
	return nil
}

// Unix is a moment that a provider writes as seconds since 1970, as a number
// or as text. Null, empty text and 0 are the zero time.
type Unix struct{ time.Time }

// UnmarshalJSON implements [json.Unmarshaler].
func (u *Unix) UnmarshalJSON(b []byte) error {
	s, err := textOrNumber(b, "Unix")
	if err != nil || s == "" {
		u.Time = time.Time{}
		return err
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1<<40 {
		return fmt.Errorf("not a Unix time")
	}
	u.Time = time.Time{}
	if seconds != 0 {
		whole, part := math.Modf(seconds)
		u.Time = time.Unix(int64(whole), int64(part*1e9)).UTC()
	}
	return nil
}

// textOrNumber returns the text, or the number's digits as they were written.
func textOrNumber(b []byte, kind string) (string, error) {
	switch {
	case string(b) == "null":
		return "", nil
	case len(b) > 0 && b[0] == '"':
		var s string
		err := json.Unmarshal(b, &s)
		return s, err
	case len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9'):
		return string(b), nil
	}
	return "", fmt.Errorf("%s is neither text nor a number", kind)
}
