package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/pluginstore"
	"github.com/stratohub/strato/core/internal/tenant"
)

func (p *program) plugin() *cobra.Command {
	root := &cobra.Command{Use: "plugin", Short: "Install, upgrade and examine plugins"}
	root.AddCommand(
		p.pluginPack(), p.pluginKey(), p.pluginInstall(), p.pluginPin(), p.pluginUnpin(), p.pluginRollback(), p.pluginRetry(), p.pluginPS(), p.pluginLogs(), p.pluginDead(),
		p.pluginIsolate(),
		p.pluginDoctor(),
	)
	return root
}

func (p *program) pluginPack() *cobra.Command {
	var key, out string
	cmd := &cobra.Command{
		Use:     "pack DIR",
		Short:   "Pack a plugin's manifest and binary into a signed archive",
		Example: "  strato plugin pack bin/plugins/acme --key acme.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return p.pack(args[0], key, out)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "file with the private Ed25519 key, in PEM; without it the archive is not signed")
	cmd.Flags().StringVar(&out, "out", "", "the archive to write; empty is PLUGIN-VERSION.tar.gz here")
	return cmd
}

func (p *program) pack(folder, key, out string) error {
	f, err := os.CreateTemp(".", ".strato-pack-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	r, err := packInto(f, folder, key)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if out == "" {
		out = r.Name + "-" + r.version + ".tar.gz"
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil { //nolint:gosec // what is given to others is no secret
		return err
	}
	if err := os.Rename(f.Name(), out); err != nil {
		return err
	}
	signed := "signed"
	if key == "" {
		signed = "not signed"
	}
	fmt.Fprintf(p.Out, "%s: %s %s, release %s, %s\n", out, r.Name, r.version, shortSum(r.sum), signed)
	return nil
}

// packed is what an archive holds.
type packed struct{ Name, version, sum string }

func packInto(w io.Writer, folder, key string) (packed, error) {
	if key == "" {
		r, err := pluginstore.Pack(folder, nil, w)
		if err != nil {
			return packed{}, err
		}
		return packed{r.Name, r.Manifest.Version, r.SHA256}, nil
	}
	private, err := pluginstore.ReadKey(key)
	if err != nil {
		return packed{}, err
	}
	r, err := pluginstore.Pack(folder, private, w)
	if err != nil {
		return packed{}, err
	}
	return packed{r.Name, r.Manifest.Version, r.SHA256}, nil
}

func (p *program) pluginKey() *cobra.Command {
	return &cobra.Command{
		Use:   "key FILE",
		Short: "Make a key for signing plugins",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			public, err := pluginstore.NewKey(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(p.Out, "The private key is in %s. Who takes your plugins adds the public key, under a name, to STRATO_PLUGIN_KEYS:\nNAME:%s\n", args[0], public)
			return nil
		},
	}
}

func (p *program) pluginInstall() *cobra.Command {
	return &cobra.Command{
		Use:   "install FILE|DIR",
		Short: "Put a plugin's release into this node's store; it runs once it is pinned",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error { return t.install(ctx, args[0]) })
		},
	}
}

func (p *program) pluginPin() *cobra.Command {
	var canary []string
	cmd := &cobra.Command{
		Use:   "pin PLUGIN RELEASE",
		Short: "Run an installed release on all nodes, or for some agencies first",
		Long:  "Run an installed release, named by its version or the beginning of its digest, on all nodes. With --canary it runs beside the active one, for these agencies only.",
		Example: "  strato plugin pin echo 0.2.0 --canary acme,norte\n" +
			"  strato plugin pin echo 0.2.0",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error { return t.pin(ctx, args[0], args[1], canary) })
		},
	}
	cmd.Flags().StringSliceVar(&canary, "canary", nil, "agencies that get the release first")
	return cmd
}

func (p *program) pluginUnpin() *cobra.Command {
	return &cobra.Command{
		Use:   "unpin PLUGIN",
		Short: "Run what is in the nodes' plugin folders again",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error {
				if err := t.pins.Unpin(ctx, args[0], "unpinned by hand"); err != nil {
					return err
				}
				fmt.Fprintf(t.Out, "%s is not pinned any more. Each node runs what is in its plugin folder, or nothing.\n", args[0])
				return nil
			})
		},
	}
}

func (p *program) pluginRollback() *cobra.Command {
	return &cobra.Command{
		Use:   "rollback PLUGIN",
		Short: "End a canary, or else go back to the previous release",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error {
				if err := t.pins.RollBack(ctx, args[0], "rolled back by hand"); err != nil {
					return err
				}
				return t.tell(ctx, args[0])
			})
		},
	}
}

func (p *program) pluginRetry() *cobra.Command {
	return &cobra.Command{
		Use:   "retry PLUGIN",
		Short: "End a plugin's quarantine on all nodes",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error {
				n, err := t.incidents.Forgive(ctx, args[0])
				if err == nil {
					fmt.Fprintf(p.Out, "%d quarantines of %s ended\n", n, args[0])
				}
				return err
			})
		},
	}
}

func (p *program) pluginPS() *cobra.Command {
	return &cobra.Command{
		Use:   "ps",
		Short: "Show which release is pinned and what runs on each node",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error { return t.ps(ctx) })
		},
	}
}

func (p *program) pluginLogs() *cobra.Command {
	var count int64
	cmd := &cobra.Command{
		Use:   "logs PLUGIN",
		Short: "Show what happened to a plugin: incidents with their last lines, quarantines, changes of its pin",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 || count > 1000 {
				return errors.New("take between 1 and 1000 for --count")
			}
			return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error { return t.logs(ctx, args[0], count) })
		},
	}
	cmd.Flags().Int64Var(&count, "count", 20, "how many of each kind, the newest")
	return cmd
}

func (p *program) pluginDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check whether all nodes run what is pinned",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withPlugins(cmd, func(ctx context.Context, t *plugins) error { return t.doctor(ctx) })
		},
	}
}

// plugins is the plugins' part of the control plane, as a command uses it.
type plugins struct {
	*program
	config    config.Config
	store     string
	pool      *tenant.Pool
	pins      pluginhost.Pins
	incidents pluginhost.Incidents
}

func (p *program) withPlugins(cmd *cobra.Command, f func(context.Context, *plugins) error) error {
	cfg, err := p.load()
	if err != nil {
		return err
	}
	store, err := cfg.Store()
	if err != nil {
		return err
	}
	return p.with(cmd, func(ctx context.Context, c *control) error {
		db := c.pool.Control()
		return f(ctx, &plugins{p, cfg, store, c.pool, pluginhost.Pins{DB: db}, pluginhost.Incidents{DB: db}})
	})
}

func (t *plugins) install(ctx context.Context, from string) error {
	keys, err := t.config.TrustedKeys()
	if err != nil {
		return err
	}
	r, err := pluginstore.Install(t.store, from, pluginstore.Trust{Keys: keys, Unsigned: t.config.PluginUnsigned})
	if err != nil {
		return err
	}
	err = t.pins.Register(ctx, pluginhost.Installed{
		Plugin: r.Name, SHA256: r.SHA256, Version: r.Manifest.Version, Manifest: json.RawMessage(r.ManifestJSON),
		ManifestSHA256: r.ManifestSHA256, Platform: r.Platform, Signer: r.Signer,
	})
	if err != nil {
		return err
	}
	signer, what := "nobody", "is installed"
	if r.Signer != "" {
		signer = r.Signer
	}
	if r.Already {
		what = "is there already"
	}
	fmt.Fprintf(t.Out, "%s %s, release %s, signed by %s, %s. It runs after: strato plugin pin %s %s\n",
		r.Name, r.Manifest.Version, shortSum(r.SHA256), signer, what, r.Name, shortSum(r.SHA256))
	return nil
}

func (t *plugins) pin(ctx context.Context, plugin, words string, canary []string) error {
	r, err := t.pins.Find(ctx, plugin, words)
	if err != nil {
		return err
	}
	if len(canary) == 0 {
		err = t.pins.Activate(ctx, plugin, r.SHA256, "pinned by hand")
	} else {
		var agencies []tenant.ID
		for _, slug := range canary {
			agency, err := t.pool.BySlug(ctx, slug)
			if err != nil {
				return fmt.Errorf("agency %s: %w", slug, err)
			}
			agencies = append(agencies, agency.ID)
		}
		err = t.pins.Try(ctx, plugin, r.SHA256, agencies, "canary for "+strings.Join(canary, ", "))
	}
	if err != nil {
		return err
	}
	return t.tell(ctx, plugin)
}

// tell says how a plugin is pinned.
func (t *plugins) tell(ctx context.Context, plugin string) error {
	list, err := t.pins.List(ctx)
	if err != nil {
		return err
	}
	versions, err := t.versions(ctx)
	if err != nil {
		return err
	}
	for _, pin := range list {
		if pin.Plugin == plugin {
			fmt.Fprintf(t.Out, "%s is pinned to %s%s. The nodes follow; \"strato plugin ps\" shows how far they are.\n", plugin, versions[pin.SHA256], canaryWords(pin, versions))
		}
	}
	return nil
}

func canaryWords(pin pluginhost.Pinned, versions map[string]string) string {
	if pin.Canary == "" {
		return ""
	}
	return fmt.Sprintf(", with %s for %d agencies", versions[pin.Canary], len(pin.CanaryTenants))
}

// versions are the words for releases, by digest.
func (t *plugins) versions(ctx context.Context) (map[string]string, error) {
	list, err := t.pins.Releases(ctx, "")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, r := range list {
		out[r.SHA256] = r.Version + " (" + shortSum(r.SHA256) + ")"
	}
	return out, nil
}

// nodeLate is when a node has not told of itself for too long.
const nodeLate = 2 * time.Minute

func (t *plugins) ps(ctx context.Context) error {
	pins, err := t.pins.List(ctx)
	if err != nil {
		return err
	}
	nodes, err := t.incidents.Nodes(ctx)
	if err != nil {
		return err
	}
	versions, err := t.versions(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join([]string{"PLUGIN", "NODE", "PINNED", "RUNNING", "STATE", "PID", "IN FLIGHT", "SINCE"}, "\t"))
	for _, n := range nodes {
		pinned := "-"
		if i := slices.IndexFunc(pins, func(p pluginhost.Pinned) bool { return p.Plugin == n.Plugin }); i >= 0 {
			sum := pins[i].SHA256
			if n.Canary {
				sum = pins[i].Canary
			}
			pinned = versions[sum]
		}
		name, state := n.Plugin, n.State
		if n.Canary {
			name += " (canary)"
		}
		if n.Shard != "" {
			name += " (" + n.Shard + ")"
		}
		if time.Since(n.SeenAt) > nodeLate {
			state = "silent since " + n.SeenAt.UTC().Format(time.RFC3339)
		}
		running := "-"
		if n.PID != 0 {
			running = n.Version + " (" + shortSum(n.SHA256) + ")"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", name, n.Node, pinned, running, state, n.PID, n.InFlight, n.Since.UTC().Format(time.RFC3339))
	}
	for _, p := range pins {
		if !slices.ContainsFunc(nodes, func(n pluginhost.NodeStatus) bool { return n.Plugin == p.Plugin }) {
			fmt.Fprintf(table, "%s\t-\t%s\t-\ton no node\t0\t0\t-\n", p.Plugin, versions[p.SHA256])
		}
	}
	return table.Flush()
}

// shortSum is enough of a digest to tell releases apart.
func shortSum(sum string) string { return sum[:min(len(sum), 12)] }
