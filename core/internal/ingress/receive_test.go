package ingress_test

import (
	"encoding/hex"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/sdk/pluginv1"
)

const ana, bea = "5491160001234", "5491160009999"

// ready stores a webhook with events that nobody has taken yet.
func (b *bundle) ready(t *testing.T, to installation.Target, events ...*pluginv1.Event) ingress.Ref {
	t.Helper()
	ref, err := b.inbox.Store(t.Context(), ingress.Row{Target: to, Plugin: hosttest.Echo, Result: result(events...)})
	require.NoError(t, err)
	return ref
}

// noise is text of n characters that cannot be compressed.
func noise(n int) string {
	b := make([]byte, n/2)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return hex.EncodeToString(b)
}

func TestReceive(t *testing.T) {
	t.Parallel()

	t.Run("rows of one job are taken together and done", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Install(t, hosttest.Echo)
		one, two := b.ready(t, to, said("1", ana, "Hola"), said("2", bea, "Buenas")), b.ready(t, to, said("3", ana, "¿Sigue?"))
		require.NoError(t, b.work(t, one, two))
		require.ElementsMatch(t, []string{"Hola", "Buenas", "¿Sigue?"}, b.texts(t))
		require.Equal(t, state{State: "done"}, b.state(t, one))
		require.Equal(t, state{State: "done"}, b.state(t, two))
		require.Len(t, b.contacts(t), 2)
	})

	t.Run("a webhook that comes again changes nothing", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Install(t, hosttest.Echo)
		first := b.ready(t, to, said("1", ana, "Hola"))
		require.NoError(t, b.work(t, first))
		require.NoError(t, b.work(t, first))
		require.NoError(t, b.work(t, b.ready(t, to, said("1", ana, "Hola"))))
		require.Equal(t, []string{"Hola"}, b.texts(t))
		require.Equal(t, 1, b.conversations(t)[0].Unread)
	})

	t.Run("jobs of the same rows at once take each once", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Install(t, hosttest.Echo)
		var refs []ingress.Ref
		for n := range 20 {
			refs = append(refs, b.ready(t, to, said(strings.Repeat("x", n+1), ana, "Hola")))
		}
		var wait sync.WaitGroup
		errs := make([]error, 6)
		for n := range errs {
			wait.Go(func() { errs[n] = b.work(t, refs...) })
		}
		wait.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Len(t, b.texts(t), 20)
		require.Empty(t, b.waiting(t))
	})

	t.Run("one bad event fails alone and is kept with its reason", func(t *testing.T) {
		t.Parallel()

		nowhere := said("nowhere", ana, "")
		nowhere.GetInbound().Content = &pluginv1.Content{Kind: &pluginv1.Content_Location{Location: &pluginv1.LocationContent{Latitude: math.NaN()}}}
		kind := said("kind", ana, "x")
		kind.GetInbound().From.Addresses[0].Kind = "WhatsApp Id"
		nobody := said("nobody", "", "x")
		long := said(noise(10_000), ana, "x")
		nul := said("kind2", ana, "x")
		nul.GetInbound().From.Addresses[0].Kind, nul.DedupeKey = "no kind", "a\x00b"
		for name, tt := range map[string]struct {
			bad    *pluginv1.Event
			key    string
			reason string
		}{
			"PostgreSQL refuses its address":        {kind, "in:kind", "identities_kind_check"},
			"PostgreSQL cannot index its id":        {long, "", "index row"},
			"JSON cannot hold it":                   {nowhere, "in:nowhere", "store 1 messages"},
			"it comes from nobody":                  {nobody, "in:nobody", "no address"},
			"its own key cannot be stored as it is": {nul, "ab", "identities_kind_check"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()

				b := setup(t)
				to := b.Install(t, hosttest.Echo)
				sick := b.ready(t, to, said("1", ana, "antes"), tt.bad, said("2", bea, "después"))
				sound := b.ready(t, to, said("3", ana, "otro webhook"))
				require.NoError(t, b.work(t, sick, sound))
				require.ElementsMatch(t, []string{"antes", "después", "otro webhook"}, b.texts(t))
				require.Equal(t, state{State: "done"}, b.state(t, sick))
				require.Equal(t, state{State: "done"}, b.state(t, sound))
				failed := b.failed(t)
				require.Len(t, failed, 1)
				for key, reason := range failed {
					require.Contains(t, key, tt.key)
					require.Contains(t, reason, tt.reason)
				}
				require.Empty(t, b.waiting(t))
			})
		}
	})

	t.Run("a row that cannot be read is given up, its neighbours are not", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Install(t, hosttest.Echo)
		broken, sound := b.ready(t, to, said("1", ana, "Hola")), b.ready(t, to, said("2", ana, "Hola"))
		admin(t, `update crm.inbox set result = '\xff' where id = $1`, broken.ID)
		require.NoError(t, b.work(t, broken, sound))
		require.Equal(t, "dead", b.state(t, broken).State)
		require.NotEmpty(t, b.state(t, broken).Error)
		require.Equal(t, []string{"Hola"}, b.texts(t))
	})

	t.Run("what text cannot hold is replaced, not lost", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		require.NoError(t, b.work(t, b.ready(t, b.Install(t, hosttest.Echo), said("1", ana, "ho\x00la"))))
		require.Equal(t, []string{"hola"}, b.texts(t))
	})

	t.Run("what jsonb cannot hold is replaced, not lost", func(t *testing.T) {
		t.Parallel()

		odd := said("1", ana, "")
		odd.GetInbound().Content = &pluginv1.Content{Kind: &pluginv1.Content_Unsupported{Unsupported: &pluginv1.Unsupported{
			ProviderType: "poll", Raw: []byte(`{"half":"a\ud800b","nul":"a\u0000b","huge":1e99999999,"tiny":1e-99999,"id":12345678901234567890,"list":[0.0,1.50,"\ude00"],"k\u0000":0}`),
		}}}
		b := setup(t)
		require.NoError(t, b.work(t, b.ready(t, b.Install(t, hosttest.Echo), odd)))
		require.Empty(t, b.failed(t))
		require.JSONEq(t, `{"half":"a�b","nul":"ab","huge":"1e99999999","tiny":"1e-99999","id":12345678901234567890,"list":[0.0,1.50,"�"],"k":0}`,
			b.value(t, `select content #>> '{unsupported,raw}' from crm.messages where tenant_id = $1`))
	})

	t.Run("an empty address is nobody", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		one, two := said("1", " ", "soy una"), said("2", "", "soy otra")
		for n, e := range []*pluginv1.Event{one, two} {
			e.GetInbound().From.Addresses = append(e.GetInbound().From.Addresses, &pluginv1.Address{Kind: "bsuid", Value: "AR." + string(rune('1'+n))})
		}
		require.NoError(t, b.work(t, b.ready(t, b.Install(t, hosttest.Echo), one, two)))
		require.Len(t, b.contacts(t), 2)
	})

	t.Run("a change of number and a consent are told once", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Install(t, hosttest.Echo)
		at := timestamppb.New(time.Now().Add(-time.Hour))
		address := func(v string) []*pluginv1.Address { return []*pluginv1.Address{{Kind: "wa_id", Value: v}} }
		changed := &pluginv1.Event{DedupeKey: "number", OccurredAt: at, Payload: &pluginv1.Event_Contact{Contact: &pluginv1.ContactUpdate{
			PreviousAddresses: address(ana), Contact: &pluginv1.Party{Addresses: address(bea)},
		}}}
		consent := &pluginv1.Event{DedupeKey: "stop", OccurredAt: at, Payload: &pluginv1.Event_Consent{Consent: &pluginv1.ConsentChange{
			Contact: &pluginv1.Party{Addresses: address(bea)}, Scope: "marketing",
		}}}
		for range 3 {
			require.NoError(t, b.work(t, b.ready(t, to, said("1", ana, "Hola"), changed, consent)))
		}
		require.Empty(t, b.failed(t))
		people := b.contacts(t)
		require.Len(t, people, 1)
		require.Len(t, people[0].Identities, 2)
		require.ElementsMatch(t, []string{string(event.IdentityChanged), string(event.ConsentChanged)}, b.timeline(t, event.IdentityChanged, event.ConsentChanged))
	})

	t.Run("people who write, change numbers and opt out at once do not stand in each other's way", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Install(t, hosttest.Echo)
		var wait sync.WaitGroup
		errs := make([]error, 8)
		for n := range errs {
			phones := []string{ana, bea}
			ref := b.ready(t, to, said("in"+string(rune('a'+n)), phones[n%2], "Hola"),
				&pluginv1.Event{DedupeKey: "stop" + string(rune('a'+n)), OccurredAt: timestamppb.Now(), Payload: &pluginv1.Event_Consent{Consent: &pluginv1.ConsentChange{
					Contact: &pluginv1.Party{Addresses: []*pluginv1.Address{{Kind: "wa_id", Value: phones[(n+1)%2]}}},
				}}})
			wait.Go(func() { errs[n] = b.work(t, ref) })
		}
		wait.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Empty(t, b.failed(t))
		require.Len(t, b.texts(t), 8)
		require.Len(t, b.contacts(t), 2)
		require.Len(t, b.timeline(t, event.ConsentChanged), 8)
		require.NotContains(t, b.Log.String(), "could not be taken together", "a deadlock, or a race for a unique key")
	})

	t.Run("ticks find their message and move it forward", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		to := b.Install(t, hosttest.Echo)
		echo := said("out", ana, "desde el teléfono")
		echo.Payload = &pluginv1.Event_Echo{Echo: &pluginv1.MessageEcho{
			ProviderMessageId: "out", To: echo.GetInbound().GetFrom(), Content: echo.GetInbound().GetContent(),
		}}
		tick := func(s pluginv1.DeliveryState) *pluginv1.Event {
			return &pluginv1.Event{DedupeKey: s.String(), OccurredAt: timestamppb.Now(), Payload: &pluginv1.Event_Delivery{
				Delivery: &pluginv1.DeliveryUpdate{ProviderMessageId: "out", State: s},
			}}
		}
		require.NoError(t, b.work(t, b.ready(t, to, tick(pluginv1.DeliveryState_DELIVERY_STATE_READ), echo, tick(pluginv1.DeliveryState_DELIVERY_STATE_SENT))))
		require.Equal(t, string(conversation.Read), b.value(t, "select status from crm.messages where tenant_id = $1"))
	})
}
