package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/tenant"
)

// databaseName is what control.databases takes.
var databaseName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func (p *program) database() *cobra.Command {
	root := group("database", "Manage the databases in which agencies live")
	var same, file string
	add := &cobra.Command{
		Use:   "add NAME (--same DATABASE | --file PATH)",
		Short: "Prepare a PostgreSQL database and offer it to agencies that want one of their own",
		Example: "  strato database add norte --same strato_norte\n" +
			"  strato database add sur --file /etc/strato/sur.url",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := dsnRef(args[0], same, file)
			if err != nil {
				return err
			}
			return p.with(cmd, func(ctx context.Context, c *control) error { return p.addDatabase(ctx, c, args[0], ref) })
		},
	}
	add.Flags().StringVar(&same, "same", "", "name of an existing database of the control database's server")
	add.Flags().StringVar(&file, "file", "", "file with the URL of an existing database, as its owner; every node must have it")
	list := &cobra.Command{
		Use:   "list",
		Short: "List the databases",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.with(cmd, p.listDatabases) },
	}
	root.AddCommand(add, list)
	return root
}

// dsnRef says how a database is reached, see [tenant.Database].
func dsnRef(name, same, file string) (string, error) {
	switch {
	case !databaseName.MatchString(name):
		return "", fmt.Errorf("%q cannot be a database's name here: take up to 63 of a-z, 0-9, - and _, a letter or digit first", name)
	case (same == "") == (file == ""):
		return "", errors.New("give either --same or --file")
	case same != "":
		return "same:" + same, nil
	}
	file, err := filepath.Abs(file)
	return "file:" + file, err
}

// addDatabase prepares a database before it is offered, so that one which cannot
// be reached or migrated leaves nothing behind.
func (p *program) addDatabase(ctx context.Context, c *control, name, ref string) error {
	list, err := c.pool.Databases(ctx)
	if err != nil {
		return err
	}
	d := tenant.Database{Name: name, Kind: "dedicated", DSNRef: ref}
	for _, have := range list {
		switch {
		case have.Name == name && have.DSNRef == ref:
			fmt.Fprintf(p.Out, "database %s is there already\n", name)
			return nil
		case have.Name == name:
			return fmt.Errorf("there is a database %s already, at %s: take another name", name, have.DSNRef)
		case have.DSNRef == ref:
			return fmt.Errorf("%s is offered already, as database %s", ref, have.Name)
		}
	}
	admin, err := d.AdminURL(c.admin)
	if err == nil {
		err = app.Migrate(ctx, admin, c.key, func(s string) { fmt.Fprintln(p.Out, s) }, postgres.SetTenant)
	}
	if err == nil {
		err = app.AuditDatabase(ctx, admin)
	}
	if err != nil {
		return fmt.Errorf("prepare database %s: %w", name, err)
	}
	if _, err := c.pool.AddDatabase(ctx, d); err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "database %s is ready for: strato tenant create SLUG --name NAME --database %s\n", name, name)
	return nil
}

func (p *program) listDatabases(ctx context.Context, c *control) error {
	list, err := c.pool.Databases(ctx)
	if err != nil {
		return err
	}
	var agencies []struct {
		DatabaseID tenant.DatabaseID
		Count      int
	}
	err = c.pool.Control().NewRaw("select database_id, count(*) as count from control.placements group by 1").Scan(ctx, &agencies)
	if err != nil {
		return fmt.Errorf("count the agencies: %w", err)
	}
	count := map[tenant.DatabaseID]int{}
	for _, a := range agencies {
		count[a.DatabaseID] = a.Count
	}
	table := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join([]string{"NAME", "KIND", "STATE", "AGENCIES", "REACHED BY"}, "\t"))
	for _, d := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", d.Name, d.Kind, d.State, count[d.ID], d.DSNRef)
	}
	return table.Flush()
}
