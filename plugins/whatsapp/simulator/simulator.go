// Package simulator plays Meta's WhatsApp Cloud API on this machine: the Graph
// API that a business calls, the webhooks it gets, and the people who write to
// it. Faults can be switched on one by one.
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
	// SentAfter, DeliveredAfter and ReadAfter are when the ticks of a message
	// are told, counted from its being taken; zero means 60, 130 and 200
	// milliseconds.
	SentAfter, DeliveredAfter, ReadAfter time.Duration
	// FirstRetry is the pause before a refused webhook is posted again; zero
	// means a second.
	FirstRetry time.Duration
}

// Simulator is a simulated provider. It implements [simulator.Provider].
type Simulator struct {
	options  Options
	state    *simulator.State[state]
	faults   simulator.Switches[Faults]
	schedule *simulator.Scheduler
	sender   *simulator.Sender
	batches  batches
	limits   limits
	// handshakes asks whether a webhook's address is the agency's.
	handshakes *http.Client
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
	for d, otherwise := range map[*time.Duration]time.Duration{
		&o.SentAfter: 60 * time.Millisecond, &o.DeliveredAfter: 130 * time.Millisecond, &o.ReadAfter: 200 * time.Millisecond,
	} {
		if *d == 0 {
			*d = otherwise
		}
	}
	s := &Simulator{
		options: o, schedule: simulator.NewScheduler(), closing: make(chan struct{}),
		handshakes: &http.Client{Timeout: 10 * time.Second},
	}
	s.sender = simulator.NewSender(s.schedule)
	s.sender.FirstRetry = o.FirstRetry
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

// Close implements [simulator.Provider]. Statuses and retries that are not due
// yet are dropped.
func (s *Simulator) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		s.schedule.Close()
		s.sender.Close()
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
		"phone_number_id":     id.PhoneNumberID,
		"business_account_id": id.BusinessAccountID,
		"access_token":        id.AccessToken,
		"app_secret":          id.AppSecret,
		"verify_token":        id.VerifyToken,
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
			if c := a.Customers[m.Person]; c != nil {
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
	return simulator.Refuse(http.StatusNotFound, "WhatsApp knows no agency %q; the demo's are acme and norte.", label)
}
