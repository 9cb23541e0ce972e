package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// SchemaOf writes the settings schema of a struct, the one that [Decode] fills,
// for authors who would rather not keep a schema by hand. It takes v, a struct
// or a pointer to one, for its type alone, and gives the same bytes each time.
//
//	type config struct {
//		_       struct{} `settings:"group=account" title:"Account" title.es:"Cuenta"`
//		Account string   `json:"account" settings:"required,group=account,max=64" title:"Account"`
//		Token   string   `json:"token" settings:"required,secret,min=8" title:"Access token" help:"Found under API keys."`
//		Voice   string   `json:"voice" settings:"options=voices" title:"Voice" title.es:"Voz"`
//		Speed   float64  `json:"speed" settings:"min=0.5,max=2" default:"1"`
//		Tone    string   `json:"tone" enum:"calm,lively"`
//	}
//
// Strings, booleans, whole and other numbers, structs as groups of fields, and
// slices of those can be shown. The tag settings holds words divided by commas:
// required; secret; group=ID; options=SOURCE, for choices that the plugin
// lists; format=FORMAT; min= and max=, the bounds of a number, a string's
// length or a slice's. The tags title, help and placeholder are for the form,
// title and help also by language, as in title.es; enum holds the allowed
// values, divided by commas, default a value as JSON or plain text, pattern a
// regular expression. A blank field names a group. What is not required may be
// left out, and then keeps its zero value. For oneOf write the schema by hand.
func SchemaOf(v any) ([]byte, error) {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("settings are a struct, not %v", t)
	}
	w := &writer{within: map[reflect.Type]bool{}}
	root := w.object(t, t.Name())
	if len(w.errs) > 0 {
		return nil, errors.Join(w.errs...)
	}
	document, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the settings' schema: %w", err)
	}
	if _, err := Compile(document); err != nil {
		return nil, err
	}
	return document, nil
}

// writer writes a schema and collects what cannot be written.
type writer struct {
	errs   []error
	within map[reflect.Type]bool // the structs around the current place
}

func (w *writer) fault(at, format string, args ...any) {
	w.errs = append(w.errs, fmt.Errorf("settings field %s: %s", at, fmt.Sprintf(format, args...)))
}

// object writes a struct.
func (w *writer) object(t reflect.Type, at string) map[string]any {
	out := map[string]any{"type": "object", "additionalProperties": false}
	if w.within[t] {
		w.fault(at, "%s holds itself", t)
		return out
	}
	w.within[t] = true
	defer delete(w.within, t)
	o := &object{properties: map[string]any{}}
	w.fields(t, at, o)
	out["properties"] = o.properties
	if len(o.required) > 0 {
		out["required"] = o.required
	}
	if len(o.groups) > 0 {
		out["x-strato"] = map[string]any{"groups": o.groups}
	}
	return out
}

// object is a struct being written.
type object struct {
	properties map[string]any
	required   []string
	groups     []any
}

// fields writes the fields of a struct, and those of structs embedded in it as its own.
func (w *writer) fields(t reflect.Type, at string, o *object) {
	for f := range t.Fields() {
		words := parseWords(f.Tag.Get("settings"))
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		here := at + "." + f.Name
		switch {
		case f.Name == "_":
			if words["group"] != "" {
				o.groups = append(o.groups, map[string]any{"id": words["group"], "title": byLanguage(f.Tag, "title")})
			}
			continue
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			w.fields(f.Type, here, o)
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			w.fault(here, "it has no json tag to name it")
			continue
		case o.properties[name] != nil:
			w.fault(here, "there are two fields %q", name)
			continue
		}
		o.properties[name] = w.field(f, words, here, len(o.properties)+1)
		if _, ok := words["required"]; ok {
			o.required = append(o.required, name)
		}
	}
}

// field writes one field with what its tags say.
func (w *writer) field(f reflect.StructField, words map[string]string, at string, order int) map[string]any {
	out := w.value(f.Type, at)
	hints := map[string]any{"order": order}
	kind, _ := out["type"].(string)
	for word, value := range words {
		switch word {
		case "required":
		case "secret":
			out["writeOnly"] = true
		case "group":
			hints["group"] = value
		case "options":
			hints["optionsFrom"] = value
		case "format":
			out["format"] = value
		case "min", "max":
			w.bound(out, kind, word, value, at)
		default:
			w.fault(at, "%q in its settings tag is not known", word)
		}
	}
	w.values(out, f.Tag, at)
	if s := f.Tag.Get("title"); s != "" {
		out["title"] = s
	}
	if s := f.Tag.Get("help"); s != "" {
		out["description"] = s
	}
	for _, key := range []string{"title", "help"} {
		if by := byLanguage(f.Tag, key); len(by) > 0 {
			hints[key] = by
		}
	}
	if s := f.Tag.Get("placeholder"); s != "" {
		hints["placeholder"] = s
	}
	out["x-strato"] = hints
	return out
}

// values writes what a field may hold.
func (w *writer) values(out map[string]any, tag reflect.StructTag, at string) {
	if s, ok := tag.Lookup("pattern"); ok {
		out["pattern"] = s
	}
	if s, ok := tag.Lookup("default"); ok {
		out["default"] = w.literal(out, s, at)
	}
	if s, ok := tag.Lookup("enum"); ok {
		to := out
		if item, ok := out["items"].(map[string]any); ok {
			to = item // the choices of a slice are those of its entries
		}
		var all []any
		for v := range strings.SplitSeq(s, ",") {
			all = append(all, w.literal(to, strings.TrimSpace(v), at))
		}
		to["enum"] = all
	}
}

// literal reads a value of a tag: text as it is for a string, else JSON.
func (w *writer) literal(schema map[string]any, s, at string) any {
	if schema["type"] == "string" {
		return s
	}
	if !json.Valid([]byte(s)) {
		w.fault(at, "%q is not a value of type %v", s, schema["type"])
		return nil
	}
	return json.RawMessage(s)
}

// bound writes a lower or upper limit in the words of the type.
func (w *writer) bound(out map[string]any, kind, word, value, at string) {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		w.fault(at, "%s=%s is not a number", word, value)
		return
	}
	switch kind {
	case "integer", "number":
		out[word+"imum"] = n
	case "string":
		out[word+"Length"] = n
	case "array":
		out[word+"Items"] = n
	default:
		w.fault(at, "a %s has no %s", kind, word)
	}
}

// value writes a type.
func (w *writer) value(t reflect.Type, at string) map[string]any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return map[string]any{"type": "array", "items": w.value(t.Elem(), at)}
		}
	case reflect.Struct:
		if t.NumField() > 0 && t.PkgPath() != "time" {
			return w.object(t, at)
		}
	default:
	}
	w.fault(at, "a form cannot show a %s", t)
	return map[string]any{}
}

// parseWords reads "a,b=c".
func parseWords(tag string) map[string]string {
	out := map[string]string{}
	for word := range strings.SplitSeq(tag, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(word), "=")
		if key != "" {
			out[key] = value
		}
	}
	return out
}

// languages that a tag may be in; the plain tag is English.
func languages() []string { return []string{"en", "es", "pt"} }

// byLanguage reads key.es and so on; if there is any, the plain key is English.
func byLanguage(tag reflect.StructTag, key string) map[string]string {
	out := map[string]string{}
	for _, l := range languages() {
		if s, ok := tag.Lookup(key + "." + l); ok {
			out[l] = s
		}
	}
	if s, ok := tag.Lookup(key); ok && out["en"] == "" {
		out["en"] = s
	}
	return out
}

// WithSchema puts a schema into a manifest as its settings_schema, in place of
// the one that is there, and leaves everything else as it is written.
func WithSchema(manifest, schema []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(manifest))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("manifest is not a JSON object")
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, schema, "  ", "  "); err != nil {
		return nil, fmt.Errorf("settings schema: %w", err)
	}
	last := d.InputOffset() // the end of what stands before the closing brace
	empty := true
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		empty, last = false, d.InputOffset()
		if key == "settings_schema" {
			return slices.Concat(manifest[:last-int64(len(value))], indented.Bytes(), manifest[last:]), nil
		}
	}
	between := ",\n  "
	if empty {
		between = "\n  "
	}
	return slices.Concat(manifest[:last], []byte(between+`"settings_schema": `), indented.Bytes(), manifest[last:]), nil
}
