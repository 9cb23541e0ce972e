package simulator

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// serve runs the simulator until it is told to stop, or its starter is gone.
func (p Program) serve() Command {
	return Command{
		Name: "serve", Usage: "[--addr HOST:PORT] [--state FILE]",
		Short: "Serves the simulated provider and prints where, until stdin closes.",
		Flags: func(f *flag.FlagSet) func(context.Context, Surroundings, []string) error {
			addr := f.String("addr", "127.0.0.1:0", "the `HOST:PORT` to listen at; port 0 takes any")
			state := f.String("state", "", "the `FILE` that keeps messages and accounts; none keeps them in memory")
			announce := f.String("announce", "", "also write where it listens to this `FILE`, for "+EnvSimulator)
			stay := f.Bool("stay", false, "go on although stdin closes, until a signal comes")
			return func(ctx context.Context, s Surroundings, args []string) error {
				if len(args) > 0 {
					return Usage("serve takes no arguments")
				}
				provider, err := p.New(*state)
				if err != nil {
					return err
				}
				server, err := Start(ctx, provider, *addr)
				if err != nil {
					_ = provider.Close()
					return err
				}
				if *announce != "" {
					err = writeFile(*announce, server.Line())
				}
				if err == nil {
					_, err = s.Stdout.Write(server.Line())
				}
				if err == nil {
					wait(ctx, s.Stdin, *stay)
				}
				if stopped := server.Stop(); err == nil {
					err = stopped
				}
				return err
			}
		},
	}
}

// wait returns when the context ends or, unless stay, when stdin closes: so a
// simulator does not outlive the demo that started it, however that ended. The
// reader of stdin lives as long as the process.
func wait(ctx context.Context, stdin io.Reader, stay bool) {
	closed := make(chan struct{})
	if !stay {
		go func() {
			defer close(closed)
			_, _ = io.Copy(io.Discard, stdin)
		}()
	}
	select {
	case <-ctx.Done():
	case <-closed:
	}
}

func (p Program) messages() Command {
	return Command{
		Name: "messages", Usage: "--to AGENCY [--from PHONE] [--json]",
		Short: "Shows what people's phones show of their chats with an agency.",
		Flags: func(f *flag.FlagSet) func(context.Context, Surroundings, []string) error {
			to := f.String("to", "", "the `AGENCY`, such as acme")
			from := f.String("from", "", "only the chat of the person with this `PHONE`")
			asJSON := f.Bool("json", false, "print JSON")
			return func(ctx context.Context, s Surroundings, args []string) error {
				if *to == "" || len(args) > 0 {
					return Usage("messages needs --to AGENCY and no arguments")
				}
				c, err := s.Client()
				if err != nil {
					return err
				}
				list, err := c.Messages(ctx, *to, *from)
				if err != nil {
					return err
				}
				if *asJSON {
					e := json.NewEncoder(s.Stdout)
					e.SetEscapeHTML(false)
					e.SetIndent("", "  ")
					return e.Encode(map[string]any{"items": list})
				}
				return show(s.Stdout, *to, list)
			}
		},
	}
}

// show prints chats one after the other, each as its phone shows it.
func show(w io.Writer, agency string, list []Message) error {
	if len(list) == 0 {
		_, err := fmt.Fprintf(w, "Nobody has written to %s yet, nor the other way round.\n", agency)
		return err
	}
	var phones []string
	for _, m := range list {
		if !slices.Contains(phones, m.Phone) {
			phones = append(phones, m.Phone)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, phone := range phones {
		if i > 0 {
			_, _ = fmt.Fprintln(t)
		}
		name := ""
		for _, m := range list {
			if m.Phone == phone && m.Name != "" {
				name = " (" + m.Name + ")"
			}
		}
		_, _ = fmt.Fprintf(t, "The phone %s%s, its chat with %s:\n", phone, name, agency)
		for _, m := range list {
			if m.Phone == phone {
				_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", m.At.Local().Format(time.TimeOnly), sender(m, agency), line(m), ticks(m))
			}
		}
	}
	return t.Flush()
}

func sender(m Message, agency string) string {
	if m.Direction == Inbound {
		return "me"
	}
	return agency
}

// line is a message on one line.
func line(m Message) string {
	text := strings.Join(strings.Fields(m.Text), " ")
	if m.Type == "text" {
		return text
	}
	return strings.TrimSpace("[" + m.Type + "] " + text)
}

func ticks(m Message) string {
	marks := map[string]string{"sent": "✓", "delivered": "✓✓", "read": "✓✓", "played": "✓✓", "failed": "✗"}
	return strings.TrimSpace(marks[m.Status] + " " + m.Status + " " + m.Error)
}

func (p Program) replay() Command {
	return Command{
		Name: "replay", Usage: "--to AGENCY [--as-is] FILE",
		Short: "Posts a webhook body of your own, signed as the provider signs; - reads stdin.",
		Flags: func(f *flag.FlagSet) func(context.Context, Surroundings, []string) error {
			to := f.String("to", "", "the `AGENCY` whose webhook gets it, and whose secret signs it")
			asIs := f.Bool("as-is", false, "post the exact bytes, with whatever account ids they hold")
			return func(ctx context.Context, s Surroundings, args []string) error {
				if *to == "" || len(args) != 1 {
					return Usage("replay needs --to AGENCY and one FILE")
				}
				body, err := readInput(s.Stdin, args[0])
				if err != nil {
					return err
				}
				c, err := s.Client()
				if err != nil {
					return err
				}
				said, err := c.Replay(ctx, *to, *asIs, body)
				if err != nil {
					return err
				}
				return Report(s.Stdout, "The webhook", said)
			}
		},
	}
}

func readInput(stdin io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(stdin, maxControlBody+1))
	}
	return os.ReadFile(name)
}

// Report prints what became of a webhook. It is an error if Strato did not
// take it.
func Report(w io.Writer, what string, s Said) error {
	id := ""
	if s.MessageID != "" {
		id = " " + s.MessageID
	}
	switch {
	case s.Status >= 200 && s.Status <= 299:
		_, err := fmt.Fprintf(w, "%s%s was taken: HTTP %d.\n", what, id, s.Status)
		return err
	case s.Status != 0:
		return fmt.Errorf("%s%s was refused: HTTP %d%s", strings.ToLower(what[:1])+what[1:], id, s.Status, meaning(s.Status))
	case s.Detail == "":
		return fmt.Errorf("%s%s got no answer", strings.ToLower(what[:1])+what[1:], id)
	}
	if s.Detail == Batched {
		_, err := fmt.Fprintf(w, "%s%s waits for others to go with.\n", what, id)
		return err
	}
	return fmt.Errorf("%s%s got no answer; is Strato running? (%s)", strings.ToLower(what[:1])+what[1:], id, s.Detail)
}

// Batched is the detail of a webhook that waits for others to travel with.
const Batched = "batched"

func meaning(status int) string {
	switch status {
	case 400:
		return ", the body is not what the provider documents"
	case 401:
		return ", the signature does not hold"
	case 404:
		return ", nobody has a webhook at this address"
	case 413:
		return ", the body is too large"
	case 503:
		return ", Strato cannot store it now; it will be posted again"
	}
	return ""
}

func (p Program) faults() Command {
	return Command{
		Name: "faults", Usage: "[--clear] [SWITCH=VALUE…]",
		Short: "Shows or turns the switches for faults.",
		Flags: func(f *flag.FlagSet) func(context.Context, Surroundings, []string) error {
			reset := f.Bool("clear", false, "put all switches back first\n"+p.FaultHelp)
			return func(ctx context.Context, s Surroundings, args []string) error {
				patch, err := switches(args)
				if err != nil {
					return err
				}
				c, err := s.Client()
				if err != nil {
					return err
				}
				if *reset {
					if err := c.ClearFaults(ctx); err != nil {
						return err
					}
				}
				var now map[string]any
				if len(patch) > 0 {
					err = c.SetFaults(ctx, patch, &now)
				} else {
					err = c.Faults(ctx, &now)
				}
				if err != nil {
					return err
				}
				return showFaults(s.Stdout, now)
			}
		},
	}
}

// showFaults prints the switches that are turned, as they would be typed.
func showFaults(w io.Writer, now map[string]any) error {
	var on []string
	for name, value := range now {
		typed, err := json.Marshal(value)
		if err != nil {
			return err
		}
		switch string(typed) {
		case "false", "0", "null", `""`, "[]":
			continue
		}
		on = append(on, name+"="+string(typed))
	}
	if len(on) == 0 {
		on = []string{"All switches are off."}
	}
	slices.Sort(on)
	_, err := fmt.Fprintln(w, strings.Join(on, "\n"))
	return err
}

// switches reads NAME=VALUE, where a value is JSON or else a string, and a name
// alone means true.
func switches(args []string) (map[string]any, error) {
	out := map[string]any{}
	for _, a := range args {
		name, value, has := strings.Cut(a, "=")
		if name == "" {
			return nil, Usage("%q is not SWITCH=VALUE", a)
		}
		if !has {
			value = "true"
		}
		if json.Valid([]byte(value)) {
			out[name] = json.RawMessage(value)
			continue
		}
		out[name] = value
	}
	return out, nil
}
