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
		Name:  "manychat",
		Title: "ManyChat",
		New: func(state string) (simulator.Provider, error) {
			return New(Options{State: state})
		},
		Commands:  []simulator.Command{say()},
		FaultHelp: FaultHelp,
	}
}

func say() simulator.Command {
	return simulator.Command{
		Name: "say", Usage: "--to AGENCY [--from PHONE] [--name NAME] [--channel CHANNEL] TEXT",
		Short: "Writes to an agency as a customer whose flow tells Strato.",
		Flags: func(f *flag.FlagSet) func(context.Context, simulator.Surroundings, []string) error {
			var in Say
			f.StringVar(&in.To, "to", "", "the `AGENCY`, such as acme or norte")
			f.StringVar(&in.From, "from", "", "the customer's `PHONE`; without it "+DemoPhone+" ("+DemoName+") writes")
			f.StringVar(&in.Name, "name", "", "the customer's `NAME`")
			f.StringVar(&in.Channel, "channel", "", "whatsapp, instagram, messenger or telegram, the `CHANNEL` (whatsapp)")
			f.StringVar(&in.Media, "media", "", "send a `FILE` of that name instead of words")
			f.StringVar(&in.Event, "event", "", "contact, for an `EVENT` that tells of the contact only")
			f.IntVar(&in.MinutesAgo, "minutes-ago", 0, "date the message `N` minutes back")
			return func(ctx context.Context, s simulator.Surroundings, args []string) error {
				in.Text = strings.Join(args, " ")
				switch {
				case in.To == "":
					return simulator.Usage("say needs --to AGENCY")
				case strings.TrimSpace(in.Text) == "" && in.Media == "" && in.Event == "":
					return simulator.Usage("say what to write, such as %q", "Hola, vi el depto de Palermo")
				}
				c, err := s.Client()
				if err != nil {
					return err
				}
				said, err := c.Say(ctx, in)
				if err != nil {
					return err
				}
				return simulator.Report(s.Stdout, "The message", said)
			}
		},
	}
}
