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

	"github.com/stratohub/strato/sdk"
)

// Document is a document of settings taken apart: what anyone may read, and
// the secrets by JSON pointer.
type Document struct {
	Settings []byte
	Secrets  map[string]string
}

// Split takes the secrets out of a whole document. Groups that held them stay,
// perhaps empty, so that [Merge] can put them back.
func (s *Schema) Split(document []byte) (Document, error) {
	root, err := readObject(document)
	if err != nil {
		return Document{}, err
	}
	d := Document{Secrets: map[string]string{}}
	for _, pattern := range s.secrets {
		if err := take(root, mustTokens(pattern), nil, func(at string, v any) error {
			word, ok := v.(string)
			if !ok {
				return fmt.Errorf("the secret at %s is not a string", at)
			}
			d.Secrets[at] = word
			return nil
		}); err != nil {
			return Document{}, err
		}
	}
	d.Settings, err = json.Marshal(root)
	return d, err
}

// Merge puts secrets into settings at their pointers. Empty settings are an
// empty object.
func Merge(settings []byte, secrets map[string]string) ([]byte, error) {
	if len(bytes.TrimSpace(settings)) == 0 {
		settings = []byte("{}")
	}
	if len(secrets) == 0 {
		return settings, nil
	}
	root, err := readObject(settings)
	if err != nil {
		return nil, err
	}
	for at, value := range secrets {
		path, err := tokens(at)
		if err != nil {
			return nil, err
		}
		if err := put(root, path, value); err != nil {
			return nil, fmt.Errorf("put secret at %s: %w", at, err)
		}
	}
	return json.Marshal(root)
}

// Update applies what a form submitted to what is stored. A secret that is
// absent is kept, null deletes it, a string replaces it, and a masked value is
// refused. A secret inside an array is kept only for an entry whose other
// values are those of exactly one stored entry: by position alone it could end
// up at somebody else's account. The findings include those of [Schema.Validate];
// the document is to be saved only if there are none of SeverityError.
func (s *Schema) Update(stored Document, submitted []byte) (Document, []sdk.Diagnostic, error) {
	root, err := readObject(submitted)
	if err != nil {
		return Document{}, nil, err
	}
	var findings []sdk.Diagnostic
	next := Document{Secrets: map[string]string{}}
	deleted := map[string]bool{}
	for _, pattern := range s.secrets {
		err := take(root, mustTokens(pattern), nil, func(at string, v any) error {
			word, ok := v.(string)
			switch {
			case v == nil:
				deleted[at] = true
			case !ok:
				findings = append(findings, sdk.Diagnostic{Severity: sdk.SeverityError, Pointer: at, Summary: "must be string"})
			case masked(word):
				findings = append(findings, sdk.Diagnostic{Severity: sdk.SeverityError, Pointer: at,
					Summary: "is the mask, not a value", Detail: "Leave the field out to keep the stored value."})
			default:
				next.Secrets[at] = word
			}
			return nil
		})
		if err != nil {
			return Document{}, nil, err
		}
	}
	old, err := readObject(orEmpty(stored.Settings))
	if err != nil {
		return Document{}, nil, fmt.Errorf("stored settings: %w", err)
	}
	for at, value := range stored.Secrets {
		to, ok := moved(old, root, at)
		if _, replaced := next.Secrets[to]; ok && !replaced && !deleted[to] {
			next.Secrets[to] = value
		}
	}
	if next.Settings, err = json.Marshal(root); err != nil {
		return Document{}, nil, err
	}
	whole, err := Merge(next.Settings, next.Secrets)
	if err != nil {
		return Document{}, nil, err
	}
	return next, append(findings, s.Validate(whole)...), nil
}

// Hint shows enough of a secret to recognise it: its last four characters, if
// it is long enough for them not to matter.
func Hint(secret string) string {
	r := []rune(secret)
	if len(r) < 12 {
		return "…"
	}
	return "…" + string(r[len(r)-4:])
}

// masked reports whether a value is what a form shows in place of a secret.
func masked(v string) bool {
	return strings.HasPrefix(v, "…") || strings.HasPrefix(v, "•") || len(v) > 2 && strings.Trim(v, "*") == ""
}

// moved says where the secret that was at a pointer of old belongs in now.
func moved(old, now any, at string) (string, bool) {
	path, err := tokens(at)
	if err != nil {
		return "", false
	}
	to := make([]string, 0, len(path))
	for i, t := range path {
		if i == len(path)-1 {
			_, isObject := now.(map[string]any)
			return pointer(append(to, t)), isObject || now == nil
		}
		switch o := old.(type) {
		case map[string]any:
			n, ok := now.(map[string]any)
			if !ok && now != nil {
				return "", false
			}
			// A group that held nothing but secrets may be left out like them.
			if group, _ := o[t].(map[string]any); n[t] == nil && len(group) > 0 {
				return "", false
			}
			old, now = o[t], n[t]
		case []any:
			n, _ := now.([]any)
			from, _ := strconv.Atoi(t)
			if from >= len(o) {
				return "", false
			}
			j, ok := same(o, from, n)
			if !ok {
				return "", false
			}
			t, old, now = strconv.Itoa(j), o[from], n[j]
		default:
			return "", false
		}
		to = append(to, t)
	}
	return "", false
}

// same finds the one entry of now that equals old[from], if old has no twin of it.
func same(old []any, from int, now []any) (int, bool) {
	at, count := 0, 0
	for i := range now {
		if reflect.DeepEqual(now[i], old[from]) {
			at, count = i, count+1
		}
	}
	for i := range old {
		if i != from && reflect.DeepEqual(old[i], old[from]) {
			return 0, false
		}
	}
	return at, count == 1
}

// take removes what a pattern finds and hands it over with its pointer.
func take(v any, pattern, at []string, found func(at string, v any) error) error {
	switch v := v.(type) {
	case map[string]any:
		child, has := v[pattern[0]]
		if !has {
			return nil
		}
		here := append(slices.Clip(at), pattern[0])
		if len(pattern) > 1 {
			return take(child, pattern[1:], here, found)
		}
		delete(v, pattern[0])
		return found(pointer(here), child)
	case []any:
		if pattern[0] != "*" {
			return nil
		}
		for i := range v {
			if err := take(v[i], pattern[1:], append(slices.Clip(at), strconv.Itoa(i)), found); err != nil {
				return err
			}
		}
	}
	return nil
}

// put sets a value, making objects on the way where there are none.
func put(v any, path []string, value string) error {
	if len(path) == 0 {
		return errors.New("it names the whole document")
	}
	switch v := v.(type) {
	case map[string]any:
		if len(path) == 1 {
			v[path[0]] = value
			return nil
		}
		if v[path[0]] == nil {
			v[path[0]] = map[string]any{}
		}
		return put(v[path[0]], path[1:], value)
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(v) || len(path) == 1 {
			return errors.New("there is no such entry")
		}
		return put(v[i], path[1:], value)
	default:
		return errors.New("its parent is not an object")
	}
}

// readObject reads a JSON object and keeps numbers as they are written.
func readObject(document []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var root map[string]any
	if err := d.Decode(&root); err != nil {
		return nil, errors.New("the settings are not a JSON object")
	}
	if root == nil || d.More() {
		return nil, errors.New("the settings are not a JSON object")
	}
	return root, nil
}

func orEmpty(b []byte) []byte {
	if len(bytes.TrimSpace(b)) == 0 {
		return []byte("{}")
	}
	return b
}

// mustTokens reads a pattern of this package's own making.
func mustTokens(p string) []string {
	t, _ := tokens(p)
	return t
}
