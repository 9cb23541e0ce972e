package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkTranslate is what a webhook of one message costs.
func BenchmarkTranslate(b *testing.B) {
	raw, err := os.ReadFile("testdata/receive/inbound-text.json")
	require.NoError(b, err)
	var g golden
	require.NoError(b, json.Unmarshal(raw, &g))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := translate(g.Body, arrival, own); err != nil {
			b.Fatal(err)
		}
	}
}
