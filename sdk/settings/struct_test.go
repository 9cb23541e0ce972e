package settings_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/settings"
)

type credentials struct {
	Token string `json:"token" settings:"required,secret,min=8,max=1024" title:"Access token" help:"Under API keys."`
}

type config struct {
	_ struct{} `settings:"group=account" title:"Account" title.es:"Cuenta"`
	credentials
	Account string   `json:"account" settings:"required,group=account" title:"Account" title.es:"Cuenta" pattern:"^[a-z]+$" placeholder:"acme"`
	Voice   string   `json:"voice,omitempty" settings:"options=voices"`
	Speed   *float64 `json:"speed" settings:"min=0.5,max=2" default:"1"`
	Tone    string   `json:"tone" enum:"calm, lively" default:"calm"`
	Retries uint8    `json:"retries" settings:"max=5"`
	Record  bool     `json:"record" default:"true"`
	Tags    []string `json:"tags" settings:"max=3" enum:"a,b"`
	Site    string   `json:"site" settings:"format=uri"`
	Hook    struct {
		Secret string `json:"secret" settings:"secret"`
	} `json:"hook"`
	Lines []struct {
		Number string `json:"number" settings:"required"`
		PIN    string `json:"pin" settings:"secret"`
	} `json:"lines"`
	Ignored func() `json:"-"`
	private int
}

func TestSchemaOf(t *testing.T) {
	t.Parallel()

	document, err := settings.SchemaOf(&config{private: 1})
	require.NoError(t, err)
	require.JSONEq(t, `{
		"type": "object", "additionalProperties": false, "required": ["token", "account"],
		"x-strato": {"groups": [{"id": "account", "title": {"en": "Account", "es": "Cuenta"}}]},
		"properties": {
			"token": {"type": "string", "writeOnly": true, "minLength": 8, "maxLength": 1024, "title": "Access token",
				"description": "Under API keys.", "x-strato": {"order": 1, "title": {"en": "Access token"}, "help": {"en": "Under API keys."}}},
			"account": {"type": "string", "title": "Account", "pattern": "^[a-z]+$",
				"x-strato": {"order": 2, "group": "account", "title": {"en": "Account", "es": "Cuenta"}, "placeholder": "acme"}},
			"voice": {"type": "string", "x-strato": {"order": 3, "optionsFrom": "voices"}},
			"speed": {"type": "number", "minimum": 0.5, "maximum": 2, "default": 1, "x-strato": {"order": 4}},
			"tone": {"type": "string", "enum": ["calm", "lively"], "default": "calm", "x-strato": {"order": 5}},
			"retries": {"type": "integer", "minimum": 0, "maximum": 5, "x-strato": {"order": 6}},
			"record": {"type": "boolean", "default": true, "x-strato": {"order": 7}},
			"tags": {"type": "array", "maxItems": 3, "items": {"type": "string", "enum": ["a", "b"]}, "x-strato": {"order": 8}},
			"site": {"type": "string", "format": "uri", "x-strato": {"order": 9}},
			"hook": {"type": "object", "additionalProperties": false, "x-strato": {"order": 10},
				"properties": {"secret": {"type": "string", "writeOnly": true, "x-strato": {"order": 1}}}},
			"lines": {"type": "array", "x-strato": {"order": 11}, "items": {"type": "object", "additionalProperties": false,
				"required": ["number"], "properties": {
					"number": {"type": "string", "x-strato": {"order": 1}},
					"pin": {"type": "string", "writeOnly": true, "x-strato": {"order": 2}}}}}
		}
	}`, string(document))
	again, err := settings.SchemaOf(config{})
	require.NoError(t, err)
	require.Equal(t, string(document), string(again), "a digest is taken of it")
}

// What the schema takes, Decode puts into the same struct.
func TestSchemaOfAndDecodeAgree(t *testing.T) {
	t.Parallel()

	document, err := settings.SchemaOf(config{})
	require.NoError(t, err)
	s, err := settings.Compile(document)
	require.NoError(t, err)
	require.Equal(t, []string{"/hook/secret", "/lines/*/pin", "/token"}, s.Secrets())
	whole := `{"token":"tok-12345","account":"acme","speed":1.5,"tone":"lively","retries":2,"record":true,"tags":["a"],
		"hook":{"secret":"hush"},"lines":[{"number":"+54","pin":"1234"}]}`
	require.Empty(t, s.Validate([]byte(whole)))
	d, err := s.Split([]byte(whole))
	require.NoError(t, err)
	var c config
	require.NoError(t, settings.Decode(sdk.Installation{Settings: d.Settings, Secrets: d.Secrets}, &c))
	require.Equal(t, "tok-12345", c.Token)
	require.Equal(t, 1.5, *c.Speed) //nolint:testifylint // the same literal
	require.Equal(t, "1234", c.Lines[0].PIN)

	found := s.Validate([]byte(`{"token":"short","account":"Acme","speed":3,"tone":"loud","retries":9,"extra":1}`))
	var at []string
	for _, f := range found {
		at = append(at, f.Pointer)
	}
	require.Subset(t, at, []string{"/token", "/account", "/speed", "/tone", "/retries"})
}

type nested struct {
	Self []nested `json:"self"`
}

func TestSchemaOfRefusals(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		v    any
		want string
	}{
		"nothing":   {nil, "settings are a struct"},
		"no struct": {"text", "settings are a struct"},
		"no tag":    {struct{ Account string }{}, ".Account: it has no json tag"},
		"two alike": {struct {
			credentials
			Other string `json:"token"`
		}{}, `two fields "token"`},
		"a map": {struct {
			M map[string]string `json:"m"`
		}{}, "cannot show a map[string]string"},
		"a time": {struct {
			At time.Time `json:"at"`
		}{}, "cannot show a time.Time"},
		"bytes": {struct {
			Raw json.RawMessage `json:"raw"`
		}{}, "cannot show a json.RawMessage"},
		"itself": {nested{}, "holds itself"},
		"a slip": {struct {
			A string `json:"a" settings:"requird"`
		}{}, `"requird" in its settings tag is not known`},
		"bad bound": {struct {
			A int `json:"a" settings:"min=x"`
		}{}, "min=x is not a number"},
		"odd bound": {struct {
			A bool `json:"a" settings:"max=1"`
		}{}, "a boolean has no max"},
		"default": {struct {
			A int `json:"a" default:"many"`
		}{}, `"many" is not a value of type integer`},
		"secret int": {struct {
			A int `json:"a" settings:"secret"`
		}{}, "only a string can be writeOnly"},
		"secret of default": {struct {
			A string `json:"a" settings:"secret" default:"x"`
		}{}, `a secret cannot have "default"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := settings.SchemaOf(tt.v)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestWithSchema(t *testing.T) {
	t.Parallel()

	schema := []byte(`{"type":"object"}`)
	for name, manifest := range map[string]string{
		"none":  "{\n  \"id\": \"acme\",\n  \"name\": \"Acme\"\n}\n",
		"first": "{\n  \"settings_schema\": {\"type\": \"object\", \"properties\": {\"settings_schema\": {}}},\n  \"id\": \"acme\"\n}\n",
		"last":  "{\n  \"id\": \"acme\",\n  \"settings_schema\": null\n}\n",
		"empty": "{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			out, err := settings.WithSchema([]byte(manifest), schema)
			require.NoError(t, err)
			var got struct {
				ID     string          `json:"id"`
				Schema json.RawMessage `json:"settings_schema"`
			}
			require.NoError(t, json.Unmarshal(out, &got), string(out))
			require.JSONEq(t, string(schema), string(got.Schema))
			require.Equal(t, 1, strings.Count(string(out), "settings_schema"))
			require.Equal(t, strings.Contains(manifest, "acme"), got.ID == "acme")
			again, err := settings.WithSchema(out, schema)
			require.NoError(t, err)
			require.Equal(t, string(out), string(again))
		})
	}
	for _, bad := range []string{"", "[]", `{"id": `, `{"id" "x"}`} {
		_, err := settings.WithSchema([]byte(bad), schema)
		require.Error(t, err, bad)
	}
}
