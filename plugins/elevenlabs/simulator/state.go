package simulator

import (
	"slices"
	"time"
)

// maxCalls bounds what an account keeps; the oldest go first.
const maxCalls = 1000

// state is everything that outlives a run.
type state struct {
	Accounts map[string]*account `json:"accounts"`
}

// account is an agency's workspace.
type account struct {
	Label         string       `json:"label"`
	WebhookURL    string       `json:"webhook_url"`
	WebhookOff    bool         `json:"webhook_off,omitempty"`
	FailuresInRow int          `json:"failures_in_row,omitempty"`
	Delivered     time.Time    `json:"delivered"`
	Characters    int          `json:"characters"`
	Calls         []*phoneCall `json:"calls"`
}

// phoneCall is one conversation.
type phoneCall struct {
	ID        string         `json:"id"`
	AgentID   string         `json:"agent_id"`
	NumberID  string         `json:"number_id"`
	SIP       bool           `json:"sip,omitempty"`
	Inbound   bool           `json:"inbound,omitempty"`
	Number    string         `json:"number"`
	Name      string         `json:"name,omitempty"`
	Text      string         `json:"text,omitempty"`
	SID       string         `json:"sid"`
	UserID    string         `json:"user_id,omitempty"`
	Variables map[string]any `json:"variables,omitempty"`
	Recorded  bool           `json:"recorded,omitempty"`
	// Script is what the person does.
	Script Script `json:"script"`
	// Status is initiated, in-progress, processing, done or failed, and for
	// calls that never connected busy, no-answer or unknown.
	Status    string    `json:"status"`
	StartedAt time.Time `json:"started_at"`
}

func (s *state) account(label string) *account {
	if s.Accounts == nil {
		s.Accounts = map[string]*account{}
	}
	a := s.Accounts[label]
	if a == nil {
		a = &account{Label: label}
		s.Accounts[label] = a
	}
	return a
}

func (a *account) keep(c *phoneCall) {
	if len(a.Calls) >= maxCalls {
		a.Calls = slices.Delete(a.Calls, 0, len(a.Calls)-maxCalls+1)
	}
	a.Calls = append(a.Calls, c)
}

// call finds a conversation by its id, nil for none.
func (a *account) call(id string) *phoneCall {
	for _, c := range a.Calls {
		if c.ID == id {
			return c
		}
	}
	return nil
}
