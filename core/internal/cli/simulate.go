package cli

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/simulation"
)

// simulate hands words to a plugin's own simulator: the core knows no provider.
func (p *program) simulate() *cobra.Command {
	return &cobra.Command{
		Use:                "simulate PLUGIN WORDS...",
		Short:              "Play the customer, by the simulator of a plugin's provider",
		Example:            `  strato simulate whatsapp say --to acme "Hola, vi el depto de Palermo"` + "\n" + `  strato simulate whatsapp --help`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
				return cmd.Help()
			}
			cfg, err := p.load()
			if err != nil {
				return err
			}
			binary, err := pluginBinary(cfg, args[0])
			if err != nil {
				return err
			}
			run := exec.CommandContext(cmd.Context(), binary, append([]string{"simulate"}, args[1:]...)...)
			run.Stdin, run.Stdout, run.Stderr = p.In, p.Out, p.Err
			run.Env = append(p.environ, simulation.Variable+"="+simulation.File(cfg.Data, args[0]))
			return run.Run()
		},
	}
}

// pluginBinary is the program of a plugin.
func pluginBinary(cfg config.Config, plugin string) (string, error) {
	dir, err := cfg.Plugins()
	if err != nil {
		return "", err
	}
	binary, err := exec.LookPath(filepath.Join(dir, plugin, plugin))
	if err != nil || filepath.Base(plugin) != plugin {
		return "", fmt.Errorf("there is no plugin %q in %s", plugin, dir)
	}
	return filepath.Abs(binary)
}
