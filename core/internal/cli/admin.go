package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/secret"
	"github.com/stratohub/strato/core/internal/tenant"
)

// control is the control plane as a command uses it, beside a running server.
type control struct {
	pool  *tenant.Pool
	admin string
	ring  *secret.Ring
	key   []byte // of the database roles' passwords
}

// errNotRunning means that there is no embedded database to connect to.
var errNotRunning = errors.New("no Strato runs")

// open connects to the configured databases, or to those that a running Strato
// started on the data folder.
func (p *program) open(ctx context.Context, cfg config.Config) (*control, error) {
	c := &control{admin: cfg.DatabaseURL.Reveal()}
	if cfg.EmbeddedDatabase() {
		url, running, err := embedded.Running(cfg.Data, app.ControlDatabase)
		if err != nil {
			return nil, err
		}
		if !running {
			return nil, fmt.Errorf("%w on %s. Start it first, or set STRATO_DATABASE_URL", errNotRunning, cfg.Data)
		}
		c.admin = url
	}
	ring, err := cfg.Ring()
	if err != nil {
		return nil, err
	}
	c.ring, c.key = ring, app.RoleKey(ring)
	c.pool, err = tenant.Open(ctx, tenant.Config{AdminURL: c.admin, RoleKey: c.key, MaxConns: 2})
	return c, err
}

// with runs f on the control plane.
func (p *program) with(cmd *cobra.Command, f func(context.Context, *control) error) error {
	cfg, err := p.load()
	if err != nil {
		return err
	}
	c, err := p.open(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer c.pool.Close()
	return f(cmd.Context(), c)
}

func (p *program) migrate() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Make roles and bring all databases to this version's schema",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.with(cmd, func(ctx context.Context, c *control) error {
				say := func(s string) { fmt.Fprintln(p.Out, s) }
				if err := app.Migrate(ctx, c.admin, c.key, say, postgres.SetControl, postgres.SetTenant); err != nil {
					return err
				}
				if _, err := app.Shared(ctx, c.pool, c.admin); err != nil {
					return err
				}
				list, err := c.pool.Databases(ctx)
				if err != nil {
					return err
				}
				var failed []error // one that is away does not keep the others
				for _, d := range list {
					admin, err := d.AdminURL(c.admin)
					if err == nil {
						if err = app.Migrate(ctx, admin, c.key, say, postgres.SetTenant); err != nil {
							err = fmt.Errorf("database %s: %w", d.Name, err)
						}
					}
					if err != nil {
						failed = append(failed, err)
					}
				}
				say(fmt.Sprintf("%d databases are up to date", len(list)-len(failed)))
				return errors.Join(failed...)
			})
		},
	}
}

func (p *program) tenant() *cobra.Command {
	root := group("tenant", "Manage agencies")
	var in tenant.CreateInput
	var plan, database string
	create := &cobra.Command{
		Use:     "create SLUG --name NAME",
		Short:   "Make an agency",
		Example: `  strato tenant create acme --name "Acme Propiedades"` + "\n" + `  strato tenant create norte --name "Norte" --plan enterprise --database norte`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.with(cmd, func(ctx context.Context, c *control) error {
				in.Slug, in.Plan = args[0], tenant.Plan(plan)
				t, err := createTenant(ctx, c, in, database)
				if err != nil {
					return err
				}
				fmt.Fprintf(p.Out, "agency %s made (%s), in database %s\n", t.Slug, t.ID, database)
				return nil
			})
		},
	}
	create.Flags().StringVar(&in.Name, "name", "", "what the agency is called")
	create.Flags().StringVar(&in.Email, "email", "", "where the agency is written to")
	create.Flags().StringVar(&in.Phone, "phone", "", "where the agency is called")
	create.Flags().StringVar(&plan, "plan", string(tenant.PlanBasic), "basic, pro or enterprise")
	create.Flags().StringVar(&database, "database", "shared", "name of the database it lives in")
	_ = create.MarkFlagRequired("name")
	root.AddCommand(create)
	return root
}

// createTenant makes a tenant in the database of that name.
func createTenant(ctx context.Context, c *control, in tenant.CreateInput, database string) (tenant.Tenant, error) {
	switch in.Plan {
	case tenant.PlanBasic, tenant.PlanPro, tenant.PlanEnterprise:
	default:
		return tenant.Tenant{}, fmt.Errorf("there is no plan %q: take basic, pro or enterprise", in.Plan)
	}
	list, err := c.pool.Databases(ctx)
	if err != nil {
		return tenant.Tenant{}, err
	}
	names := []string{}
	for _, d := range list {
		if names = append(names, d.Name); d.Name == database {
			in.Database = d.ID
		}
	}
	if in.Database.IsZero() {
		return tenant.Tenant{}, fmt.Errorf("there is no database %q: take one of %s", database, strings.Join(names, ", "))
	}
	return c.pool.Create(ctx, in, app.Seed(in.Name))
}

func (p *program) user() *cobra.Command {
	root := group("user", "Manage users")
	var in auth.NewUser
	var slug, role string
	create := &cobra.Command{
		Use:     "create EMAIL [--tenant SLUG --role ROLE | --operator]",
		Short:   "Make a user, or add one to an agency; the password is read from the input",
		Example: `  echo "$PASSWORD" | strato user create ana@acme.example --name "Ana Paz" --tenant acme --role agent`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (slug == "") == !in.Operator {
				return errors.New("give either --tenant and --role, or --operator")
			}
			return p.with(cmd, func(ctx context.Context, c *control) error {
				in.Email = args[0]
				return p.createUser(ctx, c, in, slug, rbac.Role(role))
			})
		},
	}
	create.Flags().StringVar(&in.Name, "name", "", "the person's name")
	create.Flags().StringVar(&slug, "tenant", "", "short name of the agency")
	create.Flags().StringVar(&role, "role", string(rbac.RoleAgent), "owner, admin, team_lead, agent, analyst or viewer")
	create.Flags().BoolVar(&in.Operator, "operator", false, "make an operator of the platform, outside every agency")
	root.AddCommand(create)
	return root
}

// createUser makes an operator, or a member of an agency: of a user who is there
// already, or of a new one. Nobody is made before all else is known to be right.
func (p *program) createUser(ctx context.Context, c *control, in auth.NewUser, slug string, role rbac.Role) error {
	accounts := auth.NewAccounts(c.pool.Control())
	var agency tenant.Tenant
	var err error
	if slug != "" {
		if agency, err = c.pool.BySlug(ctx, slug); err != nil {
			return fmt.Errorf("agency %s: %w", slug, err)
		}
		if !slices.Contains(rbac.Roles(), role) {
			return fmt.Errorf("there is no role %q: take owner, admin, team_lead, agent, analyst or viewer", role)
		}
	}
	u, err := accounts.UserByEmail(ctx, in.Email)
	switch {
	case err == nil && in.Operator:
		return auth.ErrEmailTaken
	case errors.Is(err, auth.ErrUserNotFound):
		if in.Password, err = p.readPassword(); err != nil {
			return err
		}
		u, err = accounts.CreateUser(ctx, in)
	}
	if err != nil {
		return err
	}
	if slug == "" {
		fmt.Fprintf(p.Out, "operator %s made\n", u.Email)
		return nil
	}
	if err := accounts.SetMembership(ctx, u.ID, agency.ID, role); err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "%s is %s of agency %s\n", u.Email, role, slug)
	return nil
}

// longestLine is more than any password may have.
const longestLine = 64 << 10

// readPassword reads one line of the input.
func (p *program) readPassword() (string, error) {
	fmt.Fprintln(p.Err, "password (at least 10 characters), then Enter:")
	line, err := bufio.NewReader(io.LimitReader(p.In, longestLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) { // the last line may lack its end
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errors.New("no password was given on the input")
	}
	return line, nil
}
