package bufferpool

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/mem"
)

// The default pool of gRPC gives a buffer of 1 MiB from 32 KiB + 1 byte on; if
// this fails, gRPC changed and the package may have lost its effect.
func TestTiersAreFine(t *testing.T) {
	t.Parallel()

	for asked, most := range map[int]int{200: 256, 1000: 1 << 10, 5000: 8 << 10, 32<<10 + 1: 64 << 10, 65<<10 + 1: 128 << 10, 600 << 10: 1 << 20} {
		b := mem.DefaultBufferPool().Get(asked)
		require.Len(t, *b, asked)
		require.LessOrEqual(t, cap(*b), most, "buffer for %d bytes", asked)
		mem.DefaultBufferPool().Put(b)
	}
}
