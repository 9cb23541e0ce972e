package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

// Say asks for a message in a chat with an agency's bot.
type Say struct {
	// To is the agency's label, From the person's telephone number ([DemoPhone]
	// if empty), Name what the person is called.
	To   string `json:"to"`
	From string `json:"from,omitempty"`
	Name string `json:"name,omitempty"`
	Text string `json:"text,omitempty"`
	// Type is text, image, video, audio or file; empty means text, or image if
	// there is a URL.
	Type string `json:"type,omitempty"`
	// URL is where the file is; a made-up one if empty.
	URL string `json:"url,omitempty"`
	// As is who writes: the person if empty, or "bot" or "agent", whose words
	// go to the person. An agent pauses the bot.
	As string `json:"as,omitempty"`
	// MinutesAgo dates the message back.
	MinutesAgo int `json:"minutes_ago,omitempty"`
}

// kinds are the types of message with a file, and the end of its made-up name.
var kinds = map[string]string{"text": "", "image": "foto.jpg", "video": "video.mp4", "audio": "nota-de-voz.ogg", "file": "recibo.pdf"}

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
	if in.Type == "" {
		in.Type = "text"
		if in.URL != "" {
			in.Type = "image"
		}
	}
	file, ok := kinds[in.Type]
	switch n := len(digits(in.From)); {
	case n < 7 || n > 15:
		return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity, "%q is not a phone number; write it like %s.", in.From, DemoPhone)
	case !ok:
		return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity, "There is no type %q; there are text, image, video, audio and file.", in.Type)
	case in.As != "" && in.As != "bot" && in.As != "agent":
		return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity, "The writer is the person, or as bot or agent, not %q.", in.As)
	}
	if in.Type != "text" && in.URL == "" {
		in.URL = "https://media.example/uchat/" + file
	}
	now, f := s.options.Now(), s.faults.Load()
	var (
		m      message
		c      Contact
		url    string
		paused bool
		err    error
	)
	s.state.Change(func(st *state) {
		if st.Accounts[in.To] == nil {
			err = noAccount(in.To)
			return
		}
		a := st.account(in.To)
		kept := a.spoken(in, now, f)
		who := a.Contacts[kept.User]
		m, c, url, paused = *kept, who.copy(now), a.WebhookURL, who.PausedTo.After(now)
	})
	if err != nil {
		return simulator.Said{}, err
	}
	said := simulator.Said{MessageID: m.id()}
	if m.Type == "out" || m.Type == "agent" && !f.LiveChatAgents {
		said.Status = http.StatusOK // nobody is told
		return said, nil
	}
	body := requestBody(identityOf(in.To), c, m, f)
	if paused {
		body = liveChat(identityOf(in.To), c, m, f)
	}
	said.Status, err = s.tell(ctx, in.To, url, encode(body), paused)
	if err != nil {
		said.Detail = err.Error()
	}
	return said, nil
}

// spoken keeps a message in a chat.
func (a *account) spoken(in Say, now time.Time, f Faults) *message {
	at := now.Add(-time.Duration(in.MinutesAgo) * time.Minute)
	c := a.contact(digits(in.From), now)
	if in.Name != "" {
		c.Name = in.Name
	}
	if c.Name == "" {
		c.Name = "Cliente " + c.UserID[max(0, len(c.UserID)-4):]
	}
	m := &message{User: c.NS, MsgType: in.Type, Text: in.Text, URL: in.URL, At: at, Status: "sent", Type: "in", Hidden: f.HistoryLag}
	switch in.As {
	case "bot":
		m.Type = "out"
	case "agent":
		m.Type, c.PausedTo = "agent", now.Add(pauseOf(f))
	default:
		if at.After(c.WroteAt) {
			c.WroteAt = at
		}
	}
	return a.keep(m)
}

func pauseOf(f Faults) time.Duration {
	if f.PauseMinutes > 0 {
		return time.Duration(f.PauseMinutes) * time.Minute
	}
	return 30 * time.Minute
}

// requestBody is what the flow's External Request sends.
func requestBody(who identity, c Contact, m message, f Faults) map[string]any {
	text := m.shown()
	switch f.RequestBody {
	case "text":
		return map[string]any{"user_ns": c.NS, "text": text, "name": strings.Split(c.Name, " ")[0]}
	case "flow":
		return map[string]any{"user_ns": c.NS, "flow_ns": who.FlowNS}
	case "phone":
		return map[string]any{"phone": "+" + c.UserID, "name": c.Name, "message": text}
	case "unfilled":
		return map[string]any{"user_ns": "{{user_ns}}", "message": "{{last_user_input}}"}
	}
	return map[string]any{
		"strato": map[string]any{"v": 1, "channel": "whatsapp"}, "user_ns": c.NS, "flow_ns": who.FlowNS,
		"phone": c.UserID, "name": c.Name, "message": text,
	}
}

// liveChat is what the live-chat webhook sends.
func liveChat(who identity, c Contact, m message, f Faults) map[string]any {
	one := map[string]any{
		"_id": m.LiveID, "mid": m.MID, "type": m.Type, "msg_type": m.MsgType, "sender_id": c.NS, "agent_id": c.Agent, "content": m.Text,
	}
	if !f.LiveChatBare {
		one["payload"], one["ts"] = m.payload(), m.At.Unix()
	}
	return map[string]any{
		"meta":    map[string]any{"user_ns": c.NS, "agent_id": c.Agent, "flow_ns": who.FlowNS, "team_id": who.TeamID},
		"message": one,
	}
}

func (m message) payload() map[string]any {
	p := map[string]any{}
	if m.URL != "" {
		p["url"] = m.URL
	}
	if m.Text != "" {
		p["text"] = m.Text
	}
	return p
}

// tell posts a body with the agency's header.
func (s *Simulator) tell(ctx context.Context, label, url string, body []byte, live bool) (int, error) {
	if url == "" {
		return 0, errors.New("the agency has no webhook address")
	}
	f := s.faults.Load()
	d := simulator.Delivery{URL: url, Body: body, Header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"UChat"}}}
	if !f.NoHeader {
		d.Header.Set("X-Strato-Secret", identityOf(label).WebhookSecret)
	}
	limit := 10 * time.Second
	if f.RequestTimeoutS > 0 {
		limit = time.Duration(f.RequestTimeoutS) * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sender := s.sender
	if f.RequestRetry && !live {
		sender = s.retrying
	}
	status, err := sender.Deliver(ctx, d)
	if f.Duplicate && err == nil {
		status, err = sender.Deliver(ctx, d)
	}
	return status, err
}

// Replay implements [simulator.Provider]. The contact of the body becomes one of
// the agency's, with the message in the history, so that it can be read there.
func (s *Simulator) Replay(ctx context.Context, to string, asIs bool, body []byte) (simulator.Said, error) {
	var url string
	known := false
	s.state.View(func(st *state) {
		if a := st.Accounts[to]; a != nil {
			known, url = true, a.WebhookURL
		}
	})
	if !known {
		return simulator.Said{}, noAccount(to)
	}
	if !asIs {
		var content map[string]any
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&content); err != nil {
			return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity,
				"The body is not a JSON object (%v); with --as-is it is posted all the same.", err)
		}
		s.state.Change(func(st *state) { s.adopt(st.account(to), content) })
		body = encode(content)
	}
	status, err := s.tell(ctx, to, url, body, true)
	said := simulator.Said{Status: status}
	if err != nil {
		said.Detail = err.Error()
	}
	return said, nil
}

// adopt puts the agency's ids in the place of those of a body.
func (s *Simulator) adopt(a *account, content map[string]any) {
	who, now := identityOf(a.Label), s.options.Now()
	phone := digits(text(content["phone"]))
	if phone == "" {
		phone = digits(DemoPhone)
	}
	in := Say{From: phone, Name: text(content["name"]), Text: text(content["message"]), Type: "text"}
	if in.Text == "" {
		in.Text = text(content["text"])
	}
	if meta, ok := content["meta"].(map[string]any); ok {
		m, _ := content["message"].(map[string]any)
		payload, _ := m["payload"].(map[string]any)
		in.Text, in.URL = text(m["content"]), text(payload["url"])
		if t := text(m["msg_type"]); t != "" {
			in.Type = t
		}
		if text(m["type"]) == "agent" {
			in.As = "agent"
		}
		meta["user_ns"], meta["flow_ns"] = a.contact(phone, now).NS, who.FlowNS
	} else {
		content["user_ns"] = a.contact(phone, now).NS
		if _, ok := content["flow_ns"]; ok {
			content["flow_ns"] = who.FlowNS
		}
	}
	if in.Text != "" || in.URL != "" {
		a.spoken(in, now, Faults{})
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return nil // strings, numbers and maps of them always encode
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
