// Package simulator plays UChat on this machine: the API that a business calls,
// the External Requests and live-chat webhooks it gets, and the people, the bot
// and the agents who write. What the provider's documents leave open is a
// switch.
package simulator

import (
	"net/http"
	"sync"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
)

// Options are what a simulator can be told. The zero value works.
type Options struct {
	// State is the file that keeps accounts and messages; empty keeps them in memory.
	State string
	// Now is the clock, time.Now if nil: windows and pauses go by it.
	Now func() time.Time
	// Retry is the pause before a refused External Request is made again, where
	// it is; zero means a second.
	Retry time.Duration
}

// Simulator is a simulated provider. It implements [simulator.Provider].
type Simulator struct {
	options  Options
	state    *simulator.State[state]
	faults   simulator.Switches[Faults]
	schedule *simulator.Scheduler
	sender   *simulator.Sender // posts once
	retrying *simulator.Sender // posts twice
	// closing releases the requests that hang on purpose.
	closing chan struct{}
	once    sync.Once
}

var _ simulator.Provider = (*Simulator)(nil)

// New returns a simulator. Close it in the end.
func New(o Options) (*Simulator, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Simulator{options: o, schedule: simulator.NewScheduler(), closing: make(chan struct{})}
	s.sender, s.retrying = simulator.NewSender(s.schedule), simulator.NewSender(s.schedule)
	s.sender.Attempts, s.retrying.Attempts, s.retrying.FirstRetry = 1, 2, o.Retry
	var err error
	if s.state, err = simulator.OpenState(o.State, state{Accounts: map[string]*account{}}); err != nil {
		return nil, err
	}
	return s, nil
}

// Handler serves the provider's API together with the control API.
func (s *Simulator) Handler() http.Handler { return simulator.Handler(s) }

// Faults implements [simulator.Provider].
func (s *Simulator) Faults() simulator.Faults { return &s.faults }

// SetFaults turns the switches in one step.
func (s *Simulator) SetFaults(f Faults) { s.faults.Update(func(now *Faults) { *now = f }) }

// Close implements [simulator.Provider].
func (s *Simulator) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		s.schedule.Close()
		s.sender.Close()
		s.retrying.Close()
		err = s.state.Close()
	})
	return err
}

// Account implements [simulator.Provider].
func (s *Simulator) Account(r simulator.AccountRequest) (simulator.Account, error) {
	id := identityOf(r.Label)
	s.state.Change(func(st *state) {
		a := st.account(r.Label)
		if r.WebhookURL != "" {
			a.WebhookURL = r.WebhookURL
		}
	})
	return simulator.Account{Label: r.Label, Settings: map[string]string{
		"flow_ns":         id.FlowNS,
		"api_key":         id.APIKey,
		"webhook_secret":  id.WebhookSecret,
		"inbound_webhook": id.Hook,
	}}, nil
}

// Messages implements [simulator.Provider].
func (s *Simulator) Messages(label, phone string) ([]simulator.Message, error) {
	var (
		out   []simulator.Message
		found bool
	)
	key := digits(phone)
	s.state.View(func(st *state) {
		a, ok := st.Accounts[label]
		if found = ok; !ok {
			return
		}
		for _, m := range a.Messages {
			c := a.Contacts[m.User]
			if c == nil || phone != "" && c.UserID != key {
				continue
			}
			out = append(out, simulator.Message{
				ID: m.id(), Direction: m.direction(), Phone: "+" + c.UserID, Name: c.Name, Type: m.MsgType, Text: m.shown(),
				Status: m.Status, At: m.At,
			})
		}
	})
	if !found {
		return nil, noAccount(label)
	}
	return out, nil
}

// Contact tells what UChat keeps of a person, for tests; false if nobody has
// the telephone number.
func (s *Simulator) Contact(label, phone string) (Contact, bool) {
	var (
		out   Contact
		found bool
	)
	s.state.View(func(st *state) {
		if a := st.Accounts[label]; a != nil {
			if c := a.byID(digits(phone)); c != nil {
				out, found = c.copy(s.options.Now()), true
			}
		}
	})
	return out, found
}

// HookCalls are the bodies that the agency's inbound webhook got.
func (s *Simulator) HookCalls(label string) []string {
	var out []string
	s.state.View(func(st *state) {
		if a := st.Accounts[label]; a != nil {
			for _, h := range a.HookCalls {
				out = append(out, h.Body)
			}
		}
	})
	return out
}

func noAccount(label string) error {
	if label == "" {
		return simulator.Refuse(http.StatusUnprocessableEntity, "Say which agency, with --to.")
	}
	return simulator.Refuse(http.StatusNotFound, "UChat knows no agency %q; the demo's are acme and norte.", label)
}
