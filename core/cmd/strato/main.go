// Command strato is the server of Strato and its tools.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/stratohub/strato/core/internal/cli"
)

// gcPercent lets the heap grow to four times what lives, which is some tens of
// megabytes: collecting it at twice that costs a tenth of the processor under
// load. GOGC in the environment wins.
const gcPercent = 300

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	err := cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Environ())
	stop()
	if err != nil {
		if !cli.Said(err) {
			fmt.Fprintln(os.Stderr, "strato:", err)
		}
		os.Exit(cli.ExitCode(err))
	}
}
