package simulator

import (
	"net/http"
	"slices"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
)

// window is how long a person may be written to after writing.
const window = 24 * time.Hour

// tags are the message tags that are taken on Messenger.
var tags = []string{"ACCOUNT_UPDATE", "POST_PURCHASE_UPDATE", "CONFIRMED_EVENT_UPDATE"}

func (s *Simulator) sendContent(v visit) result {
	d, words, code := readDocument(v.body["data"], v.faults)
	tag := v.text("message_tag")
	return s.on(v, func(a *account, c *contact) result {
		switch {
		case words != "" && code != 0:
			return coded(code, words)
		case words != "":
			return invalid(v.faults, "data", words)
		case len(d.lines) == 0:
			return invalid(v.faults, "data", "messages cannot be blank.")
		case tag != "" && (v.faults.RefuseTags || d.channel != "messenger" || !slices.Contains(tags, tag)):
			return result{status: http.StatusBadRequest, body: map[string]any{"status": "error", "message": "Unsupported message tag"}}
		}
		open := v.now.Sub(c.WroteAt[d.channel]) < window || d.channel == "telegram" || tag != "" || v.faults.IgnoreWindow
		switch {
		case open:
		case v.faults.SilentWindow:
			return success(nil)
		case d.channel == "instagram":
			return coded(3031, "Content can't be sent to subscriber without Notification Reason. Subscriber's last interaction was more than 24 hours ago.")
		default:
			return coded(3011, "Content can\u2019t be sent to subscriber without message tag. Subscriber\u2019s last interaction was over 24h ago.")
		}
		s.show(a, c, d, v.now)
		return success(nil)
	})
}

// show puts the lines of a document on the phone, and does its actions.
func (s *Simulator) show(a *account, c *contact, d document, now time.Time) {
	for _, l := range d.lines {
		a.keep(outbound(c, l.kind, l.text, now))
	}
	for _, action := range d.actions {
		name, _ := action["tag_name"].(string)
		field, _ := action["field_name"].(string)
		switch action["action"] {
		case "add_tag", "remove_tag":
			a.tag(c, Faults{}, name, action["action"] == "add_tag")
		case "set_field_value":
			if f := a.field(0, field); f != nil {
				c.Values[f.Name] = action["value"]
			}
		case "unset_field_value":
			if f := a.field(0, field); f != nil {
				delete(c.Values, f.Name)
			}
		}
	}
}

func outbound(c *contact, kind, text string, now time.Time) *message {
	return &message{Person: c.Person, Message: simulator.Message{
		ID: newID(), Direction: simulator.Outbound, Phone: "+" + c.Person, Type: kind, Text: text, Status: "sent", At: now,
	}}
}

func (s *Simulator) sendFlow(v visit) result {
	return s.on(v, func(a *account, c *contact) result {
		ns := v.text("flow_ns")
		if ns != FlowReply && ns != FlowTemplate {
			return invalid(v.faults, "flow_ns", "Flow does not exist.")
		}
		perHour := v.faults.FlowsPerHour
		if perHour == 0 {
			perHour = 100
		}
		if !s.limits.spend("flows "+a.Label+" "+c.ID, perHour, time.Hour, v.now) {
			return result{status: http.StatusTooManyRequests}
		}
		last := c.lastWrote()
		if last.IsZero() && v.faults.LoseColdFlows {
			return success(nil)
		}
		if ns == FlowTemplate {
			text := "Te recordamos tu visita."
			if day, ok := c.Values["Fecha visita"].(string); ok {
				text = "Te recordamos tu visita del " + day + "."
			}
			a.keep(outbound(c, "template", text, v.now))
			return success(nil)
		}
		// A flow that prints a text is not refused after the window: it just
		// reaches nobody.
		text, _ := c.Values[ReplyField].(string)
		if text == "" || !v.faults.IgnoreWindow && v.now.Sub(last) >= window {
			return success(nil)
		}
		a.keep(outbound(c, "text", text, v.now))
		return success(nil)
	})
}
