package simulator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
)

// Program is the command line of a provider's simulator. The words serve,
// messages, replay and faults are the same for all; how people talk differs,
// so say and its like are the provider's own.
type Program struct {
	// Name is the plugin's id, Title what people call the provider.
	Name, Title string
	// New makes the provider that serve runs, with its state in a file.
	New func(state string) (Provider, error)
	// Commands are the provider's own words.
	Commands []Command
	// FaultHelp explains the switches, a line each.
	FaultHelp string
}

// Command is one word of the command line.
type Command struct {
	Name string
	// Usage follows the name, such as "--to AGENCY TEXT"; Short is one sentence.
	Usage, Short string
	// Flags defines the command's flags and returns what runs it with the
	// arguments that are no flags.
	Flags func(f *flag.FlagSet) func(ctx context.Context, s Surroundings, args []string) error
}

// Surroundings is what a command has around it.
type Surroundings struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Announced is the path of the file that tells where the simulator is.
	Announced string
}

// Client returns a client for the running simulator.
func (s Surroundings) Client() (*Client, error) { return FindClient(s.Announced) }

// ErrUsage is wrapped by a command whose arguments are not right.
var ErrUsage = errors.New("usage")

// Usage returns an error that shows the command's help after its words.
func Usage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUsage, fmt.Sprintf(format, args...))
}

// Main runs the words with the process's own surroundings until they are done
// or a signal asks to stop, and returns the exit code: 0 when all went well, 1
// when something was refused, 2 when the words are not right.
func (p Program) Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return p.Run(ctx, Surroundings{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Announced: os.Getenv(EnvSimulator),
	}, args)
}

// Run is Main with surroundings of the caller's.
func (p Program) Run(ctx context.Context, s Surroundings, args []string) int {
	commands := append([]Command{p.serve()}, append(p.Commands, p.messages(), p.replay(), p.faults())...)
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		p.help(s.Stdout, commands)
		return 0
	}
	for _, c := range commands {
		if c.Name == args[0] {
			return p.run(ctx, s, c, args[1:])
		}
	}
	_, _ = fmt.Fprintf(s.Stderr, "There is no word %q.\n\n", args[0])
	p.help(s.Stderr, commands)
	return 2
}

func (p Program) run(ctx context.Context, s Surroundings, c Command, args []string) int {
	f := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	run := c.Flags(f)
	show := func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Usage: strato simulate %s %s %s\n\n%s\n", p.Name, c.Name, c.Usage, c.Short)
		if flags := flagHelp(f); flags != "" {
			_, _ = fmt.Fprintf(w, "\n%s", flags)
		}
	}
	rest, err := parse(f, args)
	if errors.Is(err, flag.ErrHelp) {
		show(s.Stdout)
		return 0
	}
	if err != nil {
		err = Usage("%v", err)
	} else {
		err = run(ctx, s, rest)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrUsage):
		_, _ = fmt.Fprintf(s.Stderr, "%s\n\n", sentence(strings.TrimPrefix(err.Error(), ErrUsage.Error()+": ")))
		show(s.Stderr)
		return 2
	}
	_, _ = fmt.Fprintln(s.Stderr, sentence(err.Error()))
	return 1
}

func (p Program) help(w io.Writer, commands []Command) {
	_, _ = fmt.Fprintf(w, "Plays the people and the servers of %s.\n\n", p.Title)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands {
		_, _ = fmt.Fprintf(t, "  %s %s\t%s\n", c.Name, c.Usage, c.Short)
	}
	_ = t.Flush()
	_, _ = fmt.Fprintf(w, "\nAdd --help to a word for its options. The simulator is found by the variable %s,\nwhich names the file that says where it listens.\n", EnvSimulator)
}

// parse lets flags come after arguments too. After "--" all are arguments.
func parse(f *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		left := f.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if n := len(args) - len(left); n > 0 && args[n-1] == "--" {
			return append(rest, left...), nil
		}
		rest = append(rest, left[0])
		args = left[1:]
	}
}

func flagHelp(f *flag.FlagSet) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	f.VisitAll(func(one *flag.Flag) {
		value, words := flag.UnquoteUsage(one)
		if value != "" {
			value = " " + value
		}
		if one.DefValue != "" && one.DefValue != "false" && one.DefValue != "0" {
			words += " (default " + one.DefValue + ")"
		}
		_, _ = fmt.Fprintf(t, "  --%s%s\t%s\n", one.Name, value, words)
	})
	_ = t.Flush()
	return b.String()
}

// sentence begins with a capital and ends with a stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}
