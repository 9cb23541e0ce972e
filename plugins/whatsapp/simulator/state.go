package simulator

import (
	"slices"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
)

// Bounds of what an account keeps; the oldest go first.
const (
	maxMessages  = 2000
	maxCustomers = 10000
	maxFiles     = 100
)

// state is everything that outlives a run.
type state struct {
	Accounts map[string]*account `json:"accounts"`
}

// account is an agency at Meta.
type account struct {
	Label        string               `json:"label"`
	WebhookURL   string               `json:"webhook_url"`
	Unsubscribed bool                 `json:"unsubscribed,omitempty"`
	Profile      map[string]any       `json:"profile,omitempty"`
	Customers    map[string]*customer `json:"customers"`
	Messages     []*message           `json:"messages"`
	Files        []*file              `json:"files,omitempty"`
}

// customer is a person who uses WhatsApp.
type customer struct {
	Key      string `json:"key"`
	Phone    string `json:"phone,omitempty"`
	UserID   string `json:"user_id"`
	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"`
	// WroteAt opens the window; zero if the person never wrote.
	WroteAt time.Time `json:"wrote_at"`
}

// message is a line on a person's phone, with what later steps need of it.
type message struct {
	simulator.Message
	Person   string   `json:"person"`
	Choices  []choice `json:"choices,omitempty"`
	Callback string   `json:"callback,omitempty"`
	Category string   `json:"category,omitempty"`
}

// choice is a button or row that a person can press.
type choice struct {
	Kind, ID, Title, Description string
}

// file is something uploaded or sent, by its id.
type file struct {
	ID       string    `json:"id"`
	MIMEType string    `json:"mime_type"`
	Name     string    `json:"name,omitempty"`
	Content  []byte    `json:"content"`
	At       time.Time `json:"at"`
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
	if a.Customers == nil {
		a.Customers = map[string]*customer{}
	}
	return a
}

// customer finds or makes the person with a phone number or business-scoped
// id. A person is found by either; nil if a business-scoped id is nobody's.
func (a *account) customer(who string) *customer {
	key := personKey(who)
	if c := a.Customers[key]; c != nil {
		return c
	}
	if isUserID(key) {
		for _, c := range a.Customers {
			if c.UserID == key {
				return c
			}
		}
		return nil
	}
	c := &customer{Key: key, Phone: key, UserID: userID(a.Label, key)}
	a.add(c)
	return c
}

func (a *account) add(c *customer) {
	if len(a.Customers) >= maxCustomers {
		var oldest *customer
		for _, other := range a.Customers {
			if oldest == nil || other.WroteAt.Before(oldest.WroteAt) {
				oldest = other
			}
		}
		delete(a.Customers, oldest.Key)
	}
	a.Customers[c.Key] = c
}

func (a *account) keep(m *message) {
	if len(a.Messages) >= maxMessages {
		a.Messages = slices.Delete(a.Messages, 0, len(a.Messages)-maxMessages+1)
	}
	a.Messages = append(a.Messages, m)
}

// find looks for a message from the newest on.
func (a *account) find(is func(*message) bool) *message {
	for _, m := range slices.Backward(a.Messages) {
		if is(m) {
			return m
		}
	}
	return nil
}

func (a *account) message(id string) *message {
	return a.find(func(m *message) bool { return m.ID == id })
}

func (a *account) keepFile(f *file) {
	if len(a.Files) >= maxFiles {
		a.Files = slices.Delete(a.Files, 0, len(a.Files)-maxFiles+1)
	}
	a.Files = append(a.Files, f)
}

func (a *account) file(id string) *file {
	for _, f := range a.Files {
		if f.ID == id {
			return f
		}
	}
	return nil
}

func isUserID(s string) bool { return len(s) > 3 && s[2] == '.' }

// rank orders the states of a message: a later tick never undoes a higher one.
var rank = map[string]int{"accepted": 1, "sent": 2, "delivered": 3, "read": 4, "played": 5, "failed": 6}

func (m *message) advance(status string) {
	if rank[status] > rank[m.Status] {
		m.Status = status
	}
}
