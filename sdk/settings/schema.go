package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is a compiled settings schema. It does not change; any number of
// goroutines may use it.
type Schema struct {
	root     *node
	compiled *jsonschema.Schema
	secrets  []string
}

// node is what this package needs to know of one place in a schema.
type node struct {
	Type       string
	WriteOnly  bool
	Properties map[string]*node
	Items      *node
	OneOf      []*node
}

var (
	propertyForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

	// keywords a form can show, or that change nothing about it.
	keywords = []string{"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated",
		"readOnly", "writeOnly", "x-strato", "type", "enum", "const", "properties", "required", "additionalProperties",
		"minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
		"multipleOf", "items", "minItems", "maxItems", "uniqueItems", "oneOf"}
	types = []string{"object", "string", "integer", "number", "boolean", "array"}
)

// Compile reads a JSON Schema 2020-12 and refuses what a form cannot show:
// the root is an object; below are objects, strings, numbers, integers,
// booleans, arrays of those, and one level of oneOf whose branches are objects
// told apart by a constant property. There are no references. A secret is a
// string property with writeOnly.
func Compile(schema []byte) (*Schema, error) {
	if len(bytes.TrimSpace(schema)) == 0 {
		return nil, errors.New("settings_schema is missing")
	}
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("settings_schema is not JSON: %w", err)
	}
	w := &walk{}
	root := w.node(raw, "", place{})
	if root != nil && (root.Type != "object" || root.WriteOnly) {
		w.fault("", "the root must be an object")
	}
	if len(w.errs) > 0 {
		return nil, fmt.Errorf("settings_schema: %w", errors.Join(w.errs...))
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("mem:///settings.json", raw); err != nil {
		return nil, fmt.Errorf("settings_schema: %w", err)
	}
	compiled, err := c.Compile("mem:///settings.json")
	if err != nil {
		return nil, fmt.Errorf("settings_schema: %w", err)
	}
	s := &Schema{root: root, compiled: compiled}
	s.secrets = secretPatterns(root)
	return s, nil
}

// Secrets lists the JSON pointers of the secret values, sorted. Array items
// are written "*", as in "/accounts/*/token".
func (s *Schema) Secrets() []string { return slices.Clone(s.secrets) }

// secretPatterns walks through groups, arrays and the branches of oneOf.
func secretPatterns(n *node) []string {
	found := map[string]bool{}
	var visit func(n *node, at string)
	visit = func(n *node, at string) {
		if n == nil {
			return
		}
		if n.WriteOnly {
			found[at] = true
		}
		for name, p := range n.Properties {
			visit(p, at+"/"+name)
		}
		visit(n.Items, at+"/*")
		for _, b := range n.OneOf {
			visit(b, at)
		}
	}
	visit(n, "")
	out := make([]string, 0, len(found))
	for p := range found {
		out = append(out, p)
	}
	sort.Strings(out)
	return out
}

// place is where in a schema the walk is.
type place struct{ inOneOf, inArray, isItem bool }

// walk builds nodes and collects what a form could not show.
type walk struct{ errs []error }

func (w *walk) fault(at, format string, args ...any) {
	if at == "" {
		at = "/"
	}
	w.errs = append(w.errs, fmt.Errorf("at %s: %s", at, fmt.Sprintf(format, args...)))
}

func (w *walk) node(raw any, at string, in place) *node {
	object, ok := raw.(map[string]any)
	if !ok {
		w.fault(at, "a schema must be an object")
		return nil
	}
	for k := range object {
		if !slices.Contains(keywords, k) {
			w.fault(at, "%q cannot be shown in a form", k)
		}
	}
	n := &node{}
	n.Type, _ = object["type"].(string)
	n.WriteOnly, _ = object["writeOnly"].(bool)
	if n.Type == "" && in.inOneOf && object["properties"] != nil {
		n.Type = "object"
	}
	if !slices.Contains(types, n.Type) {
		w.fault(at, "type must be one of %s", strings.Join(types, ", "))
	}
	if a, has := object["additionalProperties"]; has {
		if _, ok := a.(bool); !ok {
			w.fault(at, "additionalProperties must be true or false")
		}
	}
	if hints, has := object["x-strato"]; has {
		if _, ok := hints.(map[string]any); !ok {
			w.fault(at, "x-strato must be an object")
		}
	}
	w.secret(object, n, at, in)
	w.children(object, n, at, in)
	return n
}

func (w *walk) secret(object map[string]any, n *node, at string, in place) {
	if !n.WriteOnly {
		return
	}
	if n.Type != "string" {
		w.fault(at, "only a string can be writeOnly")
	}
	if in.isItem {
		w.fault(at, "a secret must be a property of an object")
	}
	for _, k := range []string{"default", "const", "enum", "examples"} {
		if _, has := object[k]; has {
			w.fault(at, "a secret cannot have %q", k)
		}
	}
}

func (w *walk) children(object map[string]any, n *node, at string, in place) {
	if properties, ok := object["properties"].(map[string]any); ok {
		n.Properties = map[string]*node{}
		for name, p := range properties {
			if !propertyForm.MatchString(name) {
				w.fault(at, "property %q must be letters, digits, _ and -", name)
				continue
			}
			below := in
			below.isItem = false
			if c := w.node(withConstType(p), at+"/"+name, below); c != nil {
				n.Properties[name] = c
			}
		}
	}
	if n.Type == "array" {
		if in.isItem {
			w.fault(at, "an array of arrays cannot be shown in a form")
		}
		below := in
		below.inArray, below.isItem = true, true
		n.Items = w.node(object["items"], at+"/*", below)
	}
	if branches, has := object["oneOf"]; has {
		w.oneOf(branches, n, at, in)
	}
}

func (w *walk) oneOf(raw any, n *node, at string, in place) {
	branches, _ := raw.([]any)
	if in.inOneOf || n.Type != "object" || len(branches) == 0 {
		w.fault(at, "oneOf must be on an object, one level deep, with branches")
		return
	}
	below := in
	below.inOneOf, below.isItem = true, false
	var common map[string]bool
	for _, b := range branches {
		c := w.node(b, at, below)
		if c == nil {
			return
		}
		n.OneOf = append(n.OneOf, c)
		constants := constantsOf(b)
		if common == nil {
			common = constants
		}
		for k := range common {
			if !constants[k] {
				delete(common, k)
			}
		}
	}
	if len(common) == 0 {
		w.fault(at, "the branches of oneOf need a property with const that tells them apart")
	}
}

func constantsOf(branch any) map[string]bool {
	out := map[string]bool{}
	object, _ := branch.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	for name, p := range properties {
		if q, ok := p.(map[string]any); ok && q["const"] != nil {
			out[name] = true
		}
	}
	return out
}

// withConstType lets {"const": "x"} stand for a string with that value.
func withConstType(raw any) any {
	object, ok := raw.(map[string]any)
	if !ok || object["type"] != nil {
		return raw
	}
	switch object["const"].(type) {
	case string:
		return with(object, "type", "string")
	case bool:
		return with(object, "type", "boolean")
	case json.Number:
		return with(object, "type", "number")
	}
	return raw
}

func with(object map[string]any, key string, value any) map[string]any {
	out := make(map[string]any, len(object)+1)
	maps.Copy(out, object)
	out[key] = value
	return out
}
