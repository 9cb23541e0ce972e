package settings_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/settings"
)

const schema = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"additionalProperties": false,
	"required": ["number", "token"],
	"x-strato": {"order": ["number", "token"]},
	"properties": {
		"number": {"type": "string", "pattern": "^[0-9]{5,20}$"},
		"limit": {"type": "integer", "minimum": 1, "maximum": 80},
		"mode": {"type": "string", "enum": ["fast", "slow"]},
		"site": {"type": "string", "format": "uri"},
		"token": {"type": "string", "writeOnly": true, "minLength": 8},
		"hook": {"type": "object", "additionalProperties": false, "properties": {
			"verify": {"type": "string", "writeOnly": true}, "path": {"type": "string"}}},
		"extra": {"type": "array", "maxItems": 5, "items": {"type": "object", "required": ["name"], "properties": {
			"name": {"type": "string"}, "key": {"type": "string", "writeOnly": true}}}},
		"login": {"type": "object", "oneOf": [
			{"properties": {"kind": {"const": "key"}, "key": {"type": "string", "writeOnly": true}}, "required": ["kind", "key"]},
			{"properties": {"kind": {"const": "pair"}, "user": {"type": "string"}, "password": {"type": "string", "writeOnly": true}}, "required": ["kind", "user", "password"]}
		]}
	}
}`

func compile(t *testing.T) *settings.Schema {
	t.Helper()
	s, err := settings.Compile([]byte(schema))
	require.NoError(t, err)
	return s
}

func TestSecretsAreFoundEverywhere(t *testing.T) {
	t.Parallel()

	require.Equal(t, []string{"/extra/*/key", "/hook/verify", "/login/key", "/login/password", "/token"}, compile(t).Secrets())
}

func TestCompileRefusesWhatAFormCannotShow(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct{ schema, want string }{
		"missing":             {``, "is missing"},
		"not JSON":            {`{`, "is not JSON"},
		"root not object":     {`{"type":"string"}`, "the root must be an object"},
		"reference":           {`{"type":"object","properties":{"a":{"$ref":"#/x"}}}`, `"$ref" cannot be shown`},
		"anyOf":               {`{"type":"object","properties":{"a":{"type":"string","anyOf":[]}}}`, `"anyOf" cannot be shown`},
		"no type":             {`{"type":"object","properties":{"a":{}}}`, "type must be one of"},
		"several types":       {`{"type":"object","properties":{"a":{"type":["string","null"]}}}`, "type must be one of"},
		"array of arrays":     {`{"type":"object","properties":{"a":{"type":"array","items":{"type":"array","items":{"type":"string"}}}}}`, "array of arrays"},
		"secret number":       {`{"type":"object","properties":{"a":{"type":"number","writeOnly":true}}}`, "only a string"},
		"secret group":        {`{"type":"object","properties":{"a":{"type":"object","writeOnly":true}}}`, "only a string"},
		"secret item":         {`{"type":"object","properties":{"a":{"type":"array","items":{"type":"string","writeOnly":true}}}}`, "must be a property"},
		"secret with default": {`{"type":"object","properties":{"a":{"type":"string","writeOnly":true,"default":"x"}}}`, `cannot have "default"`},
		"nested oneOf": {`{"type":"object","oneOf":[{"properties":{"k":{"const":"a"},
			"b":{"type":"object","oneOf":[{"properties":{"k":{"const":"a"}}}]}}}]}`, "one level deep"},
		"no discriminator": {`{"type":"object","oneOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":{"type":"string"}}}]}`, "tells them apart"},
		"odd name":         {`{"type":"object","properties":{"a/b":{"type":"string"}}}`, "must be letters"},
		"bad pattern":      {`{"type":"object","properties":{"a":{"type":"string","pattern":"("}}}`, "settings_schema"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := settings.Compile([]byte(tt.schema))
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()

	s := compile(t)
	require.Empty(t, s.Validate([]byte(`{"number":"12345","token":"s3cret-token","site":"https://example.com",
		"login":{"kind":"pair","user":"u","password":"p"},"extra":[{"name":"a","key":"k"}]}`)))
	for name, tt := range map[string]struct{ document, pointer, words string }{
		"missing":       {`{"number":"12345"}`, "/token", "is required"},
		"pattern":       {`{"number":"s3cret-wrong","token":"s3cret-token"}`, "/number", "does not have the right form"},
		"too short":     {`{"number":"12345","token":"s3cret"}`, "/token", "must have at least 8 characters"},
		"type":          {`{"number":12345,"token":"s3cret-token"}`, "/number", "must be string"},
		"enum":          {`{"number":"12345","token":"s3cret-token","mode":"s3cret"}`, "/mode", "is not one of the allowed values"},
		"range":         {`{"number":"12345","token":"s3cret-token","limit":99}`, "/limit", "must be at most 80"},
		"format":        {`{"number":"12345","token":"s3cret-token","site":"s3cret wrong"}`, "/site", "is not a valid uri"},
		"unknown":       {`{"number":"12345","token":"s3cret-token","more":"s3cret"}`, "/more", "is not a setting of this plugin"},
		"in a group":    {`{"number":"12345","token":"s3cret-token","hook":{"path":7}}`, "/hook/path", "must be string"},
		"in an array":   {`{"number":"12345","token":"s3cret-token","extra":[{"name":"a"},{}]}`, "/extra/1/name", "is required"},
		"in the branch": {`{"number":"12345","token":"s3cret-token","login":{"kind":"pair","user":"u"}}`, "/login/password", "is required"},
		"no branch":     {`{"number":"12345","token":"s3cret-token","login":{"kind":"other"}}`, "/login", "must fit exactly one of its forms"},
		"not JSON":      {`{"number":`, "", "is not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			found := s.Validate([]byte(tt.document))
			require.Equal(t, []sdk.Diagnostic{{Severity: sdk.SeverityError, Pointer: tt.pointer, Summary: tt.words}}, found)
			require.NotContains(t, found[0].Summary, "s3cret")
		})
	}
}

func TestSplitAndMerge(t *testing.T) {
	t.Parallel()

	s := compile(t)
	whole := `{"number":"12345","limit":12345678901234567890,"token":"s3cret-1","hook":{"verify":"s3cret-2"},
		"extra":[{"name":"a","key":"s3cret-3"},{"name":"b"}],"login":{"kind":"key","key":"s3cret-4"}}`
	d, err := s.Split([]byte(whole))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"/token": "s3cret-1", "/hook/verify": "s3cret-2", "/extra/0/key": "s3cret-3", "/login/key": "s3cret-4"}, d.Secrets)
	require.NotContains(t, string(d.Settings), "s3cret")
	back, err := settings.Merge(d.Settings, d.Secrets)
	require.NoError(t, err)
	require.JSONEq(t, whole, string(back))
	require.Contains(t, string(back), "12345678901234567890", "numbers keep their digits")

	_, err = s.Split([]byte(`{"token":7}`))
	require.ErrorContains(t, err, "/token")
	_, err = s.Split([]byte(`[]`))
	require.Error(t, err)
	_, err = settings.Merge([]byte(`{"extra":[]}`), map[string]string{"/extra/0/key": "x"})
	require.ErrorContains(t, err, "/extra/0/key")
	_, err = settings.Merge([]byte(`{"a":"text"}`), map[string]string{"/a/b": "x"})
	require.Error(t, err)
	empty, err := settings.Merge(nil, map[string]string{"/hook/verify": "v"})
	require.NoError(t, err)
	require.JSONEq(t, `{"hook":{"verify":"v"}}`, string(empty))
}

func TestUpdate(t *testing.T) {
	t.Parallel()

	s := compile(t)
	stored := settings.Document{
		Settings: []byte(`{"number":"12345","hook":{},"extra":[{"name":"a"},{"name":"b"}]}`),
		Secrets:  map[string]string{"/token": "old-token", "/hook/verify": "old-verify", "/extra/0/key": "key-a", "/extra/1/key": "key-b"},
	}
	for name, tt := range map[string]struct {
		submitted string
		secrets   map[string]string
		pointers  []string
	}{
		"absent keeps": {`{"number":"54321","hook":{},"extra":[{"name":"a"},{"name":"b"}]}`,
			map[string]string{"/token": "old-token", "/hook/verify": "old-verify", "/extra/0/key": "key-a", "/extra/1/key": "key-b"}, nil},
		"text replaces": {`{"number":"54321","token":"new-token"}`, map[string]string{"/token": "new-token", "/hook/verify": "old-verify"}, nil},
		"null deletes":  {`{"number":"54321","hook":{"verify":null}}`, map[string]string{"/token": "old-token"}, nil},
		"null on a required one": {`{"number":"54321","token":null}`, map[string]string{"/hook/verify": "old-verify"},
			[]string{"/token"}},
		"mask is refused": {`{"number":"54321","token":"…oken"}`, nil, []string{"/token"}},
		"not text":        {`{"number":"54321","token":5}`, nil, []string{"/token"}},
		"entries reordered": {`{"number":"54321","extra":[{"name":"b"},{"name":"a"}]}`,
			map[string]string{"/token": "old-token", "/hook/verify": "old-verify", "/extra/0/key": "key-b", "/extra/1/key": "key-a"}, nil},
		"entry removed": {`{"number":"54321","extra":[{"name":"b"}]}`,
			map[string]string{"/token": "old-token", "/hook/verify": "old-verify", "/extra/0/key": "key-b"}, nil},
		"entry changed loses its secret": {`{"number":"54321","extra":[{"name":"c"},{"name":"b"}]}`,
			map[string]string{"/token": "old-token", "/hook/verify": "old-verify", "/extra/1/key": "key-b"}, nil},
		"twins lose theirs": {`{"number":"54321","extra":[{"name":"a"},{"name":"a"}]}`,
			map[string]string{"/token": "old-token", "/hook/verify": "old-verify"}, nil},
		"other faults": {`{"number":"wrong"}`, map[string]string{"/token": "old-token", "/hook/verify": "old-verify"}, []string{"/number"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			next, found, err := s.Update(stored, []byte(tt.submitted))
			require.NoError(t, err)
			var at []string
			for _, d := range found {
				at = append(at, d.Pointer)
			}
			require.Equal(t, tt.pointers, at)
			if tt.secrets != nil {
				require.Equal(t, tt.secrets, next.Secrets)
			}
			for _, v := range next.Secrets {
				require.NotContains(t, string(next.Settings), v)
			}
		})
	}
	_, _, err := s.Update(stored, []byte(`nonsense`))
	require.Error(t, err)
	first, found, err := s.Update(settings.Document{}, []byte(`{"number":"54321","token":"new-token"}`))
	require.NoError(t, err)
	require.Empty(t, found)
	require.Equal(t, map[string]string{"/token": "new-token"}, first.Secrets)
}

func TestHint(t *testing.T) {
	t.Parallel()

	require.Equal(t, "…6789", settings.Hint("EAAG123456789"))
	require.Equal(t, "…", settings.Hint("short"))
}

func TestDecode(t *testing.T) {
	t.Parallel()

	var v struct {
		Number string `json:"number"`
		Token  string `json:"token"`
		Hook   struct {
			Verify string `json:"verify"`
		} `json:"hook"`
	}
	i := sdk.Installation{Settings: []byte(`{"number":"1","hook":{},"more":1}`), Secrets: map[string]string{"/token": "t", "/hook/verify": "v"}}
	require.NoError(t, settings.Decode(i, &v))
	require.Equal(t, "1tv", v.Number+v.Token+v.Hook.Verify)
	i.Settings = []byte(`{"number":{"a":"s3cret"}}`)
	err := settings.Decode(i, &v)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cret")
}

func TestParse(t *testing.T) {
	t.Parallel()

	manifest := func(change func(map[string]any)) []byte {
		m := map[string]any{
			"id": "whatsapp", "name": "WhatsApp", "version": "0.1.0", "protocol": 1, "capabilities": []string{"channel", "webhook"},
			"settings_version": 1, "settings_schema": json.RawMessage(schema),
		}
		change(m)
		b, err := json.Marshal(m)
		require.NoError(t, err)
		return b
	}
	m, err := settings.Parse(manifest(func(m map[string]any) { m["surprise"] = 1 }))
	require.NoError(t, err)
	require.Equal(t, []string{"surprise"}, m.Unknown)
	require.Equal(t, 200, m.Webhook.SpoolResponse.Status)
	require.Equal(t, "never", m.RetryUnknown)
	require.Equal(t, settings.DefaultMemoryMiB, m.MemoryMiB)
	require.True(t, m.Has(settings.Channel))
	require.False(t, m.Has(settings.Voice))

	for name, tt := range map[string]struct {
		key   string
		value any
		want  string
	}{
		"id":             {"id", "What's App", "id "},
		"name":           {"name", "", "name is missing"},
		"version":        {"version", "1", "semantic version"},
		"protocol":       {"protocol", 0, "protocol is missing"},
		"capability":     {"capabilities", []string{"fly"}, `capability "fly"`},
		"twice":          {"capabilities", []string{"webhook", "webhook"}, "named twice"},
		"none":           {"capabilities", []string{}, "capabilities is empty"},
		"settings":       {"settings_version", 0, "settings_version"},
		"schema":         {"settings_schema", json.RawMessage(`{"type":"string"}`), "the root must be an object"},
		"route kind":     {"route_kinds", []string{"Phone Number"}, "lower-case word"},
		"retry":          {"retry_unknown", "always", "retry_unknown"},
		"spool response": {"webhook", json.RawMessage(`{"spool_response":{"status":500}}`), "must be of the 200s"},
		"memory":         {"memory_mib", 1, "memory_mib"},
		"rate limit":     {"rate_limits", json.RawMessage(`[{"name":"x"}]`), "limits nothing"},
		"wrong type":     {"name", 5, "not the JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := settings.Parse(manifest(func(m map[string]any) { m[tt.key] = tt.value }))
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err = settings.Parse(manifest(func(m map[string]any) { m["id"], m["version"] = "", "" }))
	require.Equal(t, 2, strings.Count(err.Error(), "\n")+1, "all faults at once")
}
