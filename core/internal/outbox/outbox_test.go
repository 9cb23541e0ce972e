package outbox_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/admission"
	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/outbox"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/simulator"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const (
	phone    = "5491160001234"
	patience = 20 * time.Second
)

// bundle is an agency with a conversation at the simulated provider.
type bundle struct {
	*hosttest.World

	outbox *outbox.Outbox
	target installation.Target
	id     conversation.ID
	user   uuid.UUID
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return setupWith(t, admission.Override{})
}

// setupWith has the operator's limits for the provider's plugin.
func setupWith(t *testing.T, limits admission.Override) *bundle {
	t.Helper()
	b := &bundle{World: hosttest.New(t, host.Timing{}), user: uuid.New()}
	b.Limits[hosttest.Provider] = limits
	sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(sink.Close)
	b.target = b.Connect(t, "acme", sink.URL)
	// The customer wrote, which opens the provider's window.
	_, err := b.Simulator(t).Say(t.Context(), map[string]string{"to": b.Label("acme"), "from": phone, "text": "Hola"})
	require.NoError(t, err)
	b.hear(t)
	b.outbox = outbox.New(b.Pool, b.Directory, b.Registry, func(_ context.Context, target installation.Target) { b.Directory.Forget(target) },
		telemetry.NewMetrics(telemetry.NewTenants(10, uuid.UUID.String)), b.Log.Logger())
	return b
}

func (b *bundle) do(t *testing.T, fn func(context.Context, tenant.Scope) error) {
	t.Helper()
	tenanttest.Do(t, b.Pool, b.Agency, fn)
}

// hear stores the customer's message on our side.
func (b *bundle) hear(t *testing.T) {
	t.Helper()
	var number string
	for _, k := range b.Live(t, b.target).Keys {
		if k.Kind == "phone_number_id" {
			number = k.Value
		}
	}
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		return conversation.Receive(ctx, s, []conversation.Incoming{{
			Account: installation.AccountKey{Installation: b.target.Installation, Kind: "phone_number_id", Value: number},
			Channel: hosttest.Provider, ExternalID: "wamid.in", Type: "text", Text: "Hola", OccurredAt: s.Now(),
			WindowExpiresAt: s.Now().Add(24 * time.Hour),
			Party:           contact.Party{Name: "Lucía", Addresses: []contact.Address{{Kind: "wa_id", Value: phone}}},
		}})
	})
	require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) error {
		list, err := conversation.List(ctx, s, conversation.Filter{Limit: 1})
		b.id = list[0].ID
		return err
	}))
}

// say queues a message.
func (b *bundle) say(t *testing.T, text string) conversation.MessageID {
	t.Helper()
	var m *conversation.Message
	b.do(t, func(ctx context.Context, s tenant.Scope) (err error) {
		m, err = conversation.Send(ctx, s, conversation.Draft{Conversation: b.id, Text: text, Author: conversation.ByUser, AuthorID: b.user})
		return err
	})
	return m.ID
}

// work does the job of the conversation.
func (b *bundle) work(ctx context.Context) error {
	return b.outbox.Work(ctx, &queue.Job[conversation.Deliver]{Args: conversation.Deliver{Tenant: b.Agency.ID, Conversation: b.id}})
}

// get reads a message.
func (b *bundle) get(t *testing.T, i conversation.MessageID) conversation.Message {
	t.Helper()
	var list []conversation.Message
	require.NoError(t, b.Pool.Read(t.Context(), b.Agency.ID, func(ctx context.Context, s tenant.Scope) (err error) {
		list, err = conversation.Messages(ctx, s, b.id, time.Time{}, conversation.MessageID{}, 100)
		return err
	}))
	for _, m := range list {
		if m.ID == i {
			return m
		}
	}
	t.Fatal("no such message")
	return conversation.Message{}
}

// due lets what was postponed go now.
func (b *bundle) due(t *testing.T) {
	t.Helper()
	b.do(t, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `update crm.messages set not_before = null where tenant_id = $1`, s.Tenant())
		return err
	})
}

// faults turns the provider's switches.
func (b *bundle) faults(t *testing.T, patch map[string]any) {
	t.Helper()
	var all map[string]any
	require.NoError(t, b.Simulator(t).SetFaults(t.Context(), patch, &all))
}

// phone are the texts that the customer's phone shows of the agency.
func (b *bundle) phone(t *testing.T) []string {
	t.Helper()
	list, err := b.Simulator(t).Messages(t.Context(), b.Label("acme"), phone)
	require.NoError(t, err)
	texts := []string{}
	for _, m := range list {
		if m.Direction == simulator.Outbound {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// deliverJobs counts the jobs that will look at the conversation again.
func (b *bundle) deliverJobs(t *testing.T) int {
	t.Helper()
	var n int
	require.NoError(t, dbtest.Database(t).Admin(t).QueryRow(t.Context(), `select count(*) from river.river_job
		where kind = 'conversation_deliver' and args->>'conversation' = $1 and state in ('available', 'scheduled')`, b.id.String()).Scan(&n))
	return n
}

func TestWork(t *testing.T) {
	t.Parallel()

	t.Run("messages arrive in order, each once, whoever works them", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		var want []string
		var ids []conversation.MessageID
		for n := range 6 {
			want = append(want, "mensaje "+strconv.Itoa(n))
			ids = append(ids, b.say(t, want[n]))
		}
		var wait sync.WaitGroup
		errs := make([]error, 4)
		for n := range errs {
			wait.Go(func() { errs[n] = b.work(t.Context()) })
		}
		wait.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.NoError(t, b.work(t.Context()))
		require.Equal(t, want, b.phone(t))
		for _, i := range ids {
			m := b.get(t, i)
			require.Equal(t, conversation.Sent, m.Status)
			require.NotEmpty(t, m.ExternalID)
			require.Equal(t, 1, m.Attempts)
		}
	})

	t.Run("what certainly did not go is tried again, and keeps those behind it", func(t *testing.T) {
		t.Parallel()

		for name, tt := range map[string]struct {
			fault  map[string]any
			counts int
		}{
			"a passing error":  {map[string]any{"error_code": 131016, "times": 1}, 1},
			"a limit of speed": {map[string]any{"error_code": 130429, "times": 1}, 0},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()

				b := setup(t)
				b.faults(t, tt.fault)
				first, second := b.say(t, "primero"), b.say(t, "segundo")
				before := b.deliverJobs(t)
				require.NoError(t, b.work(t.Context()))
				require.Empty(t, b.phone(t))
				require.Equal(t, conversation.Queued, b.get(t, first).Status)
				require.Equal(t, conversation.Queued, b.get(t, second).Status)
				require.Equal(t, tt.counts, b.get(t, first).Attempts)
				require.Equal(t, before+1, b.deliverJobs(t), "somebody comes back for it")
				require.NoError(t, b.work(t.Context()))
				require.Empty(t, b.phone(t), "it went before its time")
				// A number that sends too fast is kept back for five seconds.
				require.Eventually(t, func() bool {
					b.due(t)
					require.NoError(t, b.work(t.Context()))
					return len(b.phone(t)) == 2
				}, patience, 100*time.Millisecond)
				require.Equal(t, []string{"primero", "segundo"}, b.phone(t))
			})
		}
	})

	t.Run("a limit of speed keeps back the number's other messages too", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(t, map[string]any{"error_code": 130429, "times": 1})
		m := b.say(t, "primero")
		require.NoError(t, b.work(t.Context()))
		require.Equal(t, conversation.Queued, b.get(t, m).Status)
		b.due(t)
		require.NoError(t, b.work(t.Context()))
		require.Empty(t, b.phone(t), "the provider would have taken it now")
		require.Equal(t, conversation.Queued, b.get(t, m).Status)
		require.Zero(t, b.get(t, m).Attempts)
		require.LessOrEqual(t, time.Until(b.get(t, m).NotBefore), 5*time.Second)
	})

	t.Run("what the declared rate has no room for waits, at no cost", func(t *testing.T) {
		t.Parallel()

		slow, one := 0.001, 1
		b := setupWith(t, admission.Override{Rates: map[string]admission.RateOverride{"throughput": {PerSecond: &slow, Burst: &one}}})
		first, second := b.say(t, "primero"), b.say(t, "segundo")
		require.NoError(t, b.work(t.Context()))
		require.Equal(t, []string{"primero"}, b.phone(t))
		require.Equal(t, conversation.Sent, b.get(t, first).Status)
		require.Equal(t, conversation.Queued, b.get(t, second).Status)
		require.Zero(t, b.get(t, second).Attempts)
		require.Greater(t, time.Until(b.get(t, second).NotBefore), 10*time.Minute, "when there is room")
	})

	t.Run("what the plugin has no room for waits, at no cost", func(t *testing.T) {
		t.Parallel()

		b := setupWith(t, admission.Override{Limits: admission.Limits{Sends: 1}})
		b.faults(t, map[string]any{"hang_reply": true, "times": 1})
		b.say(t, "primero")
		ctx, cut := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.work(ctx) }()
		require.Eventually(t, func() bool { return len(b.phone(t)) == 1 }, patience, time.Millisecond)
		_, err := b.Registry.Send(t.Context(), b.Live(t, b.target), &pluginv1.SendRequest{})
		require.ErrorIs(t, err, pluginhost.ErrBusy)
		require.True(t, pluginhost.NeverLeft(err))
		require.Equal(t, fault.Throttled, fault.KindOf(err))
		require.Positive(t, fault.Of(err).RetryAfter)
		cut()
		<-done
	})

	t.Run("what nobody knows of is never sent again, and the next goes", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(t, map[string]any{"close_connection": true, "times": 1})
		lost, next := b.say(t, "¿llegó?"), b.say(t, "otro")
		require.NoError(t, b.work(t.Context()))
		require.NoError(t, b.work(t.Context()))
		require.Equal(t, conversation.Unknown, b.get(t, lost).Status)
		require.Equal(t, conversation.Sent, b.get(t, next).Status)
		require.Equal(t, []string{"¿llegó?", "otro"}, b.phone(t))
	})

	t.Run("a job that is cut off has its outcome written down all the same", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(t, map[string]any{"hang_reply": true, "times": 1})
		lost := b.say(t, "¿llegó?")
		ctx, cut := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.work(ctx) }()
		require.Eventually(t, func() bool { return len(b.phone(t)) == 1 }, patience, time.Millisecond)
		cut()
		<-done
		require.Equal(t, conversation.Unknown, b.get(t, lost).Status)
	})

	t.Run("a refusal fails at once, with the provider's reason, and the next goes", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(t, map[string]any{"error_code": 131047, "times": 1})
		first, second := b.say(t, "primero"), b.say(t, "segundo")
		require.NoError(t, b.work(t.Context()))
		m := b.get(t, first)
		require.Equal(t, conversation.Failed, m.Status)
		require.Equal(t, "window_closed", m.FailureCode)
		require.Equal(t, "131047", m.ProviderCode)
		require.NotEmpty(t, m.FailureDetail)
		require.Equal(t, conversation.Sent, b.get(t, second).Status)
	})

	t.Run("attempts end", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(t, map[string]any{"error_code": 131016})
		m := b.say(t, "nunca")
		for range outbox.MaxAttempts {
			require.Equal(t, conversation.Queued, b.get(t, m).Status)
			b.due(t)
			require.NoError(t, b.work(t.Context()))
		}
		require.Equal(t, conversation.Failed, b.get(t, m).Status)
		require.Equal(t, outbox.MaxAttempts, b.get(t, m).Attempts)
	})

	t.Run("credentials that no longer work pause the installation, until they do", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.faults(t, map[string]any{"error_code": 190, "times": 1})
		refused, waits := b.say(t, "primero"), b.say(t, "segundo")
		require.NoError(t, b.work(t.Context()))
		require.Equal(t, conversation.Failed, b.get(t, refused).Status)
		require.Equal(t, "auth", b.get(t, refused).FailureCode)
		n := b.Get(t, b.target)
		require.Equal(t, installation.Broken, n.State)
		require.Equal(t, "failed", n.Health.State)
		require.Equal(t, conversation.Queued, b.get(t, waits).Status)
		require.Zero(t, b.get(t, waits).Attempts)
		require.Positive(t, b.deliverJobs(t))

		n, err := b.Configurator.Test(t.Context(), b.target)
		require.NoError(t, err)
		require.Equal(t, installation.Active, n.State)
		require.LessOrEqual(t, time.Until(b.get(t, waits).NotBefore), 15*time.Second, "how long a mended installation is waited for")
		b.due(t)
		require.NoError(t, b.work(t.Context()))
		require.Equal(t, []string{"segundo"}, b.phone(t))
		require.NotContains(t, b.Log.String(), b.Live(t, b.target).Secrets["/access_token"])
	})

	t.Run("while the installation or the plugin is away messages wait at no cost", func(t *testing.T) {
		t.Parallel()

		for name, change := range map[string]func(*testing.T, *bundle) func(){
			"switched off": func(t *testing.T, b *bundle) func() {
				t.Helper()
				_, err := b.Configurator.SetState(t.Context(), b.target, installation.Disabled)
				require.NoError(t, err)
				return func() {
					_, err := b.Configurator.SetState(t.Context(), b.target, installation.Active)
					require.NoError(t, err)
				}
			},
			"agency switched off": func(t *testing.T, b *bundle) func() {
				t.Helper()
				set := func(active bool) {
					_, err := b.Pool.Control().NewRaw(`update control.tenants set active = ? where id = ?`, active, b.Agency.ID).Exec(t.Context())
					require.NoError(t, err)
					b.Pool.Forget(b.Agency.ID)
					b.Directory.Forget(b.target)
				}
				set(false)
				return func() { set(true) }
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()

				b := setup(t)
				back := change(t, b)
				m := b.say(t, "espera")
				for range 3 {
					b.due(t)
					require.NoError(t, b.work(t.Context()))
				}
				require.Equal(t, conversation.Queued, b.get(t, m).Status)
				require.Zero(t, b.get(t, m).Attempts)
				back()
				b.due(t)
				require.NoError(t, b.work(t.Context()))
				require.Equal(t, []string{"espera"}, b.phone(t))
			})
		}
	})

	t.Run("a conversation that is gone is no error", func(t *testing.T) {
		t.Parallel()

		b := setup(t)
		b.id = conversation.ID{UUID: uuid.New()}
		require.NoError(t, b.work(t.Context()))
	})
}
