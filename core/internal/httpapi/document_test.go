package httpapi_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDocument(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	got := w.do(t, ask{method: "GET", path: "/api/openapi.json"})
	require.Equal(t, "application/openapi+json", got.header.Get("Content-Type"))
	text, err := w.router.Document()
	require.NoError(t, err)
	require.Equal(t, string(text), got.body)
	require.Equal(t, "3.1.0", got.json["openapi"])

	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string                     `json:"operationId"`
			Summary     string                     `json:"summary"`
			Tags        []string                   `json:"tags"`
			Security    []map[string][]string      `json:"security"`
			Permission  string                     `json:"x-strato-permission"`
			Responses   map[string]json.RawMessage `json:"responses"`
			Parameters  []struct{ Name, In string }
		} `json:"paths"`
		Components struct {
			Schemas   map[string]json.RawMessage `json:"schemas"`
			Responses map[string]json.RawMessage `json:"responses"`
		} `json:"components"`
	}
	require.NoError(t, json.Unmarshal(text, &doc))

	for _, route := range w.router.Routes() {
		if route.Path == "/api/openapi.json" {
			continue
		}
		op, ok := doc.Paths[route.Path][strings.ToLower(route.Method)]
		require.True(t, ok, "%s %s is not documented", route.Method, route.Path)
		require.NotEmpty(t, op.OperationID)
		require.NotEmpty(t, op.Tags)
		require.NotEmpty(t, op.Security)
		if route.Permission.Object != "" {
			require.Equal(t, route.Permission.String(), op.Permission)
			require.Len(t, op.Security, 2)
			require.Contains(t, op.Responses, "401")
			require.Contains(t, op.Responses, "403")
		}
		for code, response := range op.Responses {
			var ref struct {
				Ref string `json:"$ref"`
			}
			require.NoError(t, json.Unmarshal(response, &ref))
			if code[0] > '3' {
				name, ok := strings.CutPrefix(ref.Ref, "#/components/responses/")
				require.True(t, ok, "%s %s answers %s in a form of its own", route.Method, route.Path, code)
				require.Contains(t, doc.Components.Responses, name)
			}
		}
	}
	create := doc.Paths["/api/things"]["post"]
	require.Contains(t, create.Responses, "201")
	require.Contains(t, create.Responses, "422")
	require.Contains(t, create.Parameters, struct{ Name, In string }{"Idempotency-Key", "header"})
	require.Contains(t, doc.Paths["/api/things/{id}"]["delete"].Responses, "204")
	require.Equal(t, "List things", doc.Paths["/api/things"]["get"].Summary)
	require.Contains(t, doc.Components.Schemas, "Problem")
	require.Contains(t, slices.Collect(maps.Keys(doc.Components.Schemas)), "PageHttpapi_testThing")
	require.NotContains(t, slices.Collect(maps.Keys(doc.Components.Schemas)), "ErrorModel")

	again := newWorld(t)
	same, err := again.router.Document()
	require.NoError(t, err)
	require.Equal(t, string(text), string(same), "equal routes make equal documents")
}
