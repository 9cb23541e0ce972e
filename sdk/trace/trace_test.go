package trace_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/trace"
)

func TestHeader(t *testing.T) {
	t.Parallel()

	const header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	c, ok := trace.Parse(header)
	require.True(t, ok)
	require.Equal(t, header, c.String())
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", c.TraceID())
	require.Equal(t, "00f067aa0ba902b7", c.CallID())
	require.True(t, c.Sampled)
	newer, ok := trace.Parse("cc" + header[2:] + "-more")
	require.True(t, ok)
	require.Equal(t, c, newer)

	for _, bad := range []string{
		"", "00", header[:54], header + "-more", "ff" + header[2:], "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "zz" + header[2:],
	} {
		_, ok := trace.Parse(bad)
		require.False(t, ok, bad)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()

	first := trace.Context{}.Next()
	require.True(t, first.Valid())
	second := first.Next()
	require.Equal(t, first.Trace, second.Trace)
	require.NotEqual(t, first.Call, second.Call)
	require.NotEqual(t, first.Trace, trace.New().Trace)
	require.False(t, trace.From(context.Background()).Valid())
	require.Equal(t, second, trace.From(trace.With(t.Context(), second)))
}
