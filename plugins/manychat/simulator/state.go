package simulator

import (
	"slices"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
)

// Bounds of what an account keeps; the oldest go first.
const (
	maxMessages = 2000
	maxContacts = 10000
)

// state is everything that outlives a run.
type state struct {
	Accounts map[string]*account `json:"accounts"`
}

// account is an agency at ManyChat.
type account struct {
	Label      string              `json:"label"`
	WebhookURL string              `json:"webhook_url"`
	Contacts   map[string]*contact `json:"contacts"` // by id
	Messages   []*message          `json:"messages"`
	Tags       []string            `json:"tags,omitempty"`
	Fields     []field             `json:"fields,omitempty"`
}

// field is a custom field of an account.
type field struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// contact is a subscriber.
type contact struct {
	ID string `json:"id"`
	// Person is the key of the phone that the contact is held by.
	Person        string               `json:"person"`
	Name          string               `json:"name,omitempty"`
	Phone         string               `json:"phone,omitempty"`
	Email         string               `json:"email,omitempty"`
	WhatsAppPhone string               `json:"whatsapp_phone,omitempty"`
	InstagramID   string               `json:"ig_id,omitempty"`
	LastText      string               `json:"last_text,omitempty"`
	Values        map[string]any       `json:"values,omitempty"`
	Tags          []string             `json:"tags,omitempty"`
	WroteAt       map[string]time.Time `json:"wrote_at,omitempty"` // by channel
	CreatedAt     time.Time            `json:"created_at"`
	// Waiting says that a message waits for the next, by a switch.
	Waiting bool `json:"waiting,omitempty"`
	// Triggered counts how often a tag was added that was not there.
	Triggered int `json:"triggered,omitempty"`
}

// message is a line on a person's phone.
type message struct {
	simulator.Message
	Person string `json:"person"`
}

func (s *state) account(label string) *account {
	if s.Accounts == nil {
		s.Accounts = map[string]*account{}
	}
	a := s.Accounts[label]
	if a == nil {
		a = &account{
			Label: label,
			Tags:  []string{"lead-nuevo", "lead-calificado", "zona-palermo"},
			Fields: []field{
				{8801201, "Operacion", "text"}, {8801202, "Propiedad consultada", "text"}, {8801203, "Presupuesto USD", "number"},
				{8801204, "Fecha visita", "date"}, {8801205, "Apto credito", "boolean"}, {8801206, "Proxima visita", "datetime"},
				{8801207, ReplyField, "text"}, {8801208, PhoneField, "text"},
			},
		}
		s.Accounts[label] = a
	}
	if a.Contacts == nil {
		a.Contacts = map[string]*contact{}
	}
	return a
}

// person finds the contact who is held by a phone; nil if there is none.
func (a *account) person(key string) *contact {
	for _, c := range a.Contacts {
		if c.Person == key {
			return c
		}
	}
	return nil
}

// hold finds or makes the contact of a phone.
func (a *account) hold(key string, now time.Time) *contact {
	if c := a.person(key); c != nil {
		return c
	}
	if len(a.Contacts) >= maxContacts {
		var oldest *contact
		for _, c := range a.Contacts {
			if oldest == nil || c.CreatedAt.Before(oldest.CreatedAt) {
				oldest = c
			}
		}
		delete(a.Contacts, oldest.ID)
	}
	c := &contact{ID: subscriberID(a.Label, key), Person: key, Values: map[string]any{}, WroteAt: map[string]time.Time{}, CreatedAt: now}
	a.Contacts[c.ID] = c
	return c
}

func (a *account) keep(m *message) {
	if len(a.Messages) >= maxMessages {
		a.Messages = slices.Delete(a.Messages, 0, len(a.Messages)-maxMessages+1)
	}
	a.Messages = append(a.Messages, m)
}

// field finds a custom field by id or, regardless of capitals, by name.
func (a *account) field(id int, name string) *field {
	for i := range a.Fields {
		if f := &a.Fields[i]; f.ID == id && id != 0 || name != "" && strings.EqualFold(f.Name, name) {
			return f
		}
	}
	return nil
}

// lastWrote is when the contact last wrote on any channel.
func (c *contact) lastWrote() time.Time {
	var last time.Time
	for _, at := range c.WroteAt {
		if at.After(last) {
			last = at
		}
	}
	return last
}
