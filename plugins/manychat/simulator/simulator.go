// Package simulator plays ManyChat on this machine: the public API that a
// business calls, the steps of flows that call the business, and the people who
// write. What the provider does not document is a switch.
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
	// Now is the clock, time.Now if nil: windows and limits go by it.
	Now func() time.Time
}

// Simulator is a simulated provider. It implements [simulator.Provider].
type Simulator struct {
	options  Options
	state    *simulator.State[state]
	faults   simulator.Switches[Faults]
	schedule *simulator.Scheduler
	client   *http.Client
	limits   limits
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
	s := &Simulator{
		options: o, schedule: simulator.NewScheduler(), closing: make(chan struct{}),
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	var err error
	s.state, err = simulator.OpenState(o.State, state{Accounts: map[string]*account{}})
	if err != nil {
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

// Close implements [simulator.Provider]. Requests that are not due yet are dropped.
func (s *Simulator) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		s.schedule.Close()
		s.client.CloseIdleConnections()
		err = s.state.Close()
	})
	return err
}

// Account implements [simulator.Provider]. The flow that prints the reply and
// its field are there, but replies go as content until the form says otherwise.
func (s *Simulator) Account(r simulator.AccountRequest) (simulator.Account, error) {
	who := identityOf(r.Label)
	s.state.Change(func(st *state) {
		a := st.account(r.Label)
		if r.WebhookURL != "" {
			a.WebhookURL = r.WebhookURL
		}
	})
	return simulator.Account{Label: r.Label, Settings: map[string]string{
		"api_key":        who.APIKey,
		"webhook_secret": who.Secret,
		"reply_field":    ReplyField,
		"flow_whatsapp":  FlowReply,
		"flow_instagram": FlowReply,
		"phone_field":    PhoneField,
	}}, nil
}

// Messages implements [simulator.Provider].
func (s *Simulator) Messages(label, phone string) ([]simulator.Message, error) {
	var (
		out   []simulator.Message
		found bool
	)
	key := personKey(phone)
	s.state.View(func(st *state) {
		a, ok := st.Accounts[label]
		if found = ok; !ok {
			return
		}
		for _, m := range a.Messages {
			if phone != "" && m.Person != key {
				continue
			}
			one := m.Message
			if c := a.person(m.Person); c != nil {
				one.Name = c.Name
			}
			out = append(out, one)
		}
	})
	if !found {
		return nil, noAccount(label)
	}
	return out, nil
}

func noAccount(label string) error {
	if label == "" {
		return simulator.Refuse(http.StatusUnprocessableEntity, "Say which agency, with --to.")
	}
	return simulator.Refuse(http.StatusNotFound, "ManyChat knows no agency %q; the demo's are acme and norte.", label)
}
