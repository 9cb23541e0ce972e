package live_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/live"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

// node is a hub that serves streams to whom the query says.
type node struct {
	*httptest.Server

	hub       *live.Hub
	signedOut atomic.Bool
	stop      context.CancelFunc
	cookie    *http.Cookie // sent along, unless nil
}

func newNode(t *testing.T, redis *miniredis.Miniredis) *node {
	t.Helper()
	policy, err := rbac.New()
	require.NoError(t, err)
	c, err := cache.Open("redis://"+redis.Addr(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	bus := cache.NewBus(c)
	n := &node{}
	n.hub = live.New(live.Options{
		Bus: bus, Policy: policy, Log: slog.New(slog.DiscardHandler), Beat: 20 * time.Millisecond,
		Holds: func(rbac.Actor) bool { return !n.signedOut.Load() },
	})
	ctx, cancel := context.WithCancel(context.Background())
	hubCtx, stop := context.WithCancel(ctx)
	n.stop = stop
	done := make(chan struct{}, 2)
	go func() { bus.Run(ctx); done <- struct{}{} }()
	go func() { n.hub.Run(hubCtx); done <- struct{}{} }()
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		q := req.URL.Query()
		a := rbac.Actor{Role: rbac.Role(q.Get("role")), User: rbac.NewUserID()}
		a.Tenant.UUID = uuid.MustParse(q.Get("tenant"))
		if u := q.Get("user"); u != "" {
			a.User.UUID = uuid.MustParse(u)
		}
		if life, err := time.ParseDuration(q.Get("life")); err == nil {
			a.Expires = time.Now().Add(life)
		}
		if err := n.hub.Serve(w, req, a); err != nil {
			http.Error(w, err.Error(), http.StatusTooManyRequests)
		}
	}))
	t.Cleanup(func() {
		cancel()
		n.Close()
		<-done
		<-done
		require.NoError(t, c.Close())
	})
	return n
}

// stream reads events.
type stream struct {
	status int
	events chan event
	close  func()
}

type event struct{ id, kind, data string }

func (n *node) open(t *testing.T, query, lastID string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"?"+query, nil)
	require.NoError(t, err)
	if n.cookie != nil {
		req.AddCookie(n.cookie)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := n.Client().Do(req)
	require.NoError(t, err)
	s := &stream{status: res.StatusCode, events: make(chan event, 10_000), close: cancel}
	go func() {
		defer close(s.events)
		defer res.Body.Close()
		s.read(res.Body)
	}()
	t.Cleanup(cancel)
	return s
}

func (s *stream) read(body io.Reader) {
	var e event
	for lines := bufio.NewScanner(body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			e.data = value
		case "":
			if e.kind != "" {
				s.events <- e
			}
			e = event{}
		}
	}
}

// next is the next event, or a failure after a while.
func (s *stream) next(t *testing.T, kind string) event {
	t.Helper()
	select {
	case e, ok := <-s.events:
		require.True(t, ok, "the stream ended before %s", kind)
		require.Equal(t, kind, e.kind)
		return e
	case <-time.After(5 * time.Second):
		require.Fail(t, "nothing came", "want %s", kind)
		return event{}
	}
}

func (s *stream) ended(t *testing.T) {
	t.Helper()
	select {
	case e, ok := <-s.events:
		require.False(t, ok, "got %v", e)
	case <-time.After(5 * time.Second):
		require.Fail(t, "the stream goes on")
	}
}

func change(kind string) tenant.Change { return tenant.Change{Type: kind, ID: uuid.New()} }

func as(role rbac.Role, t tenant.ID) string { return "role=" + string(role) + "&tenant=" + t.String() }

func TestEventsReachWhoMaySeeThem(t *testing.T) {
	t.Parallel()

	redis := miniredis.RunT(t)
	one, two := newNode(t, redis), newNode(t, redis)
	acme, norte := id.New[tenant.Tenant](), id.New[tenant.Tenant]()
	here := one.open(t, as(rbac.RoleAgent, acme), "")
	there := two.open(t, as(rbac.RoleAgent, acme), "")
	other := two.open(t, as(rbac.RoleAgent, norte), "")
	for _, s := range []*stream{here, there, other} {
		require.Equal(t, http.StatusOK, s.status)
		s.next(t, "ready")
	}

	message := tenant.Change{Type: "message.created", ID: uuid.New(), Parent: uuid.New()}
	one.hub.Announce(t.Context(), acme, []tenant.Change{message, change("installation.updated"), change("moon.risen"), change("lead.created")})
	for _, s := range []*stream{here, there} {
		e := s.next(t, "message.created")
		require.JSONEq(t, `{"type":"message.created","id":"`+message.ID.String()+`","parent":"`+message.Parent.String()+`"}`, e.data)
		s.next(t, "lead.created") // installations are not an agent's business, the moon is nobody's
	}
	two.hub.Announce(t.Context(), norte, []tenant.Change{change("lead.updated")})
	other.next(t, "lead.updated")
}

func TestComingBack(t *testing.T) {
	t.Parallel()

	n := newNode(t, miniredis.RunT(t))
	acme := id.New[tenant.Tenant]()
	tell := func(count int) {
		for range count {
			n.hub.Announce(t.Context(), acme, []tenant.Change{change("lead.created")})
		}
	}
	witness := n.open(t, as(rbac.RoleOwner, acme), "")
	witness.next(t, "ready")
	hear := func(count int) {
		for range count {
			witness.next(t, "lead.created")
		}
	}
	first := n.open(t, as(rbac.RoleOwner, acme), "")
	first.next(t, "ready")
	tell(2)
	seen := first.next(t, "lead.created")
	second := first.next(t, "lead.created")
	require.NotEqual(t, seen.id, second.id)
	first.close()
	tell(3)
	hear(5)

	back := n.open(t, as(rbac.RoleOwner, acme), seen.id)
	require.Equal(t, seen.id, back.next(t, "ready").id)
	require.Equal(t, second.id, back.next(t, "lead.created").id, "what was missed comes, in order")
	for range 3 {
		back.next(t, "lead.created")
	}
	tell(1)
	last := back.next(t, "lead.created")

	upToDate := n.open(t, as(rbac.RoleOwner, acme), last.id)
	upToDate.next(t, "ready")
	tell(1)
	upToDate.next(t, "lead.created")

	for name, lastID := range map[string]string{"another node's": "ABCDEFGHIJ-3", "garbage": "x", "of the future": strings.Split(last.id, "-")[0] + "-99"} {
		s := n.open(t, as(rbac.RoleOwner, acme), lastID)
		s.next(t, "ready")
		require.NotEmpty(t, s.next(t, "resync").id, name)
	}
	hear(2)
	// More than is kept, but never more at a time than may wait for the witness:
	// a browser that falls behind is told to read afresh instead.
	for range 10 {
		tell(30)
		hear(30)
	}
	old := n.open(t, as(rbac.RoleOwner, acme), seen.id)
	old.next(t, "ready")
	old.next(t, "resync")
	tell(1)
	old.next(t, "lead.created")
}

func TestSlowBrowserIsToldToReadAfresh(t *testing.T) {
	t.Parallel()

	n := newNode(t, miniredis.RunT(t))
	acme := id.New[tenant.Tenant]()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"?"+as(rbac.RoleOwner, acme), nil)
	require.NoError(t, err)
	res, err := n.Client().Do(req) // nobody reads yet
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	witness := n.open(t, as(rbac.RoleOwner, acme), "")
	witness.next(t, "ready")

	// More than the queue and the sockets between hold.
	batch := make([]tenant.Change, 200)
	for i := range batch {
		batch[i] = change("lead.created")
	}
	for range 500 {
		n.hub.Announce(t.Context(), acme, batch)
	}
	s := &stream{events: make(chan event, 200_000), close: cancel}
	go func() {
		defer close(s.events)
		s.read(res.Body)
	}()
	require.Eventually(t, func() bool {
		for e := range s.events {
			if e.kind == "resync" {
				return true
			}
		}
		return false
	}, 10*time.Second, 10*time.Millisecond)
}

func TestStreamsEnd(t *testing.T) {
	t.Parallel()

	acme := id.New[tenant.Tenant]()
	t.Run("when the token does", func(t *testing.T) {
		t.Parallel()

		n := newNode(t, miniredis.RunT(t))
		s := n.open(t, as(rbac.RoleOwner, acme)+"&life=200ms", "")
		s.next(t, "ready")
		require.JSONEq(t, `{"reason":"expired"}`, s.next(t, "end").data)
		s.ended(t)
	})
	t.Run("when the session does", func(t *testing.T) {
		t.Parallel()

		n := newNode(t, miniredis.RunT(t))
		s := n.open(t, as(rbac.RoleOwner, acme), "")
		s.next(t, "ready")
		n.signedOut.Store(true)
		require.JSONEq(t, `{"reason":"signed_out"}`, s.next(t, "end").data)
		s.ended(t)
	})
	t.Run("when the server stops", func(t *testing.T) {
		t.Parallel()

		n := newNode(t, miniredis.RunT(t))
		s := n.open(t, as(rbac.RoleOwner, acme), "")
		s.next(t, "ready")
		n.stop()
		s.ended(t)
	})
}

func TestTooManyStreams(t *testing.T) {
	t.Parallel()

	n := newNode(t, miniredis.RunT(t))
	acme := id.New[tenant.Tenant]()
	who := as(rbac.RoleOwner, acme) + "&user=" + uuid.NewString()
	var open []*stream
	for range 20 {
		s := n.open(t, who, "")
		s.next(t, "ready")
		open = append(open, s)
	}
	require.Equal(t, http.StatusTooManyRequests, n.open(t, who, "").status)
	require.Equal(t, http.StatusOK, n.open(t, as(rbac.RoleOwner, acme), "").status)
	open[0].close()
	require.Eventually(t, func() bool { return n.open(t, who, "").status == http.StatusOK }, 5*time.Second, 10*time.Millisecond)
}

func TestWithoutRedis(t *testing.T) {
	t.Parallel()

	redis := miniredis.RunT(t)
	n := newNode(t, redis)
	acme := id.New[tenant.Tenant]()
	s := n.open(t, as(rbac.RoleOwner, acme), "")
	before := s.next(t, "ready")
	redis.Close()
	require.Eventually(t, func() bool {
		n.hub.Announce(t.Context(), acme, []tenant.Change{change("lead.created")})
		select {
		case e := <-s.events:
			return e.kind == "lead.created"
		default:
			return false
		}
	}, 5*time.Second, 20*time.Millisecond, "this node's browsers go on")

	require.NoError(t, redis.Restart())
	var resync event
	require.Eventually(t, func() bool {
		select {
		case e := <-s.events:
			resync = e
			return e.kind == "resync"
		default:
			return false
		}
	}, 10*time.Second, 5*time.Millisecond, "others may have announced meanwhile")
	require.NotEqual(t, strings.Split(before.id, "-")[0], strings.Split(resync.id, "-")[0], fmt.Sprint(before, resync))
}
