package host_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/host"
)

func TestGrants(t *testing.T) {
	t.Parallel()

	g, now := host.NewGrants(), time.Now()
	token := g.Issue("tenant", "installation", now)
	require.NotEqual(t, token, g.Issue("tenant", "installation", now), "each call has its own")

	tenant, installation, ok := g.Verify(token, now.Add(4*time.Minute))
	require.True(t, ok)
	require.Equal(t, "tenant", tenant)
	require.Equal(t, "installation", installation)

	for name, tt := range map[string]struct {
		by    *host.Grants
		token string
		at    time.Time
	}{
		"after five minutes":   {g, token, now.Add(5*time.Minute + time.Second)},
		"of another process":   {host.NewGrants(), token, now},
		"with a changed byte":  {g, "A" + token[1:], now},
		"with something added": {g, token + "AAAA", now},
		"cut":                  {g, token[:20], now},
		"none":                 {g, "", now},
		"no base64":            {g, "ñ", now},
	} {
		if tt.token[:min(1, len(tt.token))] == token[:1] && name == "with a changed byte" {
			tt.token = "B" + token[1:]
		}
		_, _, ok := tt.by.Verify(tt.token, tt.at)
		require.False(t, ok, name)
	}
}
