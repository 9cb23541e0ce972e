package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/telemetry"
)

func (p *program) serve() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Serve the API and work the jobs",
		Long:  "Serve the API and work the jobs, as the STRATO_ variables say. With STRATO_DATABASE_URL run \"strato migrate\" first.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load()
			if err != nil {
				return err
			}
			log := p.logger(cfg)
			release, err := holdData(cfg)
			if err != nil {
				return err
			}
			defer release()
			a, err := app.New(cmd.Context(), cfg, app.Options{Version: version(), Log: log, Progress: func(s string) { log.Info("starting", "step", s) }})
			if err != nil {
				return unlessInterrupted(cmd.Context(), err)
			}
			log.Info("serving", "url", a.URL())
			return a.Run(cmd.Context())
		},
	}
}

func (p *program) logger(cfg config.Config) *slog.Logger {
	return telemetry.NewLogger(p.Err, cfg.LogLevel, cfg.LogFormat == config.LogText)
}

// unlessInterrupted makes no error of a start that somebody broke off.
func unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
