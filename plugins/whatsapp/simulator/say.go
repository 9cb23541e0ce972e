package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
)

// The person of the demo, who writes when nobody else is named.
const (
	DemoPhone = "+5491160001234"
	DemoName  = "Lucía Ferreyra"
)

// Say asks for a message that a person writes to an agency. To is required; the
// zero values of the rest leave things out.
type Say struct {
	// To is the agency's label, From the person's phone number ([DemoPhone] if
	// empty), Name what the person is called.
	To   string `json:"to"`
	From string `json:"from,omitempty"`
	Name string `json:"name,omitempty"`
	// Username makes the person one who hides the phone number.
	Username string `json:"username,omitempty"`
	// Type is text, image, video, audio, voice, document, sticker, location,
	// contacts, choice, reaction, number_changed, order or unsupported; empty
	// is told from the rest.
	Type string `json:"type,omitempty"`
	// Text is what the message says, or a file's caption.
	Text string `json:"text,omitempty"`
	// ReplyTo is the id of the message answered; "last" means the business's last.
	ReplyTo string `json:"reply_to,omitempty"`
	// Forwarded marks the message so.
	Forwarded bool `json:"forwarded,omitempty"`
	// Ad says that the person came from an advertisement.
	Ad bool `json:"ad,omitempty"`
	// File is the content of a file, a small sample if empty.
	File     []byte `json:"file,omitempty"`
	FileName string `json:"file_name,omitempty"`
	MIMEType string `json:"mime_type,omitempty"`
	// Latitude and Longitude with Place and Address are a location.
	Latitude  *float64 `json:"latitude,omitempty"`
	Longitude *float64 `json:"longitude,omitempty"`
	Place     string   `json:"place,omitempty"`
	Address   string   `json:"address,omitempty"`
	// Choice is the title or id of a button or row that the business offered.
	Choice string `json:"choice,omitempty"`
	// Emoji is a reaction to the message ReplyTo; with Type reaction and no
	// emoji the reaction is taken back.
	Emoji string `json:"emoji,omitempty"`
	// ContactName and ContactPhone share a person.
	ContactName  string `json:"contact_name,omitempty"`
	ContactPhone string `json:"contact_phone,omitempty"`
	// NewPhone is the number that the person changed to.
	NewPhone string `json:"new_phone,omitempty"`
	// MinutesAgo dates the message back.
	MinutesAgo int `json:"minutes_ago,omitempty"`
}

// Say implements [simulator.Provider].
func (s *Simulator) Say(ctx context.Context, request json.RawMessage) (simulator.Said, error) {
	var in Say
	d := json.NewDecoder(bytes.NewReader(request))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return simulator.Said{}, simulator.Refuse(http.StatusBadRequest, "The request is not the JSON it should be: %v.", err)
	}
	return s.Write(ctx, in)
}

// Write is Say with the request as a value.
func (s *Simulator) Write(ctx context.Context, in Say) (simulator.Said, error) {
	if in.From == "" {
		in.From = DemoPhone
		if in.Name == "" {
			in.Name = DemoName
		}
	}
	if n := len(onlyDigits(in.From)); !isUserID(in.From) && (n < 7 || n > 15) {
		return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity, "%q is not a phone number; write it like %s.", in.From, DemoPhone)
	}
	who := identityOf(in.To)
	at := s.options.Now().Add(-time.Duration(in.MinutesAgo) * time.Minute)
	var (
		id    = newMessageID(true)
		value map[string]any
		err   error
	)
	f := s.faults.Load()
	s.state.Change(func(st *state) {
		if st.Accounts[in.To] == nil {
			err = noAccount(in.To)
			return
		}
		a := st.account(in.To)
		c := a.customer(in.From)
		if c == nil {
			err = simulator.Refuse(http.StatusNotFound, "Nobody has the user id %s towards %s.", in.From, in.To)
			return
		}
		value, err = a.inbound(c, in, id, at, f)
	})
	if err != nil {
		return simulator.Said{}, err
	}
	status, err := s.emit(ctx, who, value)
	said := simulator.Said{MessageID: id, Status: status}
	if err != nil {
		said.Detail = err.Error()
	}
	return said, nil
}

// inbound keeps what a person writes and returns the value that tells of it.
func (a *account) inbound(c *customer, in Say, id string, at time.Time, f Faults) (map[string]any, error) {
	m := map[string]any{"id": id, "timestamp": strconv.FormatInt(at.Unix(), 10), "from_user_id": c.UserID}
	if in.Name != "" {
		c.Name = in.Name
	}
	if c.Name == "" {
		c.Name = "Cliente " + c.Phone[max(0, len(c.Phone)-4):]
	}
	if in.Username != "" {
		c.Username = in.Username
	}
	hidden := f
	hidden.HidePhones = f.HidePhones || c.Username != ""
	if !hidden.HidePhones {
		m["from"] = c.Phone
	}
	kept := &message{Person: c.Key, Message: simulator.Message{
		ID: id, Direction: simulator.Inbound, Phone: shown(c), Text: in.Text, Status: "sent", At: at,
	}}
	if err := a.fill(m, kept, c, in); err != nil {
		return nil, err
	}
	if at.After(c.WroteAt) {
		c.WroteAt = at
	}
	a.keep(kept)
	value := map[string]any{"messages": []any{m}}
	if m["type"] != "system" && !f.NoProfiles {
		value["contacts"] = []any{profileOf(*c, hidden, true)}
	}
	return value, nil
}
