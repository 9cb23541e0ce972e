package redact_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/internal/redact"
)

func TestSet(t *testing.T) {
	t.Parallel()

	s := redact.NewSet(10)
	odd := `p"w/<&> +1é`
	s.Add("a", 1, map[string]string{"/x": "s3cret-value", "/y": odd, "/short": "abc"})
	quoted, err := json.Marshal(odd)
	require.NoError(t, err)
	for _, text := range []string{"the s3cret-value here", "x=" + odd, string(quoted), "?t=" + url.QueryEscape(odd), "/" + url.PathEscape(odd), fmt.Sprintf("%q", odd)} {
		masked := s.String(text)
		require.Contains(t, masked, redact.Mask, text)
		require.NotContains(t, masked, "s3cret")
		require.NotContains(t, masked, "p\"w")
	}
	require.Equal(t, "abc is a word", s.String("abc is a word"), "a value too short to be one was masked")
}

func TestSetFollowsRevisions(t *testing.T) {
	t.Parallel()

	s := redact.NewSet(10)
	s.Add("a", 1, map[string]string{"/x": "first-secret"})
	s.Add("a", 2, map[string]string{"/x": "second-secret"})
	require.Equal(t, "[secret] [secret]", s.String("first-secret second-secret"), "calls of the last revision may still be under way")
	s.Add("a", 2, map[string]string{"/x": "tried-secret"})
	require.Equal(t, "[secret]", s.String("tried-secret"), "the same revision with other values")
	s.Add("b", 1, map[string]string{"/x": "first-secret-and-more"})
	require.Equal(t, "[secret]", s.String("first-secret-and-more"), "a value that begins like another")
}

func TestSetIsBounded(t *testing.T) {
	t.Parallel()

	s := redact.NewSet(2)
	for i := range 3 {
		s.Add(fmt.Sprint(i), 1, map[string]string{"/x": fmt.Sprintf("secret-of-%d", i)})
	}
	require.Equal(t, "secret-of-0 [secret] [secret]", s.String("secret-of-0 secret-of-1 secret-of-2"))
}
