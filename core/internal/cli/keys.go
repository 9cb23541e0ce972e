package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/secret"
)

func (p *program) keys() *cobra.Command {
	root := group("keys", "Manage the keys of STRATO_SECRET_KEYS")
	root.AddCommand(&cobra.Command{
		Use:   "rewrap",
		Short: "Seal the agencies' own keys under the first key, so that the others can go",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.with(cmd, p.rewrap) },
	})
	return root
}

// rewrap may be repeated, and beside running nodes that have the same keys.
func (p *program) rewrap(ctx context.Context, c *control) error {
	table := secret.NewTable(c.pool.Control())
	owners, err := table.Owners(ctx)
	if err != nil {
		return err
	}
	box, changed := secret.NewBox(c.ring, table), 0
	for _, agency := range owners {
		n, err := box.Rewrap(ctx, agency)
		if err != nil {
			return fmt.Errorf("%d keys were sealed anew, then: %w", changed, err)
		}
		changed += n
	}
	fmt.Fprintf(p.Out, "%d keys sealed anew; all keys of %d agencies are under the first key\n", changed, len(owners))
	return nil
}
