package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/tenant"
)

func (p *program) pluginIsolate() *cobra.Command {
	var shared bool
	c := &cobra.Command{
		Use:   "isolate AGENCY INSTALLATION",
		Short: "Give an agency's installation a process of its own; --shared takes it back",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			i, err := uuid.Parse(args[1])
			if err != nil {
				return fmt.Errorf("%q is not the id of an installation", args[1])
			}
			return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error {
				return t.isolate(ctx, args[0], id.From[installation.Installation](i), shared)
			})
		},
	}
	c.Flags().BoolVar(&shared, "shared", false, "share the plugin's process with the other installations again")
	return c
}

func (t *plugins) isolate(ctx context.Context, agency string, i installation.ID, shared bool) error {
	a, err := t.pool.BySlug(ctx, agency)
	if err != nil {
		return fmt.Errorf("find the agency %s: %w", agency, err)
	}
	to, words := installation.Dedicated, "has a process of its own"
	if shared {
		to, words = installation.Shared, "shares the plugin's process"
	}
	err = t.pool.Do(ctx, a.ID, func(ctx context.Context, s tenant.Scope) error { return installation.SetIsolation(ctx, s, i, to) })
	if errors.Is(err, installation.ErrNotFound) {
		return fmt.Errorf("the agency %s has no installation %s", agency, i)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(t.Out, "the installation %s; all nodes follow within half a minute\n", words)
	return nil
}
