package httpapi

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/telemetry"
)

// installProblems makes huma answer with our problems. Huma offers no other
// place for this than package variables, so they are set once for all.
var installProblems = sync.OnceFunc(func() {
	// encoding/json takes a name in any case, and the last of several. Were huma
	// as lenient, {"state":"active","STATE":"x"} would be checked as the one and
	// taken as the other.
	huma.ValidateStrictCasing = true
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return newProblem(refused(nil, status, msg, errs), "")
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return newProblem(refused(ctx, status, msg, errs), telemetry.RequestID(ctx.Context()))
	}
})

// refused words what huma found wrong with a request.
func refused(ctx huma.Context, status int, msg string, errs []error) error {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case http.StatusUnsupportedMediaType:
		return ErrMediaType
	case http.StatusRequestTimeout:
		return ErrSlowBody
	case http.StatusBadRequest:
		f := ErrMalformed
		if len(errs) == 0 {
			return f.Saying("A body is required.")
		}
		return f.At("", words(errs[0]))
	case http.StatusUnprocessableEntity:
		return invalid(ctx, errs)
	default:
		return ErrInternal
	}
}

var missing = regexp.MustCompile(`^expected required property (.+) to be present$`)

func invalid(ctx huma.Context, errs []error) error {
	f := ErrInvalid
	inPath := 0
	for _, err := range errs {
		place, at := fault.Body, ""
		if d, ok := err.(huma.ErrorDetailer); ok {
			place, at = pointer(d.ErrorDetail().Location)
		}
		text := words(err)
		if m := missing.FindStringSubmatch(text); m != nil {
			at, text = at+"/"+m[1], "is required"
		}
		if place == fault.Path {
			inPath++
		}
		if place == fault.Body && at == "" && ctx != nil {
			if c := callOf(ctx.Context()); c != nil {
				if fields := locate(c.body, c.bodyType); len(fields) > 0 {
					for _, field := range fields {
						f = f.At(field.Pointer, field.Words)
					}
					continue
				}
			}
		}
		f = f.In(place, at, text)
	}
	// An address that cannot name anything names nothing.
	if inPath > 0 && inPath == len(errs) {
		return ErrNotFound
	}
	return sorted(f)
}

// sorted puts fields found in the order of a map into one that does not change.
func sorted(f *fault.Error) *fault.Error {
	slices.SortStableFunc(f.Fields, func(a, b fault.Field) int {
		return cmp.Or(strings.Compare(string(a.Place), string(b.Place)), strings.Compare(a.Pointer, b.Pointer))
	})
	return f
}

func words(err error) string {
	if d, ok := err.(huma.ErrorDetailer); ok {
		return d.ErrorDetail().Message
	}
	return err.Error()
}

// locate finds the values of a body that do not fit their Go type although they
// fit the schema, such as a text that is no id: the decoder does not say where
// they are.
func locate(body []byte, t reflect.Type) []fault.Field {
	if t == nil {
		return nil
	}
	var fields []fault.Field
	var walk func(raw json.RawMessage, t reflect.Type, at string)
	walk = func(raw json.RawMessage, t reflect.Type, at string) {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		target := reflect.New(t)
		switch target.Interface().(type) {
		case json.Unmarshaler, encoding.TextUnmarshaler:
			if err := json.Unmarshal(raw, target.Interface()); err != nil {
				fields = append(fields, fault.Field{Pointer: at, Words: "is not valid: " + err.Error()})
			}
			return
		}
		switch t.Kind() {
		case reflect.Struct:
			var members map[string]json.RawMessage
			if json.Unmarshal(raw, &members) != nil {
				return
			}
			for _, f := range reflect.VisibleFields(t) {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if name == "" {
					name = f.Name
				}
				if value, ok := members[name]; ok && !f.Anonymous && f.IsExported() {
					walk(value, f.Type, at+"/"+name)
				}
			}
		case reflect.Slice:
			var items []json.RawMessage
			if json.Unmarshal(raw, &items) != nil {
				return
			}
			for i, item := range items {
				walk(item, t.Elem(), at+"/"+strconv.Itoa(i))
			}
		case reflect.Map:
			var members map[string]json.RawMessage
			if json.Unmarshal(raw, &members) != nil {
				return
			}
			for name, value := range members {
				walk(value, t.Elem(), at+"/"+escape(name))
			}
		default:
			if err := json.Unmarshal(raw, target.Interface()); err != nil {
				fields = append(fields, fault.Field{Pointer: at, Words: "is not valid, or too large"})
			}
		}
	}
	walk(body, t, "")
	return fields
}

func escape(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

// storable refuses text that PostgreSQL cannot hold: NUL and what is not UTF-8.
func storable(req *http.Request, body []byte) error {
	f := ErrInvalid
	if !fits(req.URL.Path) {
		return ErrNotFound
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil { // what it leaves out would be a filter or a page that is not applied
		f = f.In(fault.Query, "", "cannot be read: a % without two hexadecimal digits, or a semicolon")
	}
	for name, values := range query {
		if !fits(name) || slices.ContainsFunc(values, func(v string) bool { return !fits(v) }) {
			f = f.In(fault.Query, "/"+escape(strings.ToValidUTF8(strings.ReplaceAll(name, "\x00", ""), "")), "holds characters that cannot be stored")
		}
	}
	if !utf8.Valid(body) {
		return ErrMalformed.At("", "is not UTF-8")
	}
	// The escape is rare, so that hardly any body is walked.
	if bytes.Contains(body, []byte(`\u0000`)) {
		var value any
		if json.Unmarshal(body, &value) == nil {
			for _, at := range nuls(value, "") {
				f = f.At(at, "holds a NUL character, which cannot be stored")
			}
		}
	}
	if len(f.Fields) > 0 {
		return sorted(f)
	}
	return nil
}

func fits(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// nuls returns the pointers of the texts that hold a NUL.
func nuls(value any, at string) []string {
	var found []string
	switch v := value.(type) {
	case string:
		if strings.Contains(v, "\x00") {
			found = append(found, at)
		}
	case []any:
		for i, item := range v {
			found = append(found, nuls(item, at+"/"+strconv.Itoa(i))...)
		}
	case map[string]any:
		for name, item := range v {
			if strings.Contains(name, "\x00") {
				found = append(found, at)
			}
			found = append(found, nuls(item, at+"/"+escape(strings.ReplaceAll(name, "\x00", "")))...)
		}
	}
	return found
}
