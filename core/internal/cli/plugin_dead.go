package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/deadletter"
)

func (p *program) pluginDead() *cobra.Command {
	root := group("dead", "Look at what was given up: webhooks and messages that a plugin died with, events that nothing could take")
	var count int
	list := &cobra.Command{
		Use:   "list [PLUGIN]",
		Short: "List what was given up, the newest first",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 || count > 1000 {
				return errors.New("take between 1 and 1000 for --count")
			}
			return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error {
				return t.deadLetters(ctx, strings.Join(args, ""), count)
			})
		},
	}
	list.Flags().IntVar(&count, "count", 100, "how many")
	settle := func(use, short, done string, f func(deadletter.Letters, context.Context, uuid.UUID) (deadletter.Letter, error)) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: cobra.MinimumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				ids := make([]uuid.UUID, len(args))
				for n, a := range args {
					i, err := uuid.Parse(a)
					if err != nil {
						return fmt.Errorf("%q is not an id as \"strato plugin dead list\" shows it", a)
					}
					ids[n] = i
				}
				return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error {
					for _, i := range ids {
						one, err := f(deadletter.Letters{Pool: t.pool}, ctx, i)
						if err != nil {
							return err
						}
						fmt.Fprintf(t.Out, "%s %s %s\n", one.Kind, one.ID, done)
					}
					return nil
				})
			},
		}
	}
	root.AddCommand(
		list,
		settle("retry ID...", "Let it go once more; a message may then reach the customer twice", "goes once more", deadletter.Letters.Retry),
		settle("drop ID...", "Leave it for good", "is dropped", deadletter.Letters.Drop),
	)
	return root
}

func (t *plugins) deadLetters(ctx context.Context, plugin string, count int) error {
	all, away := deadletter.Letters{Pool: t.pool}.List(ctx, plugin, count)
	if len(all) == 0 {
		fmt.Fprintln(t.Out, "nothing was given up")
		return away
	}
	slugs := map[string]string{}
	table := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tKIND\tPLUGIN\tAGENCY\tAT\tCRASHES\tREASON")
	for _, l := range all {
		agency := "-"
		if !l.Tenant.IsZero() {
			if slugs[l.Tenant.String()] == "" {
				slug, err := t.pool.SlugOf(ctx, l.Tenant)
				if err != nil {
					slug = l.Tenant.String() // rather this than nothing
				}
				slugs[l.Tenant.String()] = slug
			}
			agency = slugs[l.Tenant.String()]
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", l.ID, l.Kind, l.Plugin, agency, l.At.UTC().Format(time.RFC3339), l.Crashes, printable(l.Reason))
	}
	return errors.Join(table.Flush(), away)
}
