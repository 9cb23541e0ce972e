package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
)

// The person of the demo, who writes when nobody else is named.
const (
	DemoPhone = "+5491160001234"
	DemoName  = "Lucía Ferreyra"
)

// defaultTimeout is what a step waits for an answer.
const defaultTimeout = 10 * time.Second

// maxAnswer is what is read of an answer.
const maxAnswer = 1 << 20

// Say asks for a message that a person writes to an agency. To is required; the
// zero values of the rest leave things out.
type Say struct {
	// To is the agency's label, From the person's phone number ([DemoPhone] if
	// empty), Name what the person is called.
	To   string `json:"to"`
	From string `json:"from,omitempty"`
	Name string `json:"name,omitempty"`
	Text string `json:"text,omitempty"`
	// Channel is whatsapp (if empty), instagram, messenger or telegram. One
	// person may write on several: the contact is then merged.
	Channel string `json:"channel,omitempty"`
	// Media is the name of a file that the person sends instead of words.
	Media string `json:"media,omitempty"`
	// Event is what the step tells of, "message" if empty; "contact" writes nothing.
	Event string `json:"event,omitempty"`
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
	if in.Channel == "" {
		in.Channel = "whatsapp"
	}
	if n := len(onlyDigits(in.From)); n < 7 || n > 15 {
		return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity, "%q is not a phone number; write it like %s.", in.From, DemoPhone)
	}
	switch in.Channel {
	case "whatsapp", "instagram", "messenger", "telegram":
	default:
		return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity, "There is no channel %q; say whatsapp, instagram, messenger or telegram.", in.Channel)
	}
	if in.Text == "" && in.Media == "" && in.Event == "" {
		return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity, "Say what to write.")
	}
	var (
		who  = identityOf(in.To)
		f    = s.faults.Load()
		id   = newID()
		url  string
		body []byte
		runs = 1
		err  error
	)
	s.state.Change(func(st *state) {
		a := st.Accounts[in.To]
		if a == nil {
			err = noAccount(in.To)
			return
		}
		if url = a.WebhookURL; url == "" {
			err = simulator.Refuse(http.StatusConflict, "No flow of %s has a step with an address yet.", in.To)
			return
		}
		c := a.written(in, f, id, s.options.Now())
		body = step(a, c, who, in, f)
		if f.Overlap {
			c.Waiting = !c.Waiting
			runs = map[bool]int{true: 0, false: 2}[c.Waiting]
		}
	})
	if err != nil {
		return simulator.Said{}, err
	}
	said := simulator.Said{Detail: simulator.Batched}
	for range runs {
		said = s.run(ctx, who, url, body, f)
	}
	said.MessageID = id
	return said, nil
}

// written keeps what a person writes and returns the contact.
func (a *account) written(in Say, f Faults, id string, now time.Time) *contact {
	at := now.Add(-time.Duration(in.MinutesAgo) * time.Minute)
	c := a.hold(personKey(in.From), now)
	if in.Name != "" {
		c.Name = in.Name
	}
	if c.Name == "" {
		c.Name = "Cliente " + c.Person[max(0, len(c.Person)-4):]
	}
	switch in.Channel {
	case "whatsapp":
		c.WhatsAppPhone = "+" + c.Person
	case "instagram":
		c.InstagramID = "17" + digits(a.Label, "instagram "+c.Person, 14)
	}
	if in.Event == "contact" {
		return c
	}
	if c.WroteAt == nil {
		c.WroteAt = map[string]time.Time{}
	}
	if at.After(c.WroteAt[in.Channel]) {
		c.WroteAt[in.Channel] = at
	}
	c.LastText = in.Text
	kind := "text"
	if in.Media != "" {
		kind, c.LastText = "file", map[string]string{"placeholder": "[" + in.Media + "]", "url": "https://files.manychat.example/" + in.Media}[f.MediaAs]
	}
	a.keep(&message{Person: c.Person, Message: simulator.Message{
		ID: id, Direction: simulator.Inbound, Phone: "+" + c.Person, Type: kind, Text: strings.TrimSpace(in.Text + " " + in.Media), Status: "sent", At: at,
	}})
	return c
}

// step writes the body that the agency's step sends.
func step(a *account, c *contact, who identity, in Say, f Faults) []byte {
	if f.Unescaped {
		// Typed by hand: {"contact":{"id":"{{id}}","last_input_text":"{{text}}"}}.
		return []byte(`{"strato":{"v":1,"channel":"` + in.Channel + `"},"contact":{"id":"` + c.ID + `","name":"` + c.Name +
			`","whatsapp_phone":"` + c.WhatsAppPhone + `","last_input_text":"` + c.LastText + `"}}`)
	}
	full := fullContactData(a, c, who, f)
	head := map[string]any{"v": 1}
	if !f.NoChannel {
		head["channel"] = in.Channel
	}
	if in.Event != "" {
		head["event"] = in.Event
	}
	var value any = full
	if f.StringContact {
		value = string(encode(full))
	}
	switch f.BodyKey {
	case "root":
		full["strato"] = head
		return encode(full)
	case "":
		return encode(map[string]any{"strato": head, "contact": value})
	}
	return encode(map[string]any{"strato": head, f.BodyKey: value})
}

// fullContactData is a contact as steps describe it: custom fields are an object
// by name, and there are no tags.
func fullContactData(a *account, c *contact, who identity, f Faults) map[string]any {
	o := base(c, who)
	o["key"], o["page_id"], o["status"] = "user:"+c.ID, who.Page, "active"
	o["ig_last_interaction"], o["ig_last_seen"] = nil, nil
	o["tt_user_id"], o["tt_username"], o["tt_optin"], o["phone_country_code"], o["last_growth_tool"] = nil, nil, false, nil, nil
	if at := c.WroteAt["instagram"]; !at.IsZero() {
		o["ig_last_interaction"] = at.Format(time.RFC3339)
	}
	if at := c.WroteAt["whatsapp"]; !at.IsZero() {
		o["last_interaction"] = at.Format(time.RFC3339)
	}
	fields := map[string]any{}
	for _, one := range a.Fields {
		fields[one.Name] = c.Values[one.Name]
	}
	o["custom_fields"] = fields
	if f.SamePageID {
		o["page_id"] = who.Number
	}
	if f.NullLastInteraction {
		o["last_interaction"], o["last_seen"] = nil, nil
	}
	if f.NumericID {
		o["id"] = jsonNumber(c.ID)
	}
	if f.HidePhone && c.WhatsAppPhone != "" {
		o["whatsapp_phone"], o["whatsapp_bsuid"], o["whatsapp_username"] = nil, "AR."+digits(a.Label, "user "+c.Person, 16), "@cliente"
	}
	return o
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // maps of strings and numbers always encode
	return bytes.TrimSpace(b.Bytes())
}

// run makes the step's request, as often as the switches say, and tells how the
// first went. The answer of a Dynamic Block is shown to whom the body names.
func (s *Simulator) run(ctx context.Context, who identity, url string, body []byte, f Faults) simulator.Said {
	said := s.request(ctx, who, url, body, f)
	if f.Retry && (said.Status < 200 || said.Status > 299) {
		said = s.request(ctx, who, url, body, f)
	}
	if f.Duplicate {
		_ = s.request(ctx, who, url, body, f)
	}
	return said
}

func (s *Simulator) request(ctx context.Context, who identity, url string, body []byte, f Faults) simulator.Said {
	timeout := time.Duration(f.TimeoutMS) * time.Millisecond
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return simulator.Said{Detail: "the step's address is not valid"}
	}
	req.Header.Set("Content-Type", "application/json")
	secret := who.Secret
	if f.Secret != "" {
		secret = f.Secret
	}
	if f.SecretHeader {
		req.Header.Set("X-Strato-Secret", secret)
	} else {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return simulator.Said{Detail: "the step got no answer in its time"} // without the address: it has a token in it
	}
	defer func() { _ = resp.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	said := simulator.Said{Status: resp.StatusCode}
	if f.DynamicBlock && resp.StatusCode == http.StatusOK {
		d, words := readAnswer(answer, f)
		if words != "" {
			said.Detail = "the Dynamic Block failed: " + words
			return said
		}
		s.state.Change(func(st *state) {
			a := st.account(who.Label)
			for _, c := range a.Contacts {
				if bytes.Contains(body, []byte(c.ID)) {
					s.show(a, c, d, s.options.Now())
				}
			}
		})
	}
	return said
}

// Replay implements [simulator.Provider]. Unless as it is, the account's page
// and number stand in the place of those in the body.
func (s *Simulator) Replay(ctx context.Context, to string, asIs bool, body []byte) (simulator.Said, error) {
	url, known := "", false
	s.state.View(func(st *state) {
		if a := st.Accounts[to]; a != nil {
			url, known = a.WebhookURL, true
		}
	})
	switch {
	case !known:
		return simulator.Said{}, noAccount(to)
	case url == "":
		return simulator.Said{}, simulator.Refuse(http.StatusConflict, "No flow of %s has a step with an address yet.", to)
	}
	who, f := identityOf(to), s.faults.Load()
	if !asIs {
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber() // ids have more digits than a float keeps
		var content any
		if err := d.Decode(&content); err != nil {
			return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity,
				"The body is not JSON (%v); with --as-is it is posted all the same.", err)
		}
		s.address(content, who, f)
		body = encode(content)
	}
	return s.run(ctx, who, url, body, f), nil
}

// address makes whoever a body describes a contact of the account.
func (s *Simulator) address(content any, who identity, f Faults) {
	root, _ := content.(map[string]any)
	for _, key := range []string{"", "contact", "data", "full_contact_data", "subscriber"} {
		full := root
		if key != "" {
			full, _ = root[key].(map[string]any)
		}
		id := text(full["id"])
		if id == "" {
			continue
		}
		full["page_id"], full["live_chat_url"] = who.Page, "https://app.manychat.com/fb"+who.Number+"/chat/"+id
		now := s.options.Now()
		s.state.Change(func(st *state) {
			a := st.account(who.Label)
			person := personKey(text(full["whatsapp_phone"]))
			if person == "" {
				person = id
			}
			c := a.hold(person, now)
			delete(a.Contacts, c.ID)
			c.ID = id
			a.Contacts[id] = c
			in := Say{From: person, Name: text(full["name"]), Text: text(full["last_input_text"]), Channel: "whatsapp"}
			if head, _ := root["strato"].(map[string]any); text(head["channel"]) != "" {
				in.Channel = text(head["channel"])
			}
			a.written(in, f, newID(), now)
		})
	}
}

func text(raw any) string {
	switch x := raw.(type) {
	case string:
		return x
	case json.Number:
		return x.String()
	}
	return ""
}
