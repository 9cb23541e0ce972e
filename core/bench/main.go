// Command bench measures Strato against what its machine could do at best, in
// the same run: PostgreSQL's own pgbench with the same statements on the same
// server, pgx without row security, HTTP on loopback. It prints a table of
// ratios; rates alone say more about the machine than about Strato.
//
// Both sides are durable: fsync and synchronous_commit are on. Rounds of both
// sides alternate, and the median counts. Run it by make bench, which builds the
// programs that it starts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings are what the command line says.
type settings struct {
	bin       string // folder of the built programs
	rounds    int
	length    time.Duration // of one side of a round
	clients   int
	customers int
	only      string // measures, separated by commas; empty is all
}

func (s settings) wants(measure string) bool {
	return s.only == "" || slices.Contains(strings.Split(s.only, ","), measure)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == loopbackWord {
		if err := serveLoopback(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	debug.SetGCPercent(300) // both sides of what runs in this process are collected as the server is
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&s.bin, "bin", "bin", "folder of the built programs")
	flags.IntVar(&s.rounds, "rounds", 5, "rounds of each measure; the median counts")
	flags.DurationVar(&s.length, "length", 3*time.Second, "how long each side of a round runs")
	flags.IntVar(&s.clients, "clients", 32, "clients at once")
	flags.IntVar(&s.customers, "customers", 1000, "people who write")
	flags.StringVar(&s.only, "only", "", "accept, process, read, call, check, separated by commas; empty is all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	w, err := openWorld(ctx, s, func(words string) { fmt.Fprintln(os.Stderr, "·", words) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	var table []row
	for _, m := range []struct {
		name    string
		measure func(context.Context) ([]row, error)
	}{
		{"check", one(w.check)}, {"accept", one(w.accept)}, {"process", one(w.process)}, {"read", one(w.read)}, {"call", w.call},
	} {
		if !s.wants(m.name) {
			continue
		}
		rows, err := m.measure(ctx)
		if err != nil {
			return fmt.Errorf("measure %s: %w", m.name, err)
		}
		table = append(table, rows...)
	}
	return report(out, w.machine(ctx), table)
}

// one makes a list of a measure that has one row.
func one(measure func(context.Context) (row, error)) func(context.Context) ([]row, error) {
	return func(ctx context.Context) ([]row, error) {
		r, err := measure(ctx)
		return []row{r}, err
	}
}
