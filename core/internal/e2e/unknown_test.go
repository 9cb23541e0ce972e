package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// never is later than any test.
const never = 3_600_000

// TestSendUnknown breaks the answer to a send off: whether the provider took
// the message is then known only if it tells, and it is not sent twice.
func TestSendUnknown(t *testing.T) {
	t.Parallel()

	t.Run("no answer", func(t *testing.T) {
		t.Parallel()

		u := newUncertain(t)
		u.unanswered(object{"close_connection": true}, 3*time.Second)
		u.unanswered(object{"hang_reply": true}, 25*time.Second)
		u.pluginKilled()
		u.silent()
	})
	t.Run("core killed", func(t *testing.T) {
		t.Parallel()

		newUncertain(t).killed()
	})
}

// uncertain is a conversation of acme whose greeting has been read.
type uncertain struct {
	there
	number       string
	conversation string
}

func newUncertain(t *testing.T) *uncertain {
	t.Helper()
	d := newDemo(t)
	u := &uncertain{there: there{t, d, d.signIn("agent@acme.example"), "acme"}, number: "+5491160003001"}
	u.conversation = u.greeted(u.number)
	return u
}

// greeted is the conversation of a new customer who has read the greeting.
func (u *uncertain) greeted(number string) string {
	u.t.Helper()
	u.customer(object{"from": number, "text": "Hola"})
	conversation := u.agent.lead("wa_id", number[1:]).ConversationID
	u.agent.message(conversation, "the greeting, read", func(m messageView) bool { return byAssistant(m) && m.Status == "read" })
	return conversation
}

// sent counts a text on the customer's phone.
func (u *uncertain) sent(text string) int {
	u.t.Helper()
	count := 0
	for _, m := range u.phone(u.number) {
		if m.Text == text {
			count++
		}
	}
	return count
}

// unanswered lets the provider take a message without an answer, and tell of it
// only later.
func (u *uncertain) unanswered(fault object, later time.Duration) {
	u.t.Helper()
	fault["times"], fault["status_delay_ms"] = 1, later.Milliseconds()
	u.d.faults(fault)
	text := "¿Llegó? " + later.String()
	m := u.agent.say(u.conversation, text)
	u.agent.reaches(u.conversation, m.ID, "unknown")
	require.Equal(u.t, 1, u.sent(text))
	// The tick names our message, not only the provider's, which we never heard.
	read := u.agent.reaches(u.conversation, m.ID, "read")
	require.NotEmpty(u.t, read.ExternalID)
	require.Equal(u.t, 1, read.Attempts)
	require.Equal(u.t, 1, u.sent(text))
}

// pluginKilled ends the plugin between the provider and us.
func (u *uncertain) pluginKilled() {
	u.t.Helper()
	u.d.faults(object{"hang_reply": true, "times": 1, "status_delay_ms": 4000})
	m := u.agent.say(u.conversation, "Se cortó")
	u.shows(u.number, "the message", ofText("Se cortó"))
	p := u.d.plugin()
	require.NoError(u.t, syscall.Kill(p.pid, syscall.SIGKILL))
	u.agent.reaches(u.conversation, m.ID, "unknown")
	u.agent.reaches(u.conversation, m.ID, "read")
	require.Equal(u.t, 1, u.sent("Se cortó"))
}

// silent lets the provider never tell; the conversation goes on.
func (u *uncertain) silent() {
	u.t.Helper()
	u.d.faults(object{"close_connection": true, "times": 1, "status_delay_ms": never})
	lost := u.agent.say(u.conversation, "Nadie sabe")
	u.agent.reaches(u.conversation, lost.ID, "unknown")
	u.d.faults(object{})
	next := u.agent.say(u.conversation, "El siguiente")
	u.agent.reaches(u.conversation, next.ID, "read")
	u.d.stop()
	u.d.run()
	last := u.agent.say(u.conversation, "Después de parar")
	u.agent.reaches(u.conversation, last.ID, "read")
	u.agent.reaches(u.conversation, lost.ID, "unknown")
	require.Equal(u.t, 1, u.sent("Nadie sabe"))
	// A person may decide to send it again.
	a := u.agent.do(http.MethodPost, "/api/conversations/"+u.conversation+"/messages/"+lost.ID+"/resend", nil)
	require.Less(u.t, a.status, 300, "%s", a.body)
	eventually(u.t, func() bool { return u.sent("Nadie sabe") == 2 }, "it is not sent again")
	u.agent.refused(http.StatusConflict, "message.not_resendable", http.MethodPost,
		"/api/conversations/"+u.conversation+"/messages/"+next.ID+"/resend", nil)
}

// killed ends the core while a message is with the provider, another waits
// behind it, and a third waits for its next attempt, with no job left for it.
func (u *uncertain) killed() {
	u.t.Helper()
	acme := u.d.account("acme")
	other := u.greeted("+5491160003002")
	conn := u.d.sql("strato")

	u.d.faults(object{"error_code": 131016})
	stuck := u.agent.say(other, "Reintento")
	u.agent.message(other, "a failed attempt", func(m messageView) bool { return m.ID == stuck.ID && m.Status == "queued" && m.Attempts > 0 })
	_, err := conn.Exec(u.t.Context(), "delete from river.river_job where kind = 'conversation_deliver'")
	require.NoError(u.t, err)

	u.d.faults(object{"hang_reply": true, "status_delay_ms": never})
	sent := u.agent.say(u.conversation, "En el aire")
	waits := u.agent.say(u.conversation, "Detrás")
	taken := u.shows(u.number, "the message", ofText("En el aire"))
	u.agent.reaches(u.conversation, sent.ID, "dispatching")
	u.agent.reaches(u.conversation, waits.ID, "queued")
	// The simulated provider dies with the core, and finds again what it has saved.
	state := filepath.Join(u.d.data, "simulators", "whatsapp-state.json")
	eventually(u.t, func() bool {
		raw, err := os.ReadFile(state)
		return err == nil && strings.Contains(string(raw), taken.ID)
	}, "the simulator does not save")
	u.d.kill()
	u.d.run()

	conn = u.d.sql("strato")
	within(u.t, 2*patience, func() bool {
		return value[string](u.t, conn, "select status from crm.messages where id = $1", sent.ID) == "unknown"
	}, "the message is not parked")
	u.agent.reaches(u.conversation, waits.ID, "read")
	u.agent.reaches(other, stuck.ID, "read")
	require.Equal(u.t, 1, u.sent("En el aire"))
	require.Equal(u.t, 1, u.sent("Detrás"))

	tick := acme.entry(object{"statuses": []any{object{
		"id": taken.ID, "status": "delivered", "timestamp": strconv.FormatInt(time.Now().Unix(), 10),
		"recipient_id": u.number[1:], "biz_opaque_callback_data": sent.ID,
	}}})
	require.Equal(u.t, http.StatusOK, post(u.t.Context(), &http.Client{}, acme.hook, acme.secret, body(tick)))
	done := u.agent.reaches(u.conversation, sent.ID, "delivered")
	require.Equal(u.t, taken.ID, done.ExternalID)
	require.Equal(u.t, 1, u.sent("En el aire"))
	require.False(u.t, u.d.ended())
	require.NoError(u.t, syscall.Kill(u.d.Pid(), 0))
}
