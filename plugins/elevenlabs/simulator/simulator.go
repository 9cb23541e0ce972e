// Package simulator plays ElevenLabs on this machine: the voices, the telephone
// calls that agents hold with people, and the webhooks that tell how they went.
// What a person does on the telephone is told by the last digits of the number;
// see [Script]. Faults can be switched on one by one.
package simulator

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
)

// Options are what a simulator can be told. The zero value works.
type Options struct {
	// State is the file that keeps accounts and calls; empty keeps them in memory.
	State string
	// Now is the clock, time.Now if nil.
	Now func() time.Time
	// Ring, Talk and Process are how long a call is initiated, in progress and
	// processing; zero means 200, 600 and 200 milliseconds.
	Ring, Talk, Process time.Duration
	// FirstRetry is the pause before a refused webhook is posted again, where
	// retries are switched on; zero means a second.
	FirstRetry time.Duration
}

// Simulator is a simulated provider. It implements [simulator.Provider].
type Simulator struct {
	options  Options
	state    *simulator.State[state]
	faults   simulator.Switches[Faults]
	schedule *simulator.Scheduler
	// sender posts webhooks once, retrier again where that is switched on.
	sender, retrier *simulator.Sender
	busy            concurrency
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
	o.Ring = cmp.Or(o.Ring, 200*time.Millisecond)
	o.Talk = cmp.Or(o.Talk, 600*time.Millisecond)
	o.Process = cmp.Or(o.Process, 200*time.Millisecond)
	s := &Simulator{options: o, schedule: simulator.NewScheduler(), closing: make(chan struct{})}
	s.sender = simulator.NewSender(s.schedule)
	s.sender.Attempts = 1
	s.retrier = simulator.NewSender(s.schedule)
	s.retrier.Attempts, s.retrier.FirstRetry = 6, o.FirstRetry
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

// Close implements [simulator.Provider]. Calls under way are cut off.
func (s *Simulator) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closing)
		s.schedule.Close()
		s.sender.Close()
		s.retrier.Close()
		err = s.state.Close()
	})
	return err
}

// Account implements [simulator.Provider]. An address switches a webhook on
// again that was switched off for its failures.
func (s *Simulator) Account(r simulator.AccountRequest) (simulator.Account, error) {
	id := identityOf(r.Label)
	s.state.Change(func(st *state) {
		a := st.account(r.Label)
		if r.WebhookURL != "" {
			a.WebhookURL, a.WebhookOff, a.FailuresInRow = r.WebhookURL, false, 0
		}
	})
	return simulator.Account{Label: r.Label, Settings: map[string]string{
		"api_key":               id.APIKey,
		"voice_id":              voices[0].ID,
		"model_id":              models[0].ID,
		"agent_id":              id.AgentID,
		"agent_phone_number_id": id.TwilioNumberID,
		"telephony":             "twilio",
		"webhook_secret":        id.WebhookSecret,
	}}, nil
}

// Messages implements [simulator.Provider]: the calls on people's telephones.
func (s *Simulator) Messages(label, phone string) ([]simulator.Message, error) {
	var (
		out   []simulator.Message
		found bool
	)
	s.state.View(func(st *state) {
		a, ok := st.Accounts[label]
		if found = ok; !ok {
			return
		}
		for _, c := range a.Calls {
			if phone != "" && digitsOf(c.Number) != digitsOf(phone) {
				continue
			}
			direction := simulator.Outbound
			if c.Inbound {
				direction = simulator.Inbound
			}
			out = append(out, simulator.Message{
				ID: c.ID, Direction: direction, Phone: c.Number, Name: c.Name, Type: "call", Text: c.summary(), Status: c.Status, At: c.StartedAt,
			})
		}
	})
	if !found {
		return nil, noAccount(label)
	}
	slices.SortStableFunc(out, func(a, b simulator.Message) int { return a.At.Compare(b.At) })
	return out, nil
}

func noAccount(label string) error {
	if label == "" {
		return simulator.Refuse(http.StatusUnprocessableEntity, "Say which agency, with --to.")
	}
	return simulator.Refuse(http.StatusNotFound, "ElevenLabs knows no agency %q; the demo's are acme and norte.", label)
}
