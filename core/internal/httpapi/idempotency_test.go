package httpapi_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

const (
	testWait = 5 * time.Second
	testTick = 5 * time.Millisecond
)

func keyed(path, token, key, body string) ask {
	return ask{method: "POST", path: path, token: token, body: body, header: http.Header{"Idempotency-Key": {key}}}
}

func TestIdempotency(t *testing.T) {
	t.Parallel()

	for _, path := range []string{"/api/things", "/api/set-ups"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()

			w := newWorld(t)
			key := uuid.NewString()

			first := w.do(t, keyed(path, "owner@acme", key, `{"name":"x"}`))
			require.Equal(t, 201, first.status, first.body)
			require.Empty(t, first.header.Get("Idempotency-Replayed"))

			again := w.do(t, keyed("/t/"+w.acme.Slug+path, "owner@acme", key, `{"name":"x"}`))
			require.Equal(t, 201, again.status, again.body)
			require.Equal(t, first.body, again.body)
			require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))

			w.do(t, keyed(path, "owner@acme", key, `{"name":"y"}`)).refused(t, 409, "idempotency.reused")
			w.do(t, keyed(path, "admin@acme", key, `{"name":"x"}`)).refused(t, 409, "idempotency.reused")
			require.EqualValues(t, 1, w.runs.Load())

			other := w.do(t, keyed(path, "owner@norte", key, `{"name":"x"}`))
			require.Equal(t, 201, other.status)
			require.NotEqual(t, first.body, other.body, "another tenant's key is another key")

			w.do(t, ask{method: "POST", path: path, token: "owner@acme", body: `{"name":"x"}`})
			w.do(t, ask{method: "POST", path: path, token: "owner@acme", body: `{"name":"x"}`})
			require.EqualValues(t, 4, w.runs.Load(), "without a key everything runs")
		})
	}
}

func TestFailedRequestsMayBeRepeated(t *testing.T) {
	t.Parallel()

	for _, path := range []string{"/api/things", "/api/set-ups"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()

			w := newWorld(t)
			key := uuid.NewString()
			w.do(t, keyed(path, "owner@acme", key, `{"name":"fail"}`)).refused(t, 404, "thing.not_found")
			w.do(t, keyed(path, "owner@acme", key, `{"name":"fail"}`)).refused(t, 404, "thing.not_found")
			require.EqualValues(t, 2, w.runs.Load())
			require.Equal(t, 201, w.do(t, keyed(path, "owner@acme", key, `{"name":"x"}`)).status)
		})
	}
}

func TestSameRequestTwiceAtOnce(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	key := uuid.NewString()
	answers := make([]answer, 4)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i] = w.do(t, keyed("/api/things", "owner@acme", key, `{"name":"slow"}`)) })
	}
	require.Eventually(t, func() bool { return w.runs.Load() == 1 }, testWait, testTick)
	close(w.gate)
	group.Wait()

	for _, a := range answers {
		require.Equal(t, 201, a.status, a.body)
		require.Equal(t, answers[0].body, a.body)
	}
	require.EqualValues(t, 1, w.runs.Load())
}

func TestSameRequestWhileItRunsApart(t *testing.T) {
	t.Parallel()

	w := newWorld(t)
	key := uuid.NewString()
	var first answer
	var group sync.WaitGroup
	group.Go(func() { first = w.do(t, keyed("/api/set-ups", "owner@acme", key, `{"name":"slow"}`)) })
	require.Eventually(t, func() bool { return w.runs.Load() == 1 }, testWait, testTick)

	busy := w.do(t, keyed("/api/set-ups", "owner@acme", key, `{"name":"slow"}`))
	busy.refused(t, 409, "idempotency.busy")
	require.Equal(t, "1", busy.header.Get("Retry-After"))
	close(w.gate)
	group.Wait()

	again := w.do(t, keyed("/api/set-ups", "owner@acme", key, `{"name":"slow"}`))
	require.Equal(t, first.body, again.body)
	require.EqualValues(t, 1, w.runs.Load())
}
