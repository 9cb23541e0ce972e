package simulator

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
)

// window is how long a person may be answered freely after writing.
const window = 24 * time.Hour

// Numbers by which tests ask for an error: the last six digits are its code.
const (
	// refusedAtOnce is the beginning of numbers that refuse every message.
	refusedAtOnce = "5491100"
	// failsLater is the beginning of numbers for which every message is taken
	// and then fails.
	failsLater = "5491101"
)

// MagicRefused is a phone number that refuses each message with an error code.
func MagicRefused(code int) string { return "+" + refusedAtOnce + pad(code) }

// MagicFails is a phone number for which each message is taken and fails later.
func MagicFails(code int) string { return "+" + failsLater + pad(code) }

// send serves a request to send a message or a read mark.
func (s *Simulator) send(v visit) {
	in, refused := readObject(v)
	if refused != nil {
		refused.write(v.w)
		return
	}
	if text(in, "status") == "read" {
		s.markRead(v, in)
		return
	}
	f := s.takeFaults()
	switch {
	case f.HTTPStatus != 0:
		http.Error(v.w, http.StatusText(f.HTTPStatus), f.HTTPStatus)
		return
	case f.ErrorCode != 0:
		refuse(f.ErrorCode, "A switch of the simulator asks for this error.").write(v.w)
		return
	}
	m, later, refused := s.take(v.who, in, f)
	if refused != nil {
		refused.write(v.w)
		return
	}
	s.planStatuses(v.r.Context(), v.who, m, later, f)
	switch {
	case f.HangReply:
		select {
		case <-v.r.Context().Done():
		case <-s.closing:
		}
		panic(http.ErrAbortHandler)
	case f.CloseConnection:
		panic(http.ErrAbortHandler)
	}
	reply(v.w, http.StatusOK, s.taken(v.who, m, in, f))
}

// takeFaults returns the switches, counting down those that meet only some requests.
func (s *Simulator) takeFaults() Faults {
	var f Faults
	s.faults.Update(func(now *Faults) {
		f = *now
		if now.Times == 0 || now.HTTPStatus == 0 && now.ErrorCode == 0 && !now.HangReply && !now.CloseConnection {
			return
		}
		if now.Times--; now.Times == 0 {
			now.HTTPStatus, now.ErrorCode, now.HangReply, now.CloseConnection = 0, 0, false, false
		}
	})
	return f
}

// take judges a message by form and rules and keeps it. later is the error
// with which it fails in the end, nil if it does not.
func (s *Simulator) take(who identity, in map[string]any, f Faults) (m message, later, refused *refusal) {
	now := s.options.Now()
	s.state.Change(func(st *state) {
		a := st.account(who.Label)
		var out outgoing
		if out, refused = validate(in, a.file); refused != nil {
			return
		}
		c := a.customer(out.to)
		if c == nil {
			refused = refuse(131026, "No person has this business-scoped user ID towards this business.")
			return
		}
		if later, refused = s.judge(who, c, out, f, now); refused != nil {
			return
		}
		kept := &message{
			Message: simulator.Message{
				ID: newMessageID(false), Direction: simulator.Outbound, Phone: shown(c), Type: out.kind,
				Text: offered(out), ReplyTo: out.replyTo, Status: "accepted", At: now,
			},
			Person: c.Key, Choices: out.choices, Callback: out.callback, Category: out.category,
		}
		a.keep(kept)
		m = *kept
	})
	return m, later, refused
}

// offered is a text with the choices below it, as a phone shows them.
func offered(out outgoing) string {
	titles := make([]string, len(out.choices))
	for i, c := range out.choices {
		titles[i] = "[" + c.Title + "]"
	}
	return strings.TrimSpace(out.text + " " + strings.Join(titles, " "))
}

// judge applies the rules that have nothing to do with a message's form.
func (s *Simulator) judge(who identity, c *customer, out outgoing, f Faults, now time.Time) (later, refused *refusal) {
	magic := ""
	if len(c.Key) == len(refusedAtOnce)+6 {
		magic = c.Key[:len(refusedAtOnce)]
	}
	switch {
	case c.Phone == who.Digits:
		return nil, refuse(131021, "The sender and the recipient are the same number.")
	case len(f.AllowList) > 0 && !allowed(f.AllowList, out.to):
		return nil, refuse(131030, "Recipient phone number not in allowed list: add the recipient's number to the list and try again.")
	case magic == refusedAtOnce:
		return nil, refuse(codeOf(c.Key), "This number asks for the error.")
	case !s.limits.second(who.PhoneNumberID, f.PerSecond, now):
		return nil, refuse(130429, "Message failed to send because there were too many messages sent from this phone number in a short period of time")
	case !f.NoPairLimit && !s.limits.pair(who.PhoneNumberID+" "+c.Key, f.PairBurst, now):
		return nil, refuse(131056, "Message failed to send because there were too many messages sent to this recipient in a short period of time")
	case magic == failsLater:
		return refuse(codeOf(c.Key), "This number asks for the error."), nil
	case out.free && !f.IgnoreWindow && !now.Before(c.WroteAt.Add(window)):
		closed := refuse(131047, "Message failed to send because more than 24 hours have passed since the customer last replied to this number.")
		if f.WindowAsync {
			return closed, nil
		}
		return nil, closed
	}
	return nil, nil
}

// allowed keeps the rule of test numbers: Argentine mobiles are listed without
// their 9, and are only found when they are written so.
func allowed(list []string, to string) bool {
	for _, one := range list {
		if withoutNine(onlyDigits(one)) == onlyDigits(to) {
			return true
		}
	}
	return false
}

// taken is the answer to a message that was taken.
func (s *Simulator) taken(who identity, m message, in map[string]any, f Faults) map[string]any {
	contact := map[string]any{"input": text(in, "to")}
	if contact["input"] == "" {
		contact["input"] = text(in, "recipient")
	}
	s.state.View(func(st *state) {
		if c := st.account(who.Label).Customers[m.Person]; c != nil {
			contact["user_id"] = c.UserID
			if c.Phone != "" && !f.HidePhones {
				contact["wa_id"] = c.Phone
			}
		}
	})
	one := map[string]any{"id": m.ID}
	if m.Type == "template" {
		one["message_status"] = "accepted"
	}
	return map[string]any{"messaging_product": "whatsapp", "contacts": []any{contact}, "messages": []any{one}}
}

// markRead puts the blue ticks on what a person wrote, up to one message, and
// shows typing if asked to.
func (s *Simulator) markRead(v visit, in map[string]any) {
	id, found := text(in, "message_id"), false
	s.state.Change(func(st *state) {
		a := st.account(v.who.Label)
		last := a.message(id)
		if last == nil || last.Direction != simulator.Inbound {
			return
		}
		found = true
		_, last.Typing = in["typing_indicator"]
		for _, m := range a.Messages {
			if m.Direction == simulator.Inbound && m.Person == last.Person {
				m.Status = "read"
			}
			if m == last {
				break
			}
		}
	})
	if !found {
		invalid("Invalid parameter: message_id %s", id).write(v.w)
		return
	}
	success(v.w)
}

// step is one status of a message.
type step struct {
	status string
	after  time.Duration
}

// planStatuses arranges for the ticks of a message.
func (s *Simulator) planStatuses(ctx context.Context, who identity, m message, later *refusal, f Faults) {
	o := s.options
	steps := []step{{"sent", o.SentAfter}, {"delivered", o.DeliveredAfter}, {"read", o.ReadAfter}}
	switch {
	case later != nil:
		steps = []step{{"failed", o.SentAfter}}
	case m.Type == "reaction":
		steps = steps[:1]
	default:
		if f.ReadBeforeSent {
			steps[0].after, steps[2].after = steps[2].after, steps[0].after
		}
		if f.NeverRead {
			steps = steps[:2]
		}
		if f.DropDelivered {
			steps = append(steps[:1:1], steps[2:]...)
		}
	}
	if f.StatusBeforeReply {
		_, _ = s.tell(ctx, who, m, steps[0].status, later)
		steps = steps[1:]
	}
	for _, one := range steps {
		s.schedule.After(one.after+time.Duration(f.StatusDelayMS)*time.Millisecond, func(ctx context.Context) {
			_, _ = s.tell(ctx, who, m, one.status, later)
		})
	}
}

// tell gives a message a status and tells the business.
func (s *Simulator) tell(ctx context.Context, who identity, m message, status string, why *refusal) (int, error) {
	var c customer
	s.state.Change(func(st *state) {
		a := st.account(who.Label)
		if found := a.Customers[m.Person]; found != nil {
			c = *found
		}
		if kept := a.message(m.ID); kept != nil {
			kept.advance(status)
			if why != nil {
				kept.Error = why.message
			}
		}
	})
	f := s.faults.Load()
	one := map[string]any{"id": m.ID, "status": status, "timestamp": s.timestamp(), "recipient_user_id": c.UserID}
	if c.Phone != "" && !f.HidePhones {
		one["recipient_id"] = c.Phone
	}
	if m.Callback != "" {
		one["biz_opaque_callback_data"] = m.Callback
	}
	if status == "sent" || status == "delivered" {
		one["pricing"] = pricing(m)
	}
	value := map[string]any{"statuses": []any{one}}
	if why != nil {
		one["errors"] = []any{why.inStatus()}
	} else if !f.NoProfiles {
		value["contacts"] = []any{profileOf(c, f, status != "sent")}
	}
	return s.emit(ctx, who, value)
}

func pricing(m message) map[string]any {
	if m.Type == "template" {
		return map[string]any{"billable": true, "pricing_model": "PMP", "type": "regular", "category": m.Category}
	}
	return map[string]any{"billable": false, "pricing_model": "PMP", "type": "free_customer_service", "category": "service"}
}

// shown is what names a person on the lists of the simulator.
func shown(c *customer) string {
	if c.Phone == "" {
		return c.UserID
	}
	return "+" + strings.TrimPrefix(c.Phone, "+")
}
