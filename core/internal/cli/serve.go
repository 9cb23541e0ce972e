package cli

import (
	"fmt"
	"log/slog"
	"os"

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
			if err := prepareData(cfg); err != nil {
				return err
			}
			a, err := app.New(cmd.Context(), cfg, app.Options{Version: version(), Log: log, Progress: func(s string) { log.Info(s) }})
			if err != nil {
				return err
			}
			log.Info("serving", "url", a.URL())
			return a.Run(cmd.Context())
		},
	}
}

func (p *program) logger(cfg config.Config) *slog.Logger {
	return telemetry.NewLogger(p.Err, cfg.LogLevel, cfg.LogFormat == config.LogText)
}

// prepareData makes the data folder.
func prepareData(cfg config.Config) error {
	if err := os.MkdirAll(cfg.Data, 0o755); err != nil {
		return fmt.Errorf("make the data folder: %w. Set STRATO_DATA to a folder that can be written", err)
	}
	return nil
}
