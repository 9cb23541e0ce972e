package app_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
)

// stream is an open stream of live events.
type stream struct {
	lines chan string
	seen  strings.Builder
}

func (w *world) stream(t *testing.T, token, last string) *stream {
	t.Helper()
	a := ask{method: "GET", path: "/api/events", token: token}
	if last != "" {
		a.header = http.Header{"Last-Event-Id": {last}}
	}
	resp, err := w.client.Do(w.request(t, a))
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	s := &stream{lines: make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			s.lines <- in.Text()
		}
	}()
	t.Cleanup(func() { _ = resp.Body.Close(); <-done })
	s.until(t, "event: ready")
	return s
}

// until reads to a line that holds text, and keeps what it reads.
func (s *stream) until(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case line := <-s.lines:
			s.seen.WriteString(line + "\n")
			if strings.Contains(line, text) {
				return
			}
		case <-deadline:
			require.Failf(t, "the stream is silent", "want %q after %q", text, s.seen.String())
		}
	}
}

// A stream tells of its own agency alone, on whatever node things happen.
func TestStreams(t *testing.T) {
	t.Parallel()

	w := newWorld(t, "STRATO_REDIS_URL="+dbtest.Redis(t))
	acme, beta, norte := w.stream(t, w.acme.owner, ""), w.stream(t, w.beta.owner, ""), w.stream(t, w.norte.owner, "")

	// What comes first must be seen first, if it is seen at all.
	for _, a := range []*agency{w.acme, w.beta, w.norte} {
		w.receive(t, a, a.message("549116000", "wamid.2", "de nuevo"))
	}
	acme.until(t, w.acme.conversation.String())
	acme.until(t, "event: message.created")
	beta.until(t, w.beta.conversation.String())
	norte.until(t, w.norte.conversation.String())

	for _, s := range []*stream{beta, norte} {
		for _, id := range w.acme.all() {
			require.NotContains(t, s.seen.String(), id)
		}
	}
	require.NotContains(t, acme.seen.String(), w.beta.conversation.String())

	t.Run("resumed with another agency's event", func(t *testing.T) {
		t.Parallel()

		_, last, found := strings.Cut(acme.seen.String(), "id: ")
		require.True(t, found)
		last, _, _ = strings.Cut(last, "\n")

		s := w.stream(t, w.beta.owner, last)
		s.until(t, "event: resync")
		w.receive(t, w.acme, w.acme.message("549116000", "wamid.3", "otra vez"))
		w.receive(t, w.beta, w.beta.message("549116000", "wamid.3", "otra vez"))
		s.until(t, w.beta.conversation.String())
		require.NotContains(t, s.seen.String(), w.acme.conversation.String())
	})
}
