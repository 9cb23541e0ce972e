package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/simulator"
)

func TestMessageThereAndBack(t *testing.T) {
	t.Parallel()

	d := newDemo(t)
	agencies := map[string]*client{"acme": d.signIn("agent@acme.example"), "norte": d.signIn("owner@norte.example")}
	for label, agent := range agencies {
		there := &there{t, d, agent, label}
		t.Run(label, func(t *testing.T) {
			there.t = t
			there.andBack()
			there.kinds()
			there.hidden()
			there.repeated()
			there.reordered()
			there.refusals()
			there.window()
			there.once()
		})
	}
	foreign(t, agencies["acme"], agencies["norte"])
	foreign(t, agencies["norte"], agencies["acme"])
}

// there is one agency's side of the demo.
type there struct {
	t     *testing.T
	d     *demo
	agent *client
	label string
}

// customer writes by the simulator.
func (w *there) customer(what object) simulator.Said {
	w.t.Helper()
	what["to"] = w.label
	said, err := w.d.simulator().Say(w.t.Context(), what)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, said.Status, said.Detail)
	return said
}

// phone is what a customer's phone shows.
func (w *there) phone(number string) []simulator.Message {
	w.t.Helper()
	list, err := w.d.simulator().Messages(w.t.Context(), w.label, number)
	require.NoError(w.t, err)
	return list
}

// shows waits until a customer's phone shows a message.
func (w *there) shows(number, what string, is func(simulator.Message) bool) simulator.Message {
	w.t.Helper()
	var found simulator.Message
	eventually(w.t, func() bool {
		for _, m := range w.phone(number) {
			if is(m) {
				found = m
				return true
			}
		}
		return false
	}, "the phone %s does not show %s", number, what)
	return found
}

func ofText(text string) func(simulator.Message) bool {
	return func(m simulator.Message) bool { return m.Text == text }
}

func byAssistant(m messageView) bool { return m.Author == "assistant" }

func (w *there) andBack() {
	w.t.Helper()
	const number = "+5491160007001"
	live := w.agent.follow()
	w.customer(object{"from": number, "name": "Ana Paz", "text": "Hola, vi el depto de Palermo"})

	lead := w.agent.lead("wa_id", "5491160007001")
	require.Equal(w.t, "open", lead.Status)
	require.Equal(w.t, "whatsapp", lead.Source)
	require.Equal(w.t, "Ana Paz", lead.Contact.Name)
	conversation := lead.ConversationID
	require.NotEmpty(w.t, conversation)
	asked := w.agent.message(conversation, "the question", func(m messageView) bool { return m.Direction == "in" })
	require.Equal(w.t, "Hola, vi el depto de Palermo", asked.Text)
	live.wait(w.t, "message.created", asked.ID, conversation)

	greeting := w.agent.message(conversation, "the greeting, read", func(m messageView) bool { return byAssistant(m) && m.Status == "read" })
	require.Contains(w.t, greeting.Text, "Ana")
	w.shows(number, "the greeting", ofText(greeting.Text))
	live.wait(w.t, "message.created", greeting.ID, conversation)
	live.wait(w.t, "message.updated", greeting.ID, conversation)
	live.wait(w.t, "conversation.updated", conversation, lead.ID)

	// Ticks come in order, one by one, when the provider takes its time.
	w.d.faults(object{"status_delay_ms": 300, "never_read": true})
	reply := w.agent.say(conversation, "¡Hola, Ana! ¿Querés verlo mañana a las 18?")
	require.Equal(w.t, "queued", reply.Status)
	w.agent.reaches(conversation, reply.ID, "sent")
	shown := w.shows(number, "the reply", ofText(reply.Text))
	done := w.agent.reaches(conversation, reply.ID, "delivered")
	require.Equal(w.t, shown.ID, done.ExternalID)
	require.Zero(w.t, done.ReadAt)
	require.NoError(w.t, w.d.simulator().ClearFaults(w.t.Context()))
	again := w.agent.say(conversation, "Te espero en la puerta")
	read := w.agent.reaches(conversation, again.ID, "read")
	require.False(w.t, read.SentAt.IsZero() || read.DeliveredAt.IsZero() || read.ReadAt.IsZero())
	live.wait(w.t, "message.updated", again.ID, conversation)

	// The agent who wrote has the conversation; the assistant is silent.
	var now conversationView
	w.agent.get("/api/conversations/"+conversation, &now)
	require.Equal(w.t, "human", now.Holder)
	w.customer(object{"from": number, "text": "Dale"})
	w.agent.message(conversation, "the answer", func(m messageView) bool { return m.Text == "Dale" })
	greetings := 0
	for _, m := range w.agent.messages(conversation) {
		if byAssistant(m) {
			greetings++
		}
	}
	require.Equal(w.t, 1, greetings)

	var timeline page[struct{ Type string }]
	w.agent.get("/api/leads/"+lead.ID+"/events?limit=100", &timeline)
	kinds := map[string]bool{}
	for _, e := range timeline.Items {
		kinds[e.Type] = true
	}
	require.True(w.t, kinds["message_received"] && kinds["message_sent"], "%v", kinds)
}

func (w *there) kinds() {
	w.t.Helper()
	const number = "+5491160007002"
	w.customer(object{"from": number, "name": "Beto Ruiz", "text": "Vi su aviso", "ad": true})
	lead := w.agent.lead("wa_id", "5491160007002")
	require.Equal(w.t, "ads", lead.Source)
	require.NotNil(w.t, lead.Referral)
	require.Equal(w.t, "ad", lead.Referral.SourceType)
	require.NotEmpty(w.t, lead.Referral.ClickID)
	conversation := lead.ConversationID
	greeting := w.agent.message(conversation, "the greeting", func(m messageView) bool { return byAssistant(m) && m.ExternalID != "" })

	of := func(kind string) messageView {
		return w.agent.message(conversation, kind, func(m messageView) bool { return m.Direction == "in" && m.Type == kind })
	}
	w.customer(object{"from": number, "emoji": "👍", "reply_to": greeting.ExternalID})
	reaction := of("reaction")
	require.Equal(w.t, "👍", reaction.Content.Reaction.Emoji)

	w.customer(object{"from": number, "latitude": -34.58, "longitude": -58.43, "place": "Plaza Serrano"})
	location := of("location")
	require.InDelta(w.t, -34.58, location.Content.Location.Latitude, 1e-9)
	require.Contains(w.t, location.Text, "Plaza Serrano")

	w.customer(object{"from": number, "type": "image", "text": "la fachada"})
	photo := of("image")
	require.Equal(w.t, "la fachada", photo.Text)
	require.Equal(w.t, "image", photo.Content.Media.Kind)

	w.customer(object{"from": number, "type": "unsupported"})
	of("unsupported")

	// Nothing that this version sends has buttons, so the answer to one is posted
	// as the provider would.
	acc := w.d.account(w.label)
	choice := acc.entry(object{
		"contacts": []any{object{"profile": object{"name": "Beto Ruiz"}, "wa_id": "5491160007002"}},
		"messages": []any{object{
			"from": "5491160007002", "id": "wamid.choice-" + w.label, "timestamp": "1790000000", "type": "interactive",
			"context":     object{"from": "5491150000000", "id": greeting.ExternalID},
			"interactive": object{"type": "button_reply", "button_reply": object{"id": "visit", "title": "Agendar visita"}},
		}},
	})
	said, err := w.d.simulator().Replay(w.t.Context(), w.label, true, body(choice))
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, said.Status)
	selection := of("selection")
	require.Equal(w.t, "Agendar visita", selection.Text)
	require.Equal(w.t, "visit", selection.Content.Selection.ID)
	require.Equal(w.t, greeting.ExternalID, selection.ReplyTo)
}

// hidden is a customer of whom only the business-scoped id is known.
func (w *there) hidden() {
	w.t.Helper()
	const number = "+5491160007003"
	w.d.faults(object{"hide_phones": true})
	w.customer(object{"from": number, "name": "Caro Gil", "username": "caro.gil", "text": "Hola, ¿aceptan mascotas?"})
	var lead leadView
	eventually(w.t, func() bool {
		for _, l := range all[leadView](w.agent, "/api/leads") {
			if l.Contact.Name == "Caro Gil" {
				lead = l
				return true
			}
		}
		return false
	}, "the customer without a number has no lead")
	for _, i := range lead.Contact.Identities {
		require.NotContains(w.t, i.Value, "5491160007003")
	}
	reply := w.agent.say(lead.ConversationID, "¡Sí, claro!")
	w.agent.reaches(lead.ConversationID, reply.ID, "read")
	w.shows(number, "the reply", ofText("¡Sí, claro!"))
	require.NoError(w.t, w.d.simulator().ClearFaults(w.t.Context()))
}

// repeated posts one webhook twice, and a third time.
func (w *there) repeated() {
	w.t.Helper()
	const number = "5491160007004"
	acc := w.d.account(w.label)
	webhook := body(acc.text("wamid.twice-"+w.label, number, "¿Hay cochera?", time.Now()))
	for range 3 {
		said, err := w.d.simulator().Replay(w.t.Context(), w.label, true, webhook)
		require.NoError(w.t, err)
		require.Equal(w.t, http.StatusOK, said.Status)
	}
	w.d.faults(object{"duplicate": true})
	w.customer(object{"from": "+" + number, "text": "¿Y pileta?"})
	require.NoError(w.t, w.d.simulator().ClearFaults(w.t.Context()))
	conversation := w.agent.lead("wa_id", number).ConversationID
	w.agent.message(conversation, "the second question", func(m messageView) bool { return m.Text == "¿Y pileta?" })
	w.agent.message(conversation, "the greeting", byAssistant)
	settled(w.t, w.d.sql(databases[w.label]))
	var texts []string
	for _, m := range w.agent.messages(conversation) {
		if m.Direction == "in" {
			texts = append(texts, m.Text)
		}
	}
	require.ElementsMatch(w.t, []string{"¿Hay cochera?", "¿Y pileta?"}, texts)
	leads := 0
	for _, l := range all[leadView](w.agent, "/api/leads") {
		if l.Contact.is("wa_id", number) {
			leads++
		}
	}
	require.Equal(w.t, 1, leads)
}

// reordered lets the blue ticks come before the grey ones, and all of them
// before the provider's answer.
func (w *there) reordered() {
	w.t.Helper()
	const number = "+5491160007005"
	w.customer(object{"from": number, "text": "Buen día"})
	conversation := w.agent.lead("wa_id", "5491160007005").ConversationID
	w.agent.message(conversation, "the greeting, read", func(m messageView) bool { return byAssistant(m) && m.Status == "read" })
	for _, switches := range []object{{"read_before_sent": true}, {"status_before_reply": true}, {"drop_delivered": true}} {
		w.d.faults(switches)
		m := w.agent.say(conversation, "¡Buen día!")
		read := w.agent.message(conversation, "read and sent", func(v messageView) bool {
			return v.ID == m.ID && v.Status == "read" && !v.SentAt.IsZero()
		})
		require.False(w.t, read.DeliveredAt.IsZero(), "what was read was delivered")
		settled(w.t, w.d.sql(databases[w.label]))
		w.agent.reaches(conversation, m.ID, "read")
	}
	require.NoError(w.t, w.d.simulator().ClearFaults(w.t.Context()))
}

// refusals writes to numbers that ask for an error: the last six digits are its
// code.
func (w *there) refusals() {
	w.t.Helper()
	for number, code := range map[string]string{"5491100131026": "131026", "5491101131049": "131049"} {
		w.customer(object{"from": "+" + number, "text": "Hola"})
		conversation := w.agent.lead("wa_id", number).ConversationID
		m := w.agent.message(conversation, "the greeting, failed", func(m messageView) bool { return byAssistant(m) && m.Status == "failed" })
		require.NotEmpty(w.t, m.FailureCode)
		require.True(w.t, strings.HasPrefix(m.ProviderCode, code), "%s is not %s", m.ProviderCode, code)
	}
}

// window writes to a customer whose last words are older than a day.
func (w *there) window() {
	w.t.Helper()
	w.customer(object{"from": "+5491160007006", "text": "¿Sigue en venta?", "minutes_ago": 25 * 60})
	conversation := w.agent.lead("wa_id", "5491160007006").ConversationID
	w.agent.refused(http.StatusConflict, "conversation.window_closed", http.MethodPost,
		"/api/conversations/"+conversation+"/messages", object{"text": "Sí, sigue"})
	for _, m := range w.phone("+5491160007006") {
		require.Equal(w.t, simulator.Inbound, m.Direction)
	}
}

// once repeats a request with its Idempotency-Key.
func (w *there) once() {
	w.t.Helper()
	const number = "+5491160007007"
	w.customer(object{"from": number, "text": "Hola"})
	conversation := w.agent.lead("wa_id", "5491160007007").ConversationID
	w.agent.message(conversation, "the greeting, read", func(m messageView) bool { return byAssistant(m) && m.Status == "read" })
	first := w.agent.say(conversation, "Una sola vez", "Idempotency-Key", "e2e-"+w.label)
	for range 2 {
		again := w.agent.say(conversation, "Una sola vez", "Idempotency-Key", "e2e-"+w.label)
		require.Equal(w.t, first.ID, again.ID)
	}
	w.agent.reaches(conversation, first.ID, "read")
	last := w.agent.say(conversation, "Y esta también")
	w.agent.reaches(conversation, last.ID, "read")
	count := 0
	for _, m := range w.phone(number) {
		if m.Text == "Una sola vez" {
			count++
		}
	}
	require.Equal(w.t, 1, count)
}

// foreign asks for another agency's things by their ids.
func foreign(t *testing.T, own, other *client) {
	t.Helper()
	leads, conversations := all[leadView](other, "/api/leads"), all[conversationView](other, "/api/conversations")
	require.NotEmpty(t, leads)
	require.NotEmpty(t, conversations)
	for _, l := range leads {
		for _, path := range []string{"/api/leads/" + l.ID, "/api/leads/" + l.ID + "/events", "/api/contacts/" + l.Contact.ID} {
			require.Equal(t, http.StatusNotFound, own.do(http.MethodGet, path, nil).status, path)
		}
	}
	for _, c := range conversations {
		path := "/api/conversations/" + c.ID
		own.refused(http.StatusNotFound, "conversation.not_found", http.MethodGet, path, nil)
		own.refused(http.StatusNotFound, "conversation.not_found", http.MethodPost, path+"/messages", object{"text": "x"})
		require.Equal(t, http.StatusNotFound, own.do(http.MethodGet, path+"/messages", nil).status)
	}
	mine := map[string]bool{}
	for _, l := range all[leadView](own, "/api/leads") {
		mine[l.ID] = true
	}
	for _, l := range leads {
		require.False(t, mine[l.ID])
	}
}
