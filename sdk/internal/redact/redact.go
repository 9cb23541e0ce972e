// Package redact takes secrets out of text. It knows the secrets' values, so
// that it finds them wherever they turn up: in a log line, a panic, an error.
package redact

import (
	"container/list"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Mask stands in place of a secret.
const Mask = "[secret]"

// minLength spares words so short that their removal would only garble text.
const minLength = 6

// Set is a bounded set of secret values by owner. The zero value is not ready;
// use [NewSet]. Any number of goroutines may use it.
type Set struct {
	mu       sync.Mutex
	limit    int
	owners   map[string]*list.Element
	recent   *list.List // of *owner, the one used last in front
	replacer *strings.Replacer
}

type owner struct {
	name     string
	revision uint64
	values   []string
}

// has reports whether every secret is known already. A revision does not tell:
// settings are tried out before they get one of their own.
func (o *owner) has(secrets map[string]string) bool {
	for _, v := range secrets {
		if len(v) >= minLength && !slices.Contains(o.values, v) {
			return false
		}
	}
	return true
}

// NewSet returns a set that remembers the secrets of the last limit owners.
func NewSet(limit int) *Set {
	return &Set{limit: limit, owners: map[string]*list.Element{}, recent: list.New()}
}

// Add remembers an owner's secrets as of a revision. A revision seen before
// costs next to nothing. The secrets of the revision before are remembered
// too, because calls that use them may still be under way.
func (s *Set) Add(name string, revision uint64, secrets map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.owners[name]
	if e != nil {
		s.recent.MoveToFront(e)
		if o := e.Value.(*owner); o.revision >= revision && o.has(secrets) {
			return
		}
	}
	if len(secrets) == 0 {
		return
	}
	var values []string
	for _, v := range secrets {
		values = append(values, forms(v)...)
	}
	if e != nil {
		o := e.Value.(*owner)
		o.revision, o.values = max(revision, o.revision), append(values, o.values[:min(len(o.values), len(values))]...)
	} else {
		s.owners[name] = s.recent.PushFront(&owner{name, revision, values})
	}
	for s.recent.Len() > s.limit {
		last := s.recent.Back()
		delete(s.owners, s.recent.Remove(last).(*owner).name)
	}
	s.replacer = nil
}

// String returns text with every known secret masked.
func (s *Set) String(text string) string {
	s.mu.Lock()
	if s.replacer == nil {
		var values []string
		for e := s.recent.Front(); e != nil; e = e.Next() {
			values = append(values, e.Value.(*owner).values...)
		}
		// The longest first, or the rest of one that begins like another would stay.
		slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
		pairs := make([]string, 0, 2*len(values))
		for _, v := range values {
			pairs = append(pairs, v, Mask)
		}
		s.replacer = strings.NewReplacer(pairs...)
	}
	r := s.replacer
	s.mu.Unlock()
	return r.Replace(text)
}

// forms are the ways in which a value may be written: as it is, in JSON with
// and without HTML's characters escaped, and in URLs.
func forms(v string) []string {
	if len(v) < minLength {
		return nil
	}
	out := []string{v}
	html, _ := json.Marshal(v)
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	plain := strings.TrimSuffix(b.String(), "\n")
	for _, f := range []string{string(html[1 : len(html)-1]), plain[1 : len(plain)-1], url.QueryEscape(v), url.PathEscape(v)} {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}
