package settings

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/stratohub/strato/sdk"
)

// Validate checks a whole document, secrets in their places, and returns what
// is wrong with it, each finding with the pointer of its field. The words never
// repeat a value, which may be secret.
func (s *Schema) Validate(document []byte) []sdk.Diagnostic {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return []sdk.Diagnostic{{Severity: sdk.SeverityError, Summary: "is not JSON"}}
	}
	err = s.compiled.Validate(v)
	if err == nil {
		return nil
	}
	var bad *jsonschema.ValidationError
	if !errors.As(err, &bad) {
		return []sdk.Diagnostic{{Severity: sdk.SeverityError, Summary: "cannot be checked"}}
	}
	var out []sdk.Diagnostic
	collect(bad, &out)
	slices.SortFunc(out, func(a, b sdk.Diagnostic) int {
		return strings.Compare(a.Pointer+" "+a.Summary, b.Pointer+" "+b.Summary)
	})
	return slices.Compact(out)
}

// collect turns the leaves of a tree of errors into findings.
func collect(e *jsonschema.ValidationError, out *[]sdk.Diagnostic) {
	add := func(at []string, words string) {
		*out = append(*out, sdk.Diagnostic{Severity: sdk.SeverityError, Pointer: pointer(at), Summary: words})
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, m := range k.Missing {
			add(slices.Concat(e.InstanceLocation, []string{m}), "is required")
		}
	case *kind.AdditionalProperties:
		for _, p := range k.Properties {
			add(slices.Concat(e.InstanceLocation, []string{p}), "is not a setting of this plugin")
		}
	case *kind.OneOf:
		if c := nearest(e.Causes); c != nil {
			collect(c, out)
			return
		}
		add(e.InstanceLocation, "must fit exactly one of its forms")
	default:
		if len(e.Causes) == 0 {
			add(e.InstanceLocation, words(e.ErrorKind))
			return
		}
		for _, c := range e.Causes {
			collect(c, out)
		}
	}
}

// nearest is the branch of a oneOf whose discriminator fits: the one that does
// not fail on a constant.
func nearest(branches []*jsonschema.ValidationError) *jsonschema.ValidationError {
	for _, b := range branches {
		if !failsConst(b) {
			return b
		}
	}
	return nil
}

func failsConst(e *jsonschema.ValidationError) bool {
	if _, ok := e.ErrorKind.(*kind.Const); ok {
		return true
	}
	return slices.ContainsFunc(e.Causes, failsConst)
}

// words say what is wrong, without the value.
func words(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "must be " + strings.Join(k.Want, " or ")
	case *kind.Enum, *kind.Const:
		return "is not one of the allowed values"
	case *kind.MinLength:
		if k.Want == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.Pattern:
		return "does not have the right form"
	case *kind.Format:
		return "is not a valid " + k.Want
	case *kind.Minimum:
		return "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + k.Want.RatString()
	case *kind.ExclusiveMinimum:
		return "must be more than " + k.Want.RatString()
	case *kind.ExclusiveMaximum:
		return "must be less than " + k.Want.RatString()
	case *kind.MultipleOf:
		return "must be a multiple of " + k.Want.RatString()
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d entries", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d entries", k.Want)
	case *kind.UniqueItems:
		return "must not repeat an entry"
	default:
		return "is not valid"
	}
}

// pointer writes tokens as a JSON pointer.
func pointer(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(t))
	}
	return b.String()
}

// tokens reads a JSON pointer.
func tokens(p string) ([]string, error) {
	if p == "" {
		return nil, nil
	}
	if p[0] != '/' {
		return nil, fmt.Errorf("%q is not a JSON pointer", p)
	}
	out := strings.Split(p[1:], "/")
	for i := range out {
		out[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(out[i])
	}
	return out, nil
}
