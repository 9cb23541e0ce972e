package simulator

import (
	"context"
	"flag"
	"mime"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stratohub/strato/sdk/simulator"
)

// Program is the simulator's command line.
func Program() simulator.Program {
	return simulator.Program{
		Name:  "whatsapp",
		Title: "WhatsApp",
		New: func(state string) (simulator.Provider, error) {
			return New(Options{State: state})
		},
		Commands:  []simulator.Command{say()},
		FaultHelp: FaultHelp,
	}
}

// attachment is a flag that may stand alone, for a sample, or name a file.
type attachment struct {
	set  bool
	path string
}

func (a *attachment) String() string   { return "" }
func (a *attachment) IsBoolFlag() bool { return true }
func (a *attachment) Set(v string) error {
	a.set = true
	if v != "true" {
		a.path = v
	}
	return nil
}

// sayFlags are the flags of say.
type sayFlags struct {
	request  Say
	files    map[string]*attachment
	location string
	contact  string
}

func say() simulator.Command {
	return simulator.Command{
		Name: "say", Usage: "--to AGENCY [--from PHONE] [--name NAME] TEXT",
		Short: "Writes to an agency as a customer.",
		Flags: func(f *flag.FlagSet) func(context.Context, simulator.Surroundings, []string) error {
			s := &sayFlags{files: map[string]*attachment{}}
			s.define(f)
			return s.run
		},
	}
}

func (s *sayFlags) define(f *flag.FlagSet) {
	r := &s.request
	f.StringVar(&r.To, "to", "", "the `AGENCY`, such as acme or norte")
	f.StringVar(&r.From, "from", "", "the customer's `PHONE`; without it "+DemoPhone+" ("+DemoName+") writes")
	f.StringVar(&r.Name, "name", "", "the customer's `NAME`")
	f.StringVar(&r.Username, "username", "", "the customer's user `NAME`, which hides the phone number")
	f.StringVar(&r.ReplyTo, "reply-to", "", "the `ID` of the message to answer, or last")
	f.StringVar(&r.Choice, "button", "", "press the button or row with this `TITLE` or id")
	f.StringVar(&r.Emoji, "reaction", "", "react with this `EMOJI` to the agency's last message, or to --reply-to")
	f.StringVar(&r.NewPhone, "new-number", "", "tell that the customer moved to another `PHONE`")
	f.StringVar(&r.Type, "type", "", "a `TYPE` by name, for order, unsupported, or reaction to take one back")
	f.BoolVar(&r.Ad, "ad", false, "the customer came from an advertisement")
	f.BoolVar(&r.Forwarded, "forwarded", false, "the message was forwarded")
	f.IntVar(&r.MinutesAgo, "minutes-ago", 0, "date the message `N` minutes back")
	f.StringVar(&s.location, "location", "", "share `LAT,LON[,PLACE]`")
	f.StringVar(&s.contact, "contact", "", "share `NAME=PHONE`")
	for flagName, kind := range map[string]string{
		"photo": "image", "voice": "voice", "audio": "audio", "video": "video", "document": "document", "sticker": "sticker",
	} {
		a := &attachment{}
		s.files[kind] = a
		f.Var(a, flagName, "send a sample, or a file with --"+flagName+"=FILE")
	}
}

func (s *sayFlags) run(ctx context.Context, around simulator.Surroundings, args []string) error {
	if err := s.complete(args); err != nil {
		return err
	}
	c, err := around.Client()
	if err != nil {
		return err
	}
	said, err := c.Say(ctx, s.request)
	if err != nil {
		return err
	}
	return simulator.Report(around.Stdout, "The message", said)
}

// complete reads the flags that stand for several fields.
func (s *sayFlags) complete(args []string) error {
	r := &s.request
	r.Text = strings.Join(args, " ")
	if r.To == "" {
		return simulator.Usage("say needs --to AGENCY")
	}
	for kind, a := range s.files {
		if !a.set {
			continue
		}
		if r.Type != "" {
			return simulator.Usage("a message is of one kind only")
		}
		r.Type = kind
		if a.path == "" {
			continue
		}
		content, err := os.ReadFile(a.path)
		if err != nil {
			return err
		}
		r.File, r.FileName, r.MIMEType = content, filepath.Base(a.path), mime.TypeByExtension(filepath.Ext(a.path))
		if kind == "voice" {
			r.MIMEType = samples[kind].mime
		}
	}
	if s.location != "" {
		parts := strings.SplitN(s.location, ",", 3)
		var point [2]float64
		for i := range point {
			if i >= len(parts) {
				return simulator.Usage("--location takes LAT,LON[,PLACE]")
			}
			v, err := strconv.ParseFloat(strings.TrimSpace(parts[i]), 64)
			if err != nil {
				return simulator.Usage("--location takes LAT,LON[,PLACE]")
			}
			point[i] = v
		}
		r.Latitude, r.Longitude = &point[0], &point[1]
		if len(parts) == 3 {
			r.Place = parts[2]
		}
	}
	if s.contact != "" {
		name, phone, ok := strings.Cut(s.contact, "=")
		if !ok {
			return simulator.Usage("--contact takes NAME=PHONE")
		}
		r.ContactName, r.ContactPhone = name, phone
	}
	if typeOf(*r) == "text" && strings.TrimSpace(r.Text) == "" {
		return simulator.Usage("say what to write, such as %q", "Hola, vi el depto de Palermo")
	}
	return nil
}
