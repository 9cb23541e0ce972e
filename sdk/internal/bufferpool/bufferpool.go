// Package bufferpool gives gRPC finer tiers of buffers than its own, which
// jump from 32 KiB to 1 MiB: a message of 33 KiB would take, and clear, a
// megabyte. Importing the package is enough. It is the one place that uses this
// experimental part of gRPC.
package bufferpool

import (
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

// exponents of two of the tiers: 256 B, 1 KiB, each power from 4 KiB to 1 MiB, 4 MiB.
func exponents() []uint8 { return []uint8{8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22} }

func init() {
	p, err := mem.NewBinaryTieredBufferPool(exponents()...)
	if err != nil {
		panic(err)
	}
	experimental.SetDefaultBufferPool(p)
}
