package admission

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/settings"
)

// plug is a release whose manifest has these limits.
func plug(limits ...settings.RateLimit) host.Release {
	return host.Release{Name: "echo", ManifestSHA256: "1", Manifest: &settings.Manifest{ID: "echo", RateLimits: limits}}
}

// reason of a refusal; empty for none.
func reason(t *testing.T, err error) Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var r *Refused
	require.ErrorAs(t, err, &r)
	return r.Reason
}

// enter asks for a call that must be let in.
func enter(t *testing.T, d *Desk, c Call) func() {
	t.Helper()
	leave, err := d.Enter(t.Context(), &c)
	require.NoError(t, err)
	return leave
}

// pass lets time go by, on the clock of the bubble that a test runs in.
func pass(d time.Duration) { <-time.After(d) }

func TestTenantHasItsShare(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		d := New(nil, Observer{})
		send := Call{Release: plug(), Tenant: "a", Class: Sends}
		var leave func()
		for range 8 {
			leave = enter(t, d, send)
		}
		began := time.Now()
		_, err := d.Enter(t.Context(), &send)
		require.Equal(t, ReasonLate, reason(t, err))
		require.Equal(t, patience, time.Since(began))

		soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		began = time.Now()
		_, err = d.Enter(soon, &send)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 20*time.Millisecond, time.Since(began), "what is left of the caller's time")

		enter(t, d, Call{Release: plug(), Tenant: "b", Class: Sends})
		enter(t, d, Call{Release: plug(), Tenant: "a", Class: Webhooks})
		for range 4 {
			enter(t, d, Call{Release: plug(), Tenant: "a", Class: Streams})
		}
		_, err = d.Enter(t.Context(), &Call{Release: plug(), Tenant: "a", Class: Streams})
		require.Equal(t, ReasonLate, reason(t, err))
		for range 20 {
			enter(t, d, Call{Release: plug(), Class: Webhooks})
		}
		enter(t, d, Call{Release: plug(), Tenant: "a", Class: Sends, Shard: "own"})

		time.AfterFunc(100*time.Millisecond, leave)
		began = time.Now()
		enter(t, d, send)
		require.Equal(t, 100*time.Millisecond, time.Since(began), "it takes the place that is left")
	})
}

func TestTenantsTakeTurns(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		d := New(Overrides{"echo": {Limits: Limits{InFlight: 1}}}, Observer{})
		first := enter(t, d, Call{Release: plug(), Tenant: "a"})
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		ask := func(tenant string) {
			all.Go(func() {
				leave := enter(t, d, Call{Release: plug(), Tenant: tenant})
				mu.Lock()
				order = append(order, tenant)
				mu.Unlock()
				pass(10 * time.Millisecond)
				leave()
			})
			synctest.Wait()
		}
		for _, tenant := range []string{"a", "a", "a", "a", "b", "c", "b"} {
			ask(tenant)
		}
		first()
		all.Wait()
		require.Equal(t, []string{"a", "b", "c", "a", "b", "a", "a"}, order)
	})
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		var refused atomic.Int64
		d := New(Overrides{"echo": {Limits: Limits{InFlight: 1}}}, Observer{Refused: func(_, _ string, r Reason) {
			if r == ReasonLate {
				refused.Add(1)
			}
		}})
		leave := enter(t, d, Call{Release: plug(), Tenant: "a"})
		var all sync.WaitGroup
		for i := range maxWaiting {
			all.Go(func() { _, _ = d.Enter(t.Context(), &Call{Release: plug(), Tenant: fmt.Sprint(i % 9)}) })
		}
		synctest.Wait()
		began := time.Now()
		_, err := d.Enter(t.Context(), &Call{Release: plug(), Tenant: "z"})
		require.Equal(t, ReasonFull, reason(t, err))
		require.Equal(t, began, time.Now(), "it is not made to wait")
		all.Wait()
		require.EqualValues(t, maxWaiting, refused.Load())
		leave()
		enter(t, d, Call{Release: plug(), Tenant: "z"})()
		g, _, _ := d.of(&Call{Release: plug()})
		require.Empty(t, g.lanes, "nothing is remembered of who left")
		require.Empty(t, g.turns)
		require.Zero(t, g.waiting)
	})
}

// However calls come, a tenant and a plugin never have more than they may.
func TestGateUnderLoad(t *testing.T) {
	t.Parallel()

	d := New(Overrides{"echo": {Limits: Limits{InFlight: 10, Sends: 3}}}, Observer{})
	var running [4]atomic.Int64
	var total atomic.Int64
	var all sync.WaitGroup
	for w := range 24 {
		all.Go(func() {
			tenant := w % len(running)
			for range 300 {
				leave, err := d.Enter(context.Background(), &Call{Release: plug(), Tenant: fmt.Sprint(tenant), Class: Sends})
				if err != nil {
					continue // a slow machine's
				}
				if n, m := running[tenant].Add(1), total.Add(1); n > 3 || m > 10 {
					t.Errorf("%d of a tenant, %d of the plugin", n, m)
				}
				running[tenant].Add(-1)
				total.Add(-1)
				leave()
			}
		})
	}
	all.Wait()
	g, _, _ := d.of(&Call{Release: plug()})
	require.Zero(t, g.running)
	require.Empty(t, g.lanes)
}

func TestRates(t *testing.T) {
	t.Parallel()

	number := settings.RateLimit{Name: "number", PerSecond: 10, Burst: 4, Scope: []string{"phone"}, Methods: []string{"Send"}}
	person := settings.RateLimit{Name: "person", PerSecond: 1, Burst: 2, Scope: []string{"recipient"}, Methods: []string{"Send.template"}}
	lines := settings.RateLimit{Name: "lines", MaxConcurrency: 1, Scope: []string{"installation"}, Methods: []string{"PlaceCall"}}
	lists := settings.RateLimit{Name: "lists", PerSecond: 4, Burst: 1, Scope: []string{"plugin"}, Methods: []string{"ListOptions"}}
	all := plug(number, person, lines, lists)
	send := func(number, to, content string) *Call {
		return &Call{
			Release: all, Tenant: "a", Installation: "i", Class: Sends, Method: "Send", Content: content,
			From: Address{"phone", number}, Recipient: to,
		}
	}
	// try makes a call and says after how long to ask again; zero for let in.
	try := func(t *testing.T, d *Desk, c *Call) time.Duration {
		t.Helper()
		leave, err := d.Enter(t.Context(), c)
		if err == nil {
			leave()
			return 0
		}
		var r *Refused
		require.ErrorAs(t, err, &r)
		require.Equal(t, ReasonRate, r.Reason)
		return r.After
	}
	for name, f := range map[string]func(*testing.T, *Desk){
		"burst, then the rate": func(t *testing.T, d *Desk) {
			t.Helper()
			for range 4 {
				require.Zero(t, try(t, d, send("1", "x", "text")))
			}
			require.Equal(t, 100*time.Millisecond, try(t, d, send("1", "y", "text")))
			require.Equal(t, 100*time.Millisecond, try(t, d, send("1", "y", "text")), "what is refused takes nothing")
			require.Zero(t, try(t, d, send("2", "x", "text")), "another number")
			pass(100 * time.Millisecond)
			require.Zero(t, try(t, d, send("1", "y", "text")))
		},
		"kinds of content": func(t *testing.T, d *Desk) {
			t.Helper()
			require.Zero(t, try(t, d, send("1", "x", "template")))
			require.Zero(t, try(t, d, send("1", "x", "template")))
			require.Equal(t, time.Second, try(t, d, send("1", "x", "template")))
			require.Zero(t, try(t, d, send("1", "x", "text")))
			require.Zero(t, try(t, d, send("1", "y", "template")), "the refused one took nothing of the number's")
		},
		"concurrency": func(t *testing.T, d *Desk) {
			t.Helper()
			call := &Call{Release: all, Tenant: "a", Installation: "i", Method: "PlaceCall"}
			leave := enter(t, d, *call)
			require.Equal(t, time.Second, try(t, d, call))
			require.Zero(t, try(t, d, &Call{Release: all, Tenant: "a", Installation: "j", Method: "PlaceCall"}))
			leave()
			require.Zero(t, try(t, d, call))
		},
		"a person waits a little": func(t *testing.T, d *Desk) {
			t.Helper()
			list := &Call{Release: all, Tenant: "a", Installation: "i", Method: "ListOptions"}
			require.Zero(t, try(t, d, list))
			began := time.Now()
			require.Zero(t, try(t, d, list))
			require.Equal(t, 250*time.Millisecond, time.Since(began))
		},
		"a pause": func(t *testing.T, d *Desk) {
			t.Helper()
			d.Pause(send("1", "x", "template"), "person", 10*time.Second)
			require.Equal(t, 10*time.Second, try(t, d, send("1", "x", "template")))
			require.Zero(t, try(t, d, send("1", "y", "template")))
			d.Pause(send("1", "x", "template"), "", 5*time.Second)
			require.Equal(t, 5*time.Second, try(t, d, send("1", "y", "text")), "the widest")
			require.Equal(t, 10*time.Second, try(t, d, send("1", "x", "template")))
			require.Zero(t, try(t, d, send("2", "y", "text")))
			d.Pause(send("1", "x", "text"), "", time.Second)
			require.Equal(t, 5*time.Second, try(t, d, send("1", "y", "text")), "the longer one stays")
			d.Pause(send("3", "x", "text"), "nonsense", time.Hour)
			require.Zero(t, try(t, d, send("3", "x", "text")))
			pass(10 * time.Second)
			require.Zero(t, try(t, d, send("1", "x", "template")))
		},
		"what says nothing is dropped": func(t *testing.T, d *Desk) {
			t.Helper()
			_, _, r := d.of(send("1", "x", "text"))
			d.Pause(send("1", "paused", "template"), "person", time.Hour)
			for i := range 3 * sweepAt {
				try(t, d, send(fmt.Sprint(i), "x", "text"))
				if i == sweepAt/2 {
					pass(time.Minute)
				}
			}
			require.Less(t, len(r.buckets), 3*sweepAt)
			pass(time.Minute)
			r.sweep(time.Now())
			require.Len(t, r.buckets, 1)
			require.Positive(t, try(t, d, send("1", "paused", "template")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { f(t, New(nil, Observer{})) })
		})
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()

	file := filepath.Join(t.TempDir(), "limits.json")
	read := func(text string) (Overrides, error) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return ReadOverrides(file)
	}
	o, err := read(`{"echo": {"sends": 24, "in_flight": 200, "rates": {"number": {"per_second": 5}, "person": {"per_second": 0}, "gone": {"burst": 1}}}}`)
	require.NoError(t, err)
	m := &settings.Manifest{ID: "echo", Concurrency: settings.Concurrency{Sends: 16, Webhooks: 2}, RateLimits: []settings.RateLimit{
		{Name: "number", PerSecond: 80, Burst: 80}, {Name: "person", PerSecond: 1, MaxConcurrency: 2}, {Name: "other", PerSecond: 3},
	}}
	require.Equal(t, Limits{InFlight: 200, Webhooks: 2, Sends: 24, Streams: 4, Requests: 8}, o.limits(m))
	require.Equal(t, []settings.RateLimit{
		{Name: "number", PerSecond: 5}, {Name: "person", MaxConcurrency: 2}, {Name: "other", PerSecond: 3},
	}, o.rates(m))
	require.Equal(t, []string{"gone"}, o.Unknown(m))
	require.InDelta(t, 80, m.RateLimits[0].PerSecond, 0, "the manifest stays")
	require.Equal(t, defaults(), Overrides(nil).limits(&settings.Manifest{ID: "echo"}))

	none, err := ReadOverrides("")
	require.NoError(t, err)
	require.Empty(t, none)
	for _, bad := range []string{`[]`, `{"echo":{"send":1}}`, `{"echo":{"sends":-1}}`, `{"echo":{"rates":{"a":{"per_second":-1}}}}`} {
		_, err := read(bad)
		require.ErrorContains(t, err, "limits.json", bad)
	}
	_, err = ReadOverrides(filepath.Join(t.TempDir(), "gone"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A new release's manifest is in force from its first call on.
func TestAnotherManifest(t *testing.T) {
	t.Parallel()

	d := New(nil, Observer{})
	once := plug(settings.RateLimit{Name: "n", PerSecond: 0.001, Burst: 1, Methods: []string{"Send"}})
	call := Call{Release: once, Class: Sends, Method: "Send"}
	enter(t, d, call)()
	_, err := d.Enter(t.Context(), &call)
	require.Equal(t, ReasonRate, reason(t, err))
	call.Release = plug()
	call.Release.ManifestSHA256 = "2"
	enter(t, d, call)()
}
