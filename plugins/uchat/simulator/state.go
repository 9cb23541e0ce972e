package simulator

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
)

// Bounds of what an account keeps; the oldest go first.
const (
	maxMessages  = 2000
	maxContacts  = 10000
	maxHookCalls = 500
)

// state is everything that outlives a run.
type state struct {
	Accounts map[string]*account `json:"accounts"`
}

// account is an agency's bot.
type account struct {
	Label      string              `json:"label"`
	WebhookURL string              `json:"webhook_url"`
	NextUser   int                 `json:"next_user"`
	NextID     int                 `json:"next_id"`
	Contacts   map[string]*Contact `json:"contacts"`
	Messages   []*message          `json:"messages"`
	Tags       []string            `json:"tags"`
	Synced     bool                `json:"synced,omitempty"`
	Deleted    []string            `json:"deleted,omitempty"`
	Created    []created           `json:"created,omitempty"`
	HookCalls  []hookCall          `json:"hook_calls,omitempty"`
}

// Contact is a person as the bot knows them.
type Contact struct {
	NS        string            `json:"ns"`
	UserID    string            `json:"user_id"`
	Name      string            `json:"name"`
	Tags      []string          `json:"tags,omitempty"`
	Fields    map[string]string `json:"fields,omitempty"`
	Agent     int               `json:"agent,omitempty"`
	Group     int               `json:"group,omitempty"`
	Status    string            `json:"status,omitempty"`
	SubFlows  []string          `json:"sub_flows,omitempty"`
	PausedTo  time.Time         `json:"paused_to"`
	WroteAt   time.Time         `json:"wrote_at"`
	CreatedAt time.Time         `json:"created_at"`
	// Paused is PausedTo by the clock, in what [Simulator.Contact] returns.
	Paused bool `json:"-"`
}

func (c *Contact) copy(now time.Time) Contact {
	out := *c
	out.Tags, out.SubFlows, out.Fields = slices.Clone(c.Tags), slices.Clone(c.SubFlows), maps.Clone(c.Fields)
	out.Paused = c.PausedTo.After(now)
	return out
}

// message is a line of a chat.
type message struct {
	ID      int       `json:"id"`
	LiveID  string    `json:"live_id"`
	MID     string    `json:"mid"`
	User    string    `json:"user"`
	Type    string    `json:"type"`
	MsgType string    `json:"msg_type"`
	Text    string    `json:"text,omitempty"`
	URL     string    `json:"url,omitempty"`
	Status  string    `json:"status,omitempty"`
	At      time.Time `json:"at"`
	// Hidden counts how often the history still leaves the message out.
	Hidden int `json:"hidden,omitempty"`
}

func (m *message) id() string { return strconv.Itoa(m.ID) }

func (m *message) direction() string {
	if m.Type == "in" {
		return simulator.Inbound
	}
	return simulator.Outbound
}

// shown is the line as a telephone shows it.
func (m *message) shown() string {
	if m.URL == "" {
		return m.Text
	}
	if m.Text == "" {
		return m.URL
	}
	return m.Text + " " + m.URL
}

type hookCall struct {
	At   time.Time `json:"at"`
	Body string    `json:"body"`
}

func (s *state) account(label string) *account {
	if s.Accounts == nil {
		s.Accounts = map[string]*account{}
	}
	a := s.Accounts[label]
	if a == nil {
		a = &account{Label: label, NextUser: 733000001, NextID: 920140001, Tags: []string{"alquiler", "venta", "visita-agendada"}}
		s.Accounts[label] = a
	}
	if a.Contacts == nil {
		a.Contacts = map[string]*Contact{}
	}
	return a
}

// byID finds a person by the channel's id; nil if there is none.
func (a *account) byID(userID string) *Contact {
	for _, c := range a.Contacts {
		if c.UserID == userID {
			return c
		}
	}
	return nil
}

// contact finds or makes the person with an id in the channel.
func (a *account) contact(userID string, now time.Time) *Contact {
	if c := a.byID(userID); c != nil {
		return c
	}
	if len(a.Contacts) >= maxContacts {
		var oldest *Contact
		for _, c := range a.Contacts {
			if oldest == nil || c.CreatedAt.Before(oldest.CreatedAt) {
				oldest = c
			}
		}
		delete(a.Contacts, oldest.NS)
	}
	c := &Contact{
		NS: fmt.Sprintf("%su%d", identityOf(a.Label).FlowNS, a.NextUser), UserID: userID, CreatedAt: now, Fields: map[string]string{},
	}
	a.NextUser++
	a.Contacts[c.NS] = c
	return c
}

// keep adds a message to a chat.
func (a *account) keep(m *message) *message {
	if len(a.Messages) >= maxMessages {
		a.Messages = slices.Delete(a.Messages, 0, len(a.Messages)-maxMessages+1)
	}
	m.ID, m.LiveID = a.NextID, randomID(12)
	a.NextID += 7 // ids are not in a row: other bots write too
	if m.MID == "" {
		m.MID = "wamid.SIM" + randomID(12)
	}
	a.Messages = append(a.Messages, m)
	return m
}
