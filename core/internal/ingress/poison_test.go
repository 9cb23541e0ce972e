package ingress_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/hosttest"
	"github.com/stratohub/strato/core/internal/ingress"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

// crashes counts the exits that an inbox row was under way in.
func (b *bundle) crashes(t *testing.T, r ingress.Ref) string {
	t.Helper()
	return b.value(t, `select crashes::text from crm.inbox where tenant_id = $1 and id = '`+r.ID.String()+`'`)
}

// knock posts a webhook beside the test, and tells the answer's status; 0 for none.
func knock(url, body string) <-chan int {
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Post(url, "text/plain", strings.NewReader(body)) //nolint:noctx // the server ends it
		if err != nil {
			answered <- 0
			return
		}
		_ = resp.Body.Close()
		answered <- resp.StatusCode
	}()
	return answered
}

// A request that was under way in two exits of the plugin is given up, and is
// never shown to it again by itself. What was beside it goes on.
func TestHost04PoisonWebhooks(t *testing.T) {
	t.Parallel()

	t.Run("one of an installation", func(t *testing.T) {
		t.Parallel()

		b := setupWith(t, quick)
		to := b.Echo(t)
		at := b.address(t, hosttest.Echo, to)
		innocent := filepath.Join(t.TempDir(), "innocent")
		answered := knock(at, "wait "+innocent)
		there := func() bool { _, err := os.Stat(innocent); return err == nil }
		require.Eventually(t, there, patience, time.Millisecond)
		status, _ := post(t, at, []byte("exit"))
		require.Equal(t, http.StatusOK, status, "the provider is not to send it again")
		require.Equal(t, http.StatusOK, <-answered)
		refs := b.waiting(t)
		require.Len(t, refs, 2)
		for _, r := range refs {
			require.Equal(t, "raw", b.state(t, r).State)
			require.Equal(t, "1", b.crashes(t, r), "both were under way")
		}

		// Each is shown again, alone: the innocent one is cleared, the other known.
		require.NoError(t, os.Remove(innocent))
		over, done := make(chan struct{}), make(chan struct{})
		go func() { // what waits for the file to go
			defer close(done)
			for {
				select {
				case <-over:
					return
				default:
					_ = os.Remove(innocent)
				}
			}
		}()
		require.Eventually(t, func() bool { _ = b.work(t, refs...); return len(b.waiting(t)) == 0 }, patience, time.Millisecond)
		close(over)
		<-done
		states := map[string]string{}
		for _, r := range refs {
			states[b.state(t, r).State] = b.crashes(t, r)
		}
		require.Equal(t, map[string]string{"done": "1", "dead": "2"}, states)
		require.NotContains(t, b.Log.String(), "a token of the tests")

		// Nothing brings it back, and the plugin goes on.
		before, err := b.Registry.Status(hosttest.Echo)
		require.NoError(t, err)
		for _, r := range refs {
			require.NoError(t, b.work(t, r))
		}
		b.catchUp(t, to)
		require.Eventually(t, func() bool {
			status, _ := post(t, at, []byte("hello"))
			return status == http.StatusOK && len(b.waiting(t)) == 0
		}, patience, time.Millisecond)
		after, err := b.Registry.Status(hosttest.Echo)
		require.NoError(t, err)
		require.Equal(t, before.Exits, after.Exits)
	})

	t.Run("one of nobody known", func(t *testing.T) {
		t.Parallel()

		db := dbtest.Fresh(t)
		pool := tenanttest.Open(t, db, nil)
		b := around(t, hosttest.On(t, pool, tenanttest.Create(t, pool, db.Name), quick))
		shared := b.url + "/api/webhooks/" + hosttest.Echo
		status, _ := post(t, shared, []byte("exit"))
		require.Equal(t, http.StatusOK, status)
		status, _ = post(t, shared, []byte("nobody hello"))
		require.Equal(t, http.StatusOK, status)
		require.Eventually(t, func() bool {
			b.handler.SpoolRound(t.Context())
			left := b.spooled(t)
			return len(left) == 1 && left[0].State == "dead"
		}, patience, time.Millisecond)
		var crashes int
		require.NoError(t, b.Pool.Control().NewRaw(`select crashes from control.spool`).Scan(t.Context(), &crashes))
		require.Equal(t, 2, crashes)
		s, err := b.Registry.Status(hosttest.Echo)
		require.NoError(t, err)
		require.Equal(t, 2, s.Exits)
	})

	t.Run("a process that somebody kills accuses nobody", func(t *testing.T) {
		t.Parallel()

		b := setupWith(t, quick)
		to := b.Echo(t)
		at := b.address(t, hosttest.Echo, to)
		for range 3 {
			innocent := filepath.Join(t.TempDir(), "innocent")
			answered := knock(at, "wait "+innocent)
			require.Eventually(t, func() bool { _, err := os.Stat(innocent); return err == nil }, patience, time.Millisecond)
			s, err := b.Registry.Status(hosttest.Echo)
			require.NoError(t, err)
			p, err := os.FindProcess(s.PID)
			require.NoError(t, err)
			require.NoError(t, p.Kill())
			require.Equal(t, http.StatusOK, <-answered)
			require.Eventually(t, func() bool {
				s, err := b.Registry.Status(hosttest.Echo)
				return err == nil && s.State.String() == "ready"
			}, patience, time.Millisecond)
		}
		for _, r := range b.waiting(t) {
			require.Equal(t, "0", b.crashes(t, r))
		}
	})
}

// What waits for a plugin is bounded for each agency; what is handed on makes
// room.
func TestSpoolIsBounded(t *testing.T) {
	t.Parallel()

	b := setupWith(t, quick)
	to := b.Echo(t)
	at := b.address(t, hosttest.Echo, to)
	big := strings.Repeat("x", 1<<20-100)
	for range ingress.TenantSpoolMax / len(big) {
		b.raw(t, to, hosttest.Echo, big, 0)
	}
	b.Registry.Close() // the plugin takes nothing any more
	status, code := post(t, at, []byte(big))
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "webhook.full", code)
	other := around(t, hosttest.On(t, b.Pool, tenanttest.Create(t, b.Pool, dbtest.Database(t).Name), quick))
	theirs := other.Echo(t)
	other.Registry.Close()
	status, _ = post(t, other.address(t, hosttest.Echo, theirs), []byte("hello"))
	require.Equal(t, http.StatusOK, status, "another agency has its own room")
	admin(t, `update crm.inbox set state = 'done' where tenant_id = $1`, b.Agency.ID.UUID)
	b.handler.ForgetQuota()
	status, _ = post(t, at, []byte(big))
	require.Equal(t, http.StatusOK, status)
}

// Providers' clocks and signatures are judged by when a webhook came, not by
// when the plugin saw it.
func TestReplayTellsWhenItCame(t *testing.T) {
	t.Parallel()

	b := setupWith(t, quick)
	to := b.Echo(t)
	ref := b.raw(t, to, hosttest.Echo, "when", 3*time.Hour)
	b.catchUp(t, to)
	require.Equal(t, "done", b.state(t, ref).State)
	require.Contains(t, b.Log.String(), ref.At.UTC().Truncate(time.Second).Format(time.RFC3339))
}
