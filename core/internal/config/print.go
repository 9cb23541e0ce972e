package config

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"github.com/stratohub/strato/core/internal/secret"
)

// Var describes one variable of the environment.
type Var struct {
	Name    string // with the prefix
	Default string // empty if there is none
	Help    string // a sentence or two
}

// Vars lists all variables in the order of [Config].
func Vars() []Var {
	t := reflect.TypeFor[Config]()
	vars := make([]Var, 0, t.NumField())
	for f := range t.Fields() {
		vars = append(vars, Var{Name: Prefix + variable(f), Default: f.Tag.Get("envDefault"), Help: f.Tag.Get("help")})
	}
	return vars
}

// Setting is a variable with its value, fit to be shown.
type Setting struct {
	Var
	Value string // secrets are masked
}

// Redacted lists all settings with secrets masked: of a URL the password, of
// the keys everything but their ids.
func (c Config) Redacted() []Setting {
	v := reflect.ValueOf(c)
	vars := Vars()
	settings := make([]Setting, 0, len(vars))
	for i := range vars {
		settings = append(settings, Setting{Var: vars[i], Value: show(v.Type().Field(i), v.Field(i).Interface())})
	}
	return settings
}

func show(f reflect.StructField, value any) string {
	switch x := value.(type) {
	case secret.String:
		return showSecret(f.Tag.Get("show"), x)
	case []string:
		return strings.Join(x, ",")
	case []Role:
		words := make([]string, len(x))
		for i, r := range x {
			words[i] = string(r)
		}
		return strings.Join(words, ",")
	default:
		return fmt.Sprint(value)
	}
}

func showSecret(how string, s secret.String) string {
	switch how {
	case "url":
		u, err := url.Parse(s.Reveal())
		if err != nil {
			return s.String()
		}
		if q := u.Query(); q.Has("password") {
			q.Set("password", "xxxxx")
			u.RawQuery = q.Encode()
		}
		return u.Redacted()
	case "keys":
		ring, err := secret.ParseRing(s.Reveal())
		if err != nil {
			return s.String()
		}
		return strings.Join(ring.IDs(), ":"+s.String()+",") + ":" + s.String()
	default:
		return s.String()
	}
}

// variable is the field's variable without the prefix.
func variable(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
	return name
}
