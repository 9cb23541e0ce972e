package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/stratohub/strato/sdk/simulator"
)

// Replay implements [simulator.Provider]. Whoever writes in the body may then
// be answered for a day, as if the message had come from the person's phone.
func (s *Simulator) Replay(ctx context.Context, to string, asIs bool, body []byte) (simulator.Said, error) {
	who := identityOf(to)
	known := false
	s.state.View(func(st *state) { _, known = st.Accounts[to] })
	if !known {
		return simulator.Said{}, noAccount(to)
	}
	t, err := s.target(who)
	if err != nil {
		return simulator.Said{}, simulator.Refuse(http.StatusConflict, "The webhook cannot be posted: %v.", err)
	}
	if !asIs {
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber() // ids have more digits than a float keeps
		var content any
		if err := d.Decode(&content); err != nil {
			return simulator.Said{}, simulator.Refuse(http.StatusUnprocessableEntity,
				"The body is not JSON (%v); with --as-is it is posted all the same.", err)
		}
		s.address(content, who)
		body = encode(content, s.faults.Load().EscapeUnicode)
	}
	status, err := s.post(ctx, t, body, s.faults.Load())
	said := simulator.Said{Status: status}
	if err != nil {
		said.Detail = err.Error()
	}
	return said, nil
}

// address puts the agency's ids in the place of those that route a body.
func (s *Simulator) address(content any, who identity) {
	root, _ := content.(map[string]any)
	entries, _ := root["entry"].([]any)
	for _, raw := range entries {
		entry, ok := raw.(map[string]any)
		if !ok {
			continue
		}
		entry["id"] = who.BusinessAccountID
		changes, _ := entry["changes"].([]any)
		for _, raw := range changes {
			change, _ := raw.(map[string]any)
			value, _ := change["value"].(map[string]any)
			if m, ok := value["metadata"].(map[string]any); ok {
				m["phone_number_id"], m["display_phone_number"] = who.PhoneNumberID, who.Digits
			}
			messages, _ := value["messages"].([]any)
			for _, raw := range messages {
				if m, ok := raw.(map[string]any); ok {
					s.remember(m, who)
				}
			}
		}
	}
}

// remember puts a replayed message on the phone of the person who wrote it.
func (s *Simulator) remember(m map[string]any, who identity) {
	from, user := text(m, "from"), text(m, "from_user_id")
	if from == "" {
		from = user
	}
	if from == "" || text(m, "type") == "system" {
		return
	}
	now := s.options.Now()
	s.state.Change(func(st *state) {
		a := st.account(who.Label)
		c := a.customer(from)
		if c == nil {
			c = &customer{Key: from, UserID: from}
			a.add(c)
		}
		if isUserID(user) {
			c.UserID = user
		}
		c.WroteAt = now
		words := text(m, "text", "body")
		a.keep(&message{Person: c.Key, Message: simulator.Message{
			ID: text(m, "id"), Direction: simulator.Inbound, Phone: shown(c), Type: text(m, "type"), Text: words, Status: "sent", At: now,
		}})
	})
}
