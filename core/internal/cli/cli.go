// Package cli is the command line of strato.
package cli

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/stratohub/strato/core/internal/config"
)

// Streams are the program's input and outputs.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// program is what commands share.
type program struct {
	Streams
	environ []string
}

// Run carries out one command. environ has lines NAME=value.
func Run(ctx context.Context, args []string, s Streams, environ []string) error {
	p := &program{Streams: s, environ: environ}
	root := &cobra.Command{
		Use:           "strato",
		Short:         "Strato, the CRM and integration hub of real-estate agencies",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.AddCommand(
		p.serve(), p.demo(), p.migrate(), p.database(), p.tenant(), p.user(), p.keys(), p.doctor(), p.config(), p.simulate(), p.plugin(),
		p.openapi(),
	)
	return root.ExecuteContext(ctx)
}

// ExitCode is the process's exit code for an error of Run: that of a program it
// ran, else 1.
func ExitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	return 1
}

// group is a command that only has others under it: alone it shows its help, and
// a word that it does not know is an error.
func group(use, short string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
}

// Said reports whether an error of Run needs no more words: it is the exit code
// of a program that has complained itself.
func Said(err error) bool {
	_, ok := err.(*exec.ExitError) //nolint:errorlint // wrapped, it is the reason of something else
	return ok
}

func (p *program) load() (config.Config, error) { return config.Load(p.environ) }

// version is what the program was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "0.1.0-dev"
}
