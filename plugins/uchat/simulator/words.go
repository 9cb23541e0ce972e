package simulator

import (
	"context"
	"flag"
	"strings"

	"github.com/stratohub/strato/sdk/simulator"
)

// Program is the simulator's command line.
func Program() simulator.Program {
	return simulator.Program{
		Name:  "uchat",
		Title: "UChat",
		New: func(state string) (simulator.Provider, error) {
			return New(Options{State: state})
		},
		Commands:  []simulator.Command{say()},
		FaultHelp: FaultHelp,
	}
}

func say() simulator.Command {
	return simulator.Command{
		Name: "say", Usage: "--to AGENCY [--from PHONE] [--name NAME] TEXT",
		Short: "Writes to an agency's bot as a customer, or in its chat as the bot or an agent.",
		Flags: func(f *flag.FlagSet) func(context.Context, simulator.Surroundings, []string) error {
			var r Say
			f.StringVar(&r.To, "to", "", "the `AGENCY`, such as acme or norte")
			f.StringVar(&r.From, "from", "", "the customer's `PHONE`; without it "+DemoPhone+" ("+DemoName+") writes")
			f.StringVar(&r.Name, "name", "", "the customer's `NAME`")
			f.StringVar(&r.Type, "type", "", "a `TYPE` of file: image, video, audio or file")
			f.StringVar(&r.URL, "url", "", "the file's `ADDRESS`; without it a made-up one")
			f.StringVar(&r.As, "as", "", "`WHO` writes instead of the customer: bot or agent")
			f.IntVar(&r.MinutesAgo, "minutes-ago", 0, "date the message `N` minutes back")
			return func(ctx context.Context, around simulator.Surroundings, args []string) error {
				r.Text = strings.Join(args, " ")
				if r.To == "" {
					return simulator.Usage("say needs --to AGENCY")
				}
				if (r.Type == "" || r.Type == "text") && r.URL == "" && strings.TrimSpace(r.Text) == "" {
					return simulator.Usage("say what to write, such as %q", "Hola, vi el depto de Palermo")
				}
				c, err := around.Client()
				if err != nil {
					return err
				}
				said, err := c.Say(ctx, r)
				if err != nil {
					return err
				}
				return simulator.Report(around.Stdout, "The message", said)
			}
		},
	}
}
