package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/embedded"
)

func (p *program) config() *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Show the configuration, without its secrets",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := p.load()
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(p.Out, 0, 4, 2, ' ', 0)
			for _, s := range cfg.Redacted() {
				fmt.Fprintf(w, "%s\t%s\n", s.Name, s.Value)
			}
			return w.Flush()
		},
	}
}

func (p *program) openapi() *cobra.Command {
	return &cobra.Command{
		Use:   "openapi",
		Short: "Print the API's OpenAPI 3.1 document",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			doc, err := app.Document(version())
			if err != nil {
				return err
			}
			_, err = p.Out.Write(doc)
			return err
		},
	}
}

// finding is what the doctor says of one thing.
type finding struct {
	what string
	err  error
	note string
}

func (p *program) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check whether everything that Strato needs is there",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load()
			if err != nil {
				return err
			}
			bad := 0
			for _, f := range p.examine(cmd.Context(), cfg) {
				sign, text := "ok  ", f.note
				if f.err != nil {
					sign, text = "FAIL", f.err.Error()
					bad++
				}
				fmt.Fprintf(p.Out, "%s  %-22s %s\n", sign, f.what, text)
			}
			if bad > 0 {
				return fmt.Errorf("%d of the checks failed", bad)
			}
			return nil
		},
	}
}

func (p *program) examine(ctx context.Context, cfg config.Config) []finding {
	out := []finding{{what: "configuration", err: cfg.Validate(), note: "valid"}}
	out = append(out, examineKeys(cfg), examineDisk(cfg.Data), p.examinePlugins(ctx, cfg))
	if url := cfg.RedisURL.Reveal(); url != "" {
		out = append(out, finding{what: "Redis", err: app.CheckRedis(ctx, url), note: "answers"})
	}
	if cfg.EmbeddedDatabase() {
		version, err := embedded.Find(ctx, embedded.Options{Binaries: cfg.PostgresBin, Packages: app.Packages(cfg)})
		out = append(out, finding{what: "PostgreSQL binaries", err: err, note: version})
	}
	c, err := p.open(ctx, cfg)
	if err != nil {
		if errors.Is(err, errNotRunning) {
			return append(out, finding{what: "control database", note: "not running; \"strato serve\" starts it"})
		}
		return append(out, finding{what: "control database", err: err})
	}
	defer c.pool.Close()
	return append(out, examineDatabases(ctx, c)...)
}

// examineKeys makes none: they would belong to whoever runs the doctor.
func examineKeys(cfg config.Config) finding {
	f := finding{what: "secret keys", note: "none yet; the first start makes one in " + cfg.Data}
	if !cfg.HasKeys() {
		return f
	}
	ring, err := cfg.Ring()
	if f.err = err; err == nil {
		f.note = fmt.Sprintf("%d, sealing with %s", len(ring.IDs()), ring.IDs()[0])
	}
	return f
}

// leastSpace is what must be free on the disk of the data folder.
const leastSpace = 64 << 20

func examineDisk(folder string) finding {
	f := finding{what: "disk space"}
	var st syscall.Statfs_t
	err := syscall.Statfs(folder, &st)
	if errors.Is(err, fs.ErrNotExist) {
		f.note = "nothing is kept in " + folder + " yet"
		return f
	}
	if err != nil {
		f.err = fmt.Errorf("look at the data folder: %w", err)
		return f
	}
	free := st.Bavail * uint64(st.Bsize)
	f.note = fmt.Sprintf("%d MiB are free in %s", free>>20, folder)
	if free < leastSpace {
		f.err = fmt.Errorf("only %s: free some space, or move the data folder with STRATO_DATA", f.note)
	}
	return f
}

func (p *program) examinePlugins(ctx context.Context, cfg config.Config) finding {
	f := finding{what: "plugins"}
	list, err := app.ScanPlugins(ctx, cfg)
	if err != nil {
		f.err = err
		return f
	}
	for _, r := range list {
		if r.Problem != "" {
			f.err = errors.Join(f.err, fmt.Errorf("%s: %s", r.Name, r.Problem))
		} else {
			f.note += r.Name + " " + r.Manifest.Version + "  "
		}
	}
	if len(list) == 0 {
		f.err = errors.New("none found; set STRATO_PLUGIN_DIR")
	}
	return f
}

func examineDatabases(ctx context.Context, c *control) []finding {
	out := []finding{{what: "control database", err: app.CheckSchema(ctx, c.admin), note: "schema is up to date"}}
	list, err := c.pool.Databases(ctx)
	if err != nil {
		return append(out, finding{what: "databases", err: err})
	}
	for _, d := range list {
		f := finding{what: "database " + d.Name, note: "row-level security is whole"}
		admin, err := d.AdminURL(c.admin)
		if err == nil {
			err = app.AuditDatabase(ctx, admin)
		}
		f.err = err
		out = append(out, f)
	}
	return out
}
