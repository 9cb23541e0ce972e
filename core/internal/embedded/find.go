package embedded

import (
	"context"
	"fmt"
)

// Find tells which PostgreSQL installation StartPostgres would use for a new
// cluster, in a few words. The error says how to get one.
func Find(ctx context.Context, o Options) (string, error) {
	b, err := findBinaries(ctx, o, 0)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("PostgreSQL %d in %s", b.major, b.folder), nil
}
