package main

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk"
)

var update = flag.Bool("update", false, "rewrite the expected events of testdata")

// arrival is when the requests of testdata arrive.
var arrival = time.Date(2026, 11, 23, 14, 6, 0, 0, time.UTC)

// golden is a file of testdata/receive: a webhook's body, what UChat answers when
// it is asked, and what all this means.
type golden struct {
	Body    json.RawMessage `json:"body"`
	Profile json.RawMessage `json:"profile"`
	History json.RawMessage `json:"history"`
	Events  any             `json:"events"`
}

func TestGolden(t *testing.T) {
	t.Parallel()

	files, err := filepath.Glob("testdata/receive/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()

			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var g golden
			require.NoError(t, json.Unmarshal(raw, &g))
			provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := g.Profile
				if strings.HasSuffix(r.URL.Path, "/chat-messages") {
					answer = g.History
				}
				_, _ = w.Write(answer)
			}))
			t.Cleanup(provider.Close)
			c := newInstance(t, provider.URL, map[string]string{"flow_ns": "f154820", "api_key": "a-key-of-the-tests", "webhook_secret": "a-secret-of-the-tests"})
			c.now = func() time.Time { return arrival }
			result, err := c.HandleWebhook(t.Context(), sdk.Webhook{Request: sdk.Request{
				Method: http.MethodPost, Body: g.Body, ReceivedAt: arrival,
				Headers: []sdk.Header{{Name: secretHeader, Value: "a-secret-of-the-tests"}},
			}})
			require.NoError(t, err)
			got := described(t, result.Events)
			if *update {
				g.Events = got
				raw, err := json.MarshalIndent(g, "", "  ")
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(file, append(raw, '\n'), 0o600))
				return
			}
			require.Equal(t, g.Events, got)
		})
	}
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
		return json.RawMessage(x)
	}
	switch v.Kind() {
	case reflect.Interface:
		return map[string]any{v.Elem().Type().Name(): describe(v.Elem())}
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
