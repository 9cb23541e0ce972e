package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/demo"
	"github.com/stratohub/strato/core/internal/telemetry"
)

func (p *program) demo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Serve two demo agencies with every provider simulated on this machine",
		Long: `Serve two demo agencies with every provider simulated on this machine.

Nothing has to be installed or configured: PostgreSQL and Redis are started by
the program itself, and the plugins talk to their own simulators. What you do is
kept under STRATO_DATA and found again by the next run.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load()
			if err != nil {
				return err
			}
			release, err := holdData(cfg)
			if err != nil {
				return err
			}
			defer release()
			log, closeLog, err := p.demoLogger(cfg)
			if err != nil {
				return err
			}
			defer closeLog()
			return p.runDemo(cmd.Context(), cfg, log)
		},
	}
}

// demoLogger writes to a file: the terminal shows what a newcomer needs.
func (p *program) demoLogger(cfg config.Config) (*slog.Logger, func(), error) {
	f, err := os.OpenFile(filepath.Join(cfg.Data, "strato.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	return telemetry.NewLogger(f, cfg.LogLevel, cfg.LogFormat == config.LogText), func() { _ = f.Close() }, nil
}

func (p *program) runDemo(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	progress := func(s string) { fmt.Fprintln(p.Out, "·", s) }
	world := demo.New(cfg, log, progress)
	a, err := p.startDemo(ctx, cfg, log, world, progress)
	if err == nil {
		fmt.Fprint(p.Out, welcome(a.URL(), cfg))
		err = a.Run(ctx)
	} else {
		err = unlessInterrupted(ctx, err)
	}
	world.Stop()
	if ctx.Err() != nil {
		progress("stopped")
	}
	return err
}

// startDemo starts the simulators and what serves the demo.
func (p *program) startDemo(ctx context.Context, cfg config.Config, log *slog.Logger, world *demo.World, progress func(string)) (*app.App, error) {
	if err := world.StartSimulators(ctx); err != nil {
		return nil, err
	}
	a, err := app.New(ctx, cfg, app.Options{
		Version: version(), Log: log, Progress: progress, Migrate: true, PluginSettings: world.PluginSettings,
	})
	if err != nil {
		return nil, err
	}
	if err := world.Populate(ctx, a); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), demo.StopDeadline)
		defer cancel()
		return nil, errors.Join(err, a.Stop(stop))
	}
	return a, nil
}

func welcome(url string, cfg config.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nStrato serves at %s", url)
	if cfg.MetricsAddr != "" {
		fmt.Fprintf(&b, "   metrics at http://%s/metrics", cfg.MetricsAddr)
	}
	fmt.Fprintf(&b, "   log in %s\n\n", filepath.Join(cfg.Data, "strato.log"))
	fmt.Fprintf(&b, "  %-26s %-14s %s\n", "LOGIN", "PASSWORD", "WHO")
	for _, l := range demo.Logins {
		fmt.Fprintf(&b, "  %-26s %-14s %s\n", l.Email, demo.Password, l.Who)
	}
	b.WriteString("\nPlay a customer:  bin/strato simulate whatsapp say --to acme \"Hola, vi el depto de Palermo\"\n")
	b.WriteString("Stop with Ctrl-C.\n\n")
	return b.String()
}
