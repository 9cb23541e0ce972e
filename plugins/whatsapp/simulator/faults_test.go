package simulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/plugins/whatsapp/simulator"
	simulation "github.com/stratohub/strato/sdk/simulator"
)

func TestStatuses(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		faults simulator.Faults
		want   []string
	}{
		"as they should be": {simulator.Faults{}, []string{"sent", "delivered", "read"}},
		"drop delivered":    {simulator.Faults{DropDelivered: true}, []string{"sent", "read"}},
		"read before sent":  {simulator.Faults{ReadBeforeSent: true}, []string{"read", "delivered", "sent"}},
		"never read":        {simulator.Faults{NeverRead: true}, []string{"sent", "delivered"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, simulator.Options{SentAfter: time.Millisecond, DeliveredAfter: 60 * time.Millisecond, ReadAfter: 120 * time.Millisecond})
			b.SetFaults(tt.faults)
			b.write(t, simulator.Say{Text: "hola"})
			id := b.text(t, lucia, "buenas").id(t)
			require.Equal(t, tt.want, b.hub.ticks(t, id, len(tt.want)))

			list, err := b.Messages("acme", "")
			require.NoError(t, err)
			top := "read"
			if tt.faults.NeverRead {
				top = "delivered"
			}
			require.Equal(t, top, list[1].Status, "a late tick does not undo a higher one")
			for _, s := range b.hub.statuses(id) {
				require.Equal(t, s["status"] == "sent" || s["status"] == "delivered", s["pricing"] != nil)
				require.Equal(t, lucia, s["recipient_id"])
			}
		})
	}

	t.Run("delayed", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.SetFaults(simulator.Faults{StatusDelayMS: 3_600_000})
		b.write(t, simulator.Say{Text: "hola"})
		id := b.text(t, lucia, "buenas").id(t)
		require.Never(t, func() bool { return len(b.hub.statuses(id)) > 0 }, 50*time.Millisecond, 5*time.Millisecond)
	})

	t.Run("before the reply", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{SentAfter: time.Hour, DeliveredAfter: time.Hour, ReadAfter: time.Hour})
		b.write(t, simulator.Say{Text: "hola"})
		require.Empty(t, b.hub.statuses(b.text(t, lucia, "una").id(t)))
		b.SetFaults(simulator.Faults{StatusBeforeReply: true})
		require.Len(t, b.hub.statuses(b.text(t, lucia, "dos").id(t)), 1)
	})

	t.Run("a reaction is only sent", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		said := b.write(t, simulator.Say{Text: "hola"})
		id := b.call(t, http.MethodPost, b.settings["phone_number_id"]+"/messages", fmt.Sprintf(
			`{"messaging_product":"whatsapp","to":"%s","type":"reaction","reaction":{"message_id":"%s","emoji":"👍"}}`, lucia, said.MessageID)).id(t)
		require.Equal(t, []string{"sent"}, b.hub.ticks(t, id, 1))
		require.Never(t, func() bool { return len(b.hub.statuses(id)) > 1 }, 80*time.Millisecond, 5*time.Millisecond)
	})
}

func TestWebhookForms(t *testing.T) {
	t.Parallel()

	t.Run("signed over the exact bytes", func(t *testing.T) {
		t.Parallel()

		for _, escape := range []bool{false, true} {
			b := setup(t, simulator.Options{})
			b.SetFaults(simulator.Faults{EscapeUnicode: escape})
			b.write(t, simulator.Say{Text: "¿Año? 1/2 🏠 <b>&"})
			p := b.hub.last(t)
			require.Equal(t, simulator.Sign(b.settings["app_secret"], []byte(p.raw)), p.header.Get("X-Hub-Signature-256"))
			require.Equal(t, escape, strings.Contains(p.raw, `A\u00f1`) || strings.Contains(p.raw, `\u00bfA\u00f1o? 1\/2 \ud83c\udfe0`))
			require.Equal(t, !escape, strings.Contains(p.raw, "¿Año? 1/2 🏠 <b>&"))
			require.Equal(t, "¿Año? 1/2 🏠 <b>&", p.body.Entry[0].Changes[0].Value.Messages[0]["text"].(map[string]any)["body"])
		}
	})

	t.Run("duplicates", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.write(t, simulator.Say{Text: "una"})
		require.Len(t, b.hub.all(), 1)
		b.SetFaults(simulator.Faults{Duplicate: true})
		b.write(t, simulator.Say{Text: "dos"})
		require.Eventually(t, func() bool { return len(b.hub.all()) == 3 }, 5*time.Second, time.Millisecond)
		all := b.hub.all()
		require.Equal(t, all[1].raw, all[2].raw)
	})

	t.Run("hidden phones", func(t *testing.T) {
		t.Parallel()

		for _, hide := range []bool{false, true} {
			b := setup(t, simulator.Options{})
			b.SetFaults(simulator.Faults{HidePhones: hide})
			b.write(t, simulator.Say{Text: "hola"})
			user := b.hub.last(t).body.Entry[0].Changes[0].Value.Messages[0]["from_user_id"].(string)
			sent := b.text(t, user, "buenas")
			b.hub.ticks(t, sent.id(t), 3)
			for _, p := range b.hub.all() {
				require.Equal(t, !hide, strings.Contains(p.raw, lucia), p.raw)
			}
			contact := sent.body["contacts"].([]any)[0].(map[string]any)
			require.Equal(t, user, contact["user_id"])
			require.Equal(t, hide, contact["wa_id"] == nil)
		}
	})

	t.Run("profiles", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.write(t, simulator.Say{Text: "hola"})
		require.Contains(t, b.hub.last(t).raw, "Lucía Ferreyra")
		b.SetFaults(simulator.Faults{NoProfiles: true})
		b.write(t, simulator.Say{Text: "hola"})
		require.NotContains(t, b.hub.last(t).raw, "Lucía Ferreyra")
	})

	t.Run("batches of one agency", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.SetFaults(simulator.Faults{BatchSize: 3, BatchWaitMS: 3_600_000})
		for range 3 {
			require.Equal(t, simulation.Batched, b.write(t, simulator.Say{Text: "hola"}).Detail)
		}
		require.Eventually(t, func() bool { return len(b.hub.all()) == 1 }, 5*time.Second, time.Millisecond)
		require.Len(t, b.hub.last(t).body.Entry[0].Changes, 3)

		b.SetFaults(simulator.Faults{BatchSize: 3, BatchWaitMS: 1})
		b.write(t, simulator.Say{Text: "hola"})
		require.Eventually(t, func() bool { return len(b.hub.all()) == 2 }, 5*time.Second, time.Millisecond)
	})

	t.Run("two agencies in one webhook of a shared app", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.account(t, "norte")
		b.SetFaults(simulator.Faults{SharedApp: true, BatchSize: 2, BatchWaitMS: 3_600_000})
		b.write(t, simulator.Say{Text: "a acme"})
		b.write(t, simulator.Say{To: "norte", Text: "a norte"})
		require.Eventually(t, func() bool { return len(b.hub.all()) == 1 }, 5*time.Second, time.Millisecond)
		p := b.hub.last(t)
		require.Len(t, p.body.Entry, 2)
		secret, _ := simulator.App()
		require.Equal(t, simulator.Sign(secret, []byte(p.raw)), p.header.Get("X-Hub-Signature-256"))
	})

	t.Run("what is refused comes again", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.hub.answerWith(http.StatusServiceUnavailable)
		require.Equal(t, http.StatusServiceUnavailable, b.write(t, simulator.Say{Text: "hola"}).Status)
		require.Eventually(t, func() bool { return len(b.hub.all()) >= 3 }, 5*time.Second, time.Millisecond)
		b.hub.answerWith(0)
		all := b.hub.all()
		require.Equal(t, all[0].raw, all[2].raw)
	})
}

func TestRequestFaults(t *testing.T) {
	t.Parallel()

	t.Run("a bare status, twice", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.write(t, simulator.Say{Text: "hola"})
		b.SetFaults(simulator.Faults{HTTPStatus: 503, Times: 2})
		for range 2 {
			a := b.text(t, lucia, "buenas")
			require.Equal(t, http.StatusServiceUnavailable, a.status)
			require.Zero(t, a.code())
		}
		b.text(t, lucia, "buenas").id(t)
		list, err := b.Messages("acme", "")
		require.NoError(t, err)
		require.Len(t, list, 2, "what was refused was not taken")
	})

	t.Run("an error code, for all", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.write(t, simulator.Say{Text: "hola"})
		b.SetFaults(simulator.Faults{ErrorCode: 131016})
		for range 3 {
			a := b.text(t, lucia, "buenas")
			require.Equal(t, 131016, a.code())
			require.Equal(t, http.StatusInternalServerError, a.status)
		}
	})

	for name, f := range map[string]simulator.Faults{
		"hangs":  {HangReply: true, Times: 1},
		"breaks": {CloseConnection: true, Times: 1},
	} {
		t.Run("taken, then the connection "+name, func(t *testing.T) {
			t.Parallel()

			b := setup(t, simulator.Options{})
			b.write(t, simulator.Say{Text: "hola"})
			b.SetFaults(f)
			failed := make(chan error, 1)
			go func() {
				_, err := b.try(t.Context(), http.MethodPost, b.settings["phone_number_id"]+"/messages",
					`{"messaging_product":"whatsapp","to":"`+lucia+`","text":{"body":"buenas"},"biz_opaque_callback_data":"k"}`)
				failed <- err
			}()
			var list []simulation.Message
			require.Eventually(t, func() bool {
				var err error
				list, err = b.Messages("acme", "")
				return err == nil && len(list) == 2
			}, 5*time.Second, time.Millisecond, "the message was taken")
			b.hub.ticks(t, list[1].ID, 3)
			for _, s := range b.hub.statuses(list[1].ID) {
				require.Equal(t, "k", s["biz_opaque_callback_data"])
			}
			if f.HangReply {
				require.NoError(t, b.Close()) // lets go of what hangs
			}
			require.Error(t, <-failed)
			if f.CloseConnection {
				b.text(t, lucia, "otra").id(t)
			}
		})
	}
}

func TestRules(t *testing.T) {
	t.Parallel()

	t.Run("the window", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		require.Equal(t, 131047, b.text(t, lucia, "nunca escribió").code())
		b.write(t, simulator.Say{Text: "hola"})
		b.text(t, lucia, "buenas").id(t)
		b.clock.move(24*time.Hour - time.Second)
		b.text(t, lucia, "todavía").id(t)
		b.clock.move(time.Second)
		require.Equal(t, 131047, b.text(t, lucia, "tarde").code())

		template := b.call(t, http.MethodPost, b.settings["phone_number_id"]+"/messages", `{"messaging_product":"whatsapp","to":"`+lucia+
			`","type":"template","template":{"name":"retomar_contacto","language":{"code":"es_AR"},"components":[{"type":"body","parameters":[{"type":"text","text":"Lucía"},{"type":"text","text":"Palermo"}]}]}}`)
		template.id(t)

		b.SetFaults(simulator.Faults{WindowAsync: true})
		id := b.text(t, lucia, "tarde").id(t)
		require.Equal(t, []string{"failed"}, b.hub.ticks(t, id, 1))
		require.Contains(t, fmt.Sprint(b.hub.statuses(id)[0]["errors"]), "131047")

		b.SetFaults(simulator.Faults{IgnoreWindow: true})
		b.text(t, lucia, "igual").id(t)
		b.SetFaults(simulator.Faults{})
		b.write(t, simulator.Say{Text: "hola de nuevo"})
		b.text(t, lucia, "buenas de nuevo").id(t)
		b.write(t, simulator.Say{From: "+5491160002222", Text: "vieja", MinutesAgo: 25 * 60})
		require.Equal(t, 131047, b.text(t, "5491160002222", "tarde").code())
	})

	t.Run("messages to one person", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.write(t, simulator.Say{Text: "hola"})
		for range 45 {
			b.text(t, lucia, "x").id(t)
		}
		require.Equal(t, 131056, b.text(t, lucia, "x").code())
		b.clock.move(6 * time.Second)
		b.text(t, lucia, "x").id(t)
		require.Equal(t, 131056, b.text(t, lucia, "x").code())
		b.SetFaults(simulator.Faults{NoPairLimit: true})
		b.text(t, lucia, "x").id(t)
		b.SetFaults(simulator.Faults{PairBurst: 1})
		b.clock.move(time.Hour)
		b.text(t, lucia, "x").id(t)
		require.Equal(t, 131056, b.text(t, lucia, "x").code())
	})

	t.Run("messages a second", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.write(t, simulator.Say{Text: "hola"})
		b.SetFaults(simulator.Faults{PerSecond: 2})
		b.text(t, lucia, "x").id(t)
		b.text(t, lucia, "x").id(t)
		require.Equal(t, 130429, b.text(t, lucia, "x").code())
		b.clock.move(time.Second)
		b.text(t, lucia, "x").id(t)
	})

	t.Run("the list of test numbers and Argentina's nine", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		b.write(t, simulator.Say{Text: "hola"})
		b.SetFaults(simulator.Faults{AllowList: []string{"+54 9 11 6000-1234"}})
		require.Equal(t, 131030, b.text(t, lucia, "con el 9").code())
		a := b.text(t, "541160001234", "sin el 9")
		require.Equal(t, lucia, a.body["contacts"].([]any)[0].(map[string]any)["wa_id"], "it is the same person")
		require.Equal(t, 131030, b.text(t, "541160002222", "otra").code())
		b.SetFaults(simulator.Faults{})
		b.text(t, lucia, "con el 9").id(t)
	})

	t.Run("people", func(t *testing.T) {
		t.Parallel()

		b := setup(t, simulator.Options{})
		require.Equal(t, 131026, b.text(t, "AR.123", "nadie").code())
		display := b.call(t, http.MethodGet, b.settings["phone_number_id"], "").body["display_phone_number"].(string)
		require.Equal(t, 131021, b.text(t, display, "a mí").code())
		require.Equal(t, 190, b.text(t, simulator.MagicRefused(190), "x").code())
		later := b.text(t, simulator.MagicFails(131026), "x").id(t)
		require.Equal(t, []string{"failed"}, b.hub.ticks(t, later, 1))
	})
}
