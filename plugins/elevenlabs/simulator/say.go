package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"strings"

	"github.com/stratohub/strato/sdk/simulator"
)

// The person of the demo, who calls when nobody else is named.
const (
	DemoPhone = "+5491160001234"
	DemoName  = "Lucía Ferreyra"
)

// Say asks for a call that a person makes to an agency, whose agent takes it.
type Say struct {
	// To is the agency's label, From the person's number ([DemoPhone] if empty).
	To   string `json:"to"`
	From string `json:"from,omitempty"`
	Name string `json:"name,omitempty"`
	// Text is what the person says.
	Text string `json:"text"`
}

// Say implements [simulator.Provider]. The call is over at once.
func (s *Simulator) Say(ctx context.Context, request json.RawMessage) (simulator.Said, error) {
	var in Say
	d := json.NewDecoder(bytes.NewReader(request))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return simulator.Said{}, simulator.Refuse(http.StatusBadRequest, "The request is not the JSON it should be: %v.", err)
	}
	if in.From == "" {
		in.From, in.Name = DemoPhone, DemoName
	}
	if n := len(digitsOf(in.From)); n < 7 || n > 15 {
		return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity, "%q is not a phone number; write it like %s.", in.From, DemoPhone)
	}
	who := identityOf(in.To)
	c := &phoneCall{
		ID: newID("conv"), AgentID: who.AgentID, NumberID: who.TwilioNumberID, Inbound: true, Number: "+" + digitsOf(in.From), Name: in.Name,
		Text: in.Text, SID: newHex("CA"), Script: ScriptCaller, Status: "done", StartedAt: s.options.Now(),
	}
	known := false
	s.state.Change(func(st *state) {
		if known = st.Accounts[in.To] != nil; known {
			st.account(in.To).keep(c)
		}
	})
	if !known {
		return simulator.Said{}, noAccount(in.To)
	}
	f := s.faults.Load()
	status, err := s.post(ctx, who, "post_call_transcription", s.conversation(who, *c, f), f)
	said := simulator.Said{MessageID: c.ID, Status: status}
	if err != nil {
		said.Detail = err.Error()
	}
	return said, nil
}

// Program is the simulator's command line.
func Program() simulator.Program {
	return simulator.Program{
		Name:  "elevenlabs",
		Title: "ElevenLabs",
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
		Short: "Calls an agency's agent as a customer and says something.",
		Flags: func(f *flag.FlagSet) func(context.Context, simulator.Surroundings, []string) error {
			var in Say
			f.StringVar(&in.To, "to", "", "the `AGENCY`, such as acme or norte")
			f.StringVar(&in.From, "from", "", "the customer's `PHONE`; without it "+DemoPhone+" ("+DemoName+") calls")
			f.StringVar(&in.Name, "name", "", "the customer's `NAME`")
			return func(ctx context.Context, around simulator.Surroundings, args []string) error {
				in.Text = strings.Join(args, " ")
				if in.To == "" || strings.TrimSpace(in.Text) == "" {
					return simulator.Usage("say needs --to AGENCY and what to say")
				}
				client, err := around.Client()
				if err != nil {
					return err
				}
				said, err := client.Say(ctx, in)
				if err != nil {
					return err
				}
				return simulator.Report(around.Stdout, "The call", said)
			}
		},
	}
}
