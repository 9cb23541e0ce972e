package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

var update = flag.Bool("update", false, "rewrite the expected events of testdata")

// arrival is when the requests of testdata arrive.
var arrival = time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)

// own are the keys by which the installation of the tests was found.
var own = []sdk.RouteKey{{Kind: keyAgent, Value: "agent_4501kb2m8r7ze5k9h3t0wq6nxc1v"}}

// golden is a file of testdata/receive: a body, and what it means.
type golden struct {
	Body   json.RawMessage `json:"body"`
	Events any             `json:"events"`
}

// alone translates without asking anybody.
func alone() *translation { return &translation{arrived: arrival, keys: own, installation: "i"} }

func TestReceive(t *testing.T) {
	t.Parallel()

	files, err := filepath.Glob("testdata/receive/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 20)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()

			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var g golden
			require.NoError(t, json.Unmarshal(raw, &g))
			events, err := alone().translate(t.Context(), g.Body)
			require.NoError(t, err)
			got := described(t, events)
			if *update {
				g.Events = got
				raw, err := json.MarshalIndent(g, "", "  ")
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(file, append(raw, '\n'), 0o600))
				return
			}
			require.Equal(t, g.Events, got)
			again, err := alone().translate(t.Context(), g.Body)
			require.NoError(t, err)
			require.Equal(t, events, again, "the same webhook is the same fact")
			for _, e := range events {
				require.NotEmpty(t, e.DedupeKey)
			}
		})
	}
}

func TestReceiveGarbage(t *testing.T) {
	t.Parallel()

	for _, body := range []string{``, `null`, `[]`, `"x"`, `{`, `<html>`, `{"type":`} {
		_, err := alone().translate(t.Context(), []byte(body))
		require.ErrorIs(t, err, &failure.Failure{Code: failure.Malformed}, body)
	}
}

func FuzzReceive(f *testing.F) {
	files, err := filepath.Glob("testdata/receive/*.json")
	require.NoError(f, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(f, err)
		var g golden
		require.NoError(f, json.Unmarshal(raw, &g))
		f.Add([]byte(g.Body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := alone().translate(context.Background(), body)
		if err != nil {
			require.ErrorIs(t, err, &failure.Failure{Code: failure.Malformed})
		}
		for _, e := range events {
			require.NotEmpty(t, e.DedupeKey)
			if u, ok := e.Payload.(sdk.CallUpdate); ok && u.Transcript != nil {
				require.True(t, json.Valid(u.Transcript))
			}
		}
	})
}

// described turns events into what encoding/json would read back: objects of
// the fields that are not zero, with the names of types where there is a choice.
func described(t *testing.T, events []sdk.Event) any {
	t.Helper()

	raw, err := json.Marshal(describe(reflect.ValueOf(events)))
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
