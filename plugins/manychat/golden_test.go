package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk"
)

var update = flag.Bool("update", false, "rewrite the expected events of testdata")

// arrivedAt is when the requests of testdata arrive.
var arrivedAt = time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)

// golden is a file of testdata/receive: a body, the event it means, and what the
// person who made the step is told. Text holds a body that is no JSON.
type golden struct {
	Body  json.RawMessage `json:"body,omitempty"`
	Text  string          `json:"text,omitempty"`
	Event any             `json:"event"`
	Words string          `json:"words,omitempty"`
}

func TestReceive(t *testing.T) {
	t.Parallel()

	files, err := filepath.Glob("testdata/receive/*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 15)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()

			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var g golden
			require.NoError(t, json.Unmarshal(raw, &g))
			var compact bytes.Buffer // as steps send it; the key of some events is of the bytes
			if g.Body != nil {
				require.NoError(t, json.Compact(&compact, g.Body))
			}
			body := compact.Bytes()
			if g.Text != "" {
				body = []byte(g.Text)
			}
			a := arrival{body: body, at: arrivedAt, page: "104455667788990", numbers: []string{"104455667788990", "3300112"}}
			event, words := a.receive()
			got := described(t, event)
			if *update {
				g.Event, g.Words = got, words
				raw, err := json.MarshalIndent(g, "", "  ")
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(file, append(raw, '\n'), 0o600))
				return
			}
			require.Equal(t, g.Event, got)
			require.Equal(t, g.Words, words)
			require.NotEmpty(t, event.DedupeKey)
			require.Len(t, event.RouteKeys, 2)
		})
	}
}

// described turns an event into what encoding/json would read back: objects of
// the fields that are not zero, with the names of types where there is a choice.
func described(t *testing.T, event sdk.Event) any {
	t.Helper()

	raw, err := json.Marshal(describe(reflect.ValueOf(event)))
	require.NoError(t, err)
	var out any
	require.NoError(t, json.Unmarshal(raw, &out))
	return out
}

func describe(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Time:
		return x
	case []byte:
		if json.Valid(x) {
			return json.RawMessage(x)
		}
		return string(x)
	}
	switch v.Kind() {
	case reflect.Interface:
		return map[string]any{v.Elem().Type().Name(): describe(v.Elem())}
	case reflect.Pointer:
		return describe(v.Elem())
	case reflect.Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = describe(v.MapIndex(k))
		}
		return out
	case reflect.Slice:
		out := []any{}
		for i := range v.Len() {
			out = append(out, describe(v.Index(i)))
		}
		return out
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() {
				out[v.Type().Field(i).Name] = describe(f)
			}
		}
		return out
	}
	return v.Interface()
}
