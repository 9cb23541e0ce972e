package app_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/conversation"
)

// Lists are walked page by page: everything once, in one order, however many
// come in meanwhile, and null at the end.
func TestPages(t *testing.T) {
	t.Parallel()

	const rows = 130 // two full pages of the usual size, and a rest
	w := newWorld(t)
	shared, dedicated := w.acme, w.norte
	c := &customers{world: w, clock: time.Now().UTC().Truncate(time.Second).Add(-time.Hour)}
	for _, a := range []*agency{shared, dedicated} {
		c.crowd(t, a, rows-1) // one is there already
		// One conversation has all the messages, and its lead the events.
		c.chatter(t, a, rows)
	}

	for _, a := range []*agency{shared, dedicated} {
		for name, path := range map[string]string{
			"leads": "/api/leads", "contacts": "/api/contacts", "conversations": "/api/conversations",
			"messages": "/api/conversations/" + a.conversation.String() + "/messages",
			"events":   "/api/leads/" + a.lead.String() + "/events",
		} {
			t.Run(a.Slug+" "+name, func(t *testing.T) {
				usual := w.walk(t, a, path, 0, nil)
				require.GreaterOrEqual(t, len(usual.pages), 3)
				require.GreaterOrEqual(t, len(usual.ids), rows)
				for i, n := range usual.pages[:len(usual.pages)-1] {
					require.Equal(t, 50, n, "page %d", i)
				}
				requireOnce(t, usual.ids)

				// Pages of another size hold the same in the same order.
				require.Equal(t, usual.ids, w.walk(t, a, path, 7, nil).ids)
				require.Equal(t, usual.ids, w.walk(t, a, path, 100, nil).ids)
				exact := w.walk(t, a, path, len(usual.ids)/2, nil)
				if len(usual.ids)%2 == 0 {
					require.Len(t, exact.pages, 2, "a full last page says so")
				}

				// What comes in between is of no page that follows.
				grown := w.walk(t, a, path, 50, func() {
					c.crowd(t, a, 3)
					c.chatter(t, a, 3)
				})
				if name == "conversations" {
					// The one that was written to has moved to the front.
					talk := a.conversation.String()
					usual.ids = slices.DeleteFunc(usual.ids, func(id string) bool { return id == talk })
					grown.ids = slices.DeleteFunc(grown.ids, func(id string) bool { return id == talk })
				}
				require.Equal(t, usual.ids, grown.ids)
				require.Greater(t, len(w.walk(t, a, path, 50, nil).ids), len(usual.ids), "nothing came in")
			})
		}
	}

	t.Run("filters", func(t *testing.T) {
		of := w.walk(t, shared, "/api/conversations?lead="+shared.lead.String(), 50, nil)
		require.Equal(t, []string{shared.conversation.String()}, of.ids)
		require.Empty(t, w.walk(t, shared, "/api/leads?status=won", 50, nil).ids)
		require.Len(t, w.walk(t, shared, "/api/leads?contact="+shared.contact.String(), 50, nil).ids, 1)
	})

	t.Run("a cursor of another list", func(t *testing.T) {
		got := w.do(t, ask{method: "GET", path: "/api/leads?limit=1", token: shared.owner})
		w.do(t, ask{method: "GET", path: "/api/conversations?after=" + got.string(t, "next"), token: shared.owner}).refused(t, 422, "page.cursor")
		// That of another agency leads to no row of it.
		foreign := w.do(t, ask{method: "GET", path: "/api/leads?after=" + got.string(t, "next"), token: w.beta.owner})
		require.Equal(t, 200, foreign.status)
		require.NotContains(t, foreign.text, shared.mark)
	})
}

// customers write to agencies, each later than the one before.
type customers struct {
	*world

	clock time.Time
	n     int
}

// crowd lets new people write, in one second.
func (c *customers) crowd(t *testing.T, a *agency, n int) {
	t.Helper()
	c.clock = c.clock.Add(time.Second)
	var in []conversation.Incoming
	for range n {
		c.n++
		m := a.message(fmt.Sprintf("54911%07d", c.n), fmt.Sprintf("wamid.%d", c.n), "hola")
		m.OccurredAt = c.clock
		in = append(in, m)
	}
	c.receive(t, a, in...)
}

// chatter lets the agency's first customer go on, two messages a second.
func (c *customers) chatter(t *testing.T, a *agency, n int) {
	t.Helper()
	var in []conversation.Incoming
	for i := range n {
		c.n++
		m := a.message("549116000", fmt.Sprintf("wamid.%d", c.n), fmt.Sprint("mensaje ", i))
		m.OccurredAt = c.clock.Add(time.Duration(1+i/2) * time.Second)
		in = append(in, m)
	}
	c.clock = in[len(in)-1].OccurredAt
	c.receive(t, a, in...)
}

// walked is what a walk through a list came by.
type walked struct {
	ids   []string
	pages []int // how many were on each
}

// walk reads a list to its end; between calls happens.
func (w *world) walk(t *testing.T, a *agency, path string, limit int, between func()) walked {
	t.Helper()
	var out walked
	u, err := url.Parse(path)
	require.NoError(t, err)
	q := u.Query()
	if limit > 0 {
		q.Set("limit", fmt.Sprint(limit))
	}
	for {
		u.RawQuery = q.Encode()
		got := w.do(t, ask{method: "GET", path: u.String(), token: a.owner})
		require.Equal(t, 200, got.status, got.text)
		var page struct {
			Items []struct{ ID string }
			Next  *string
		}
		require.NoError(t, json.Unmarshal([]byte(got.text), &page))
		require.Contains(t, got.text, `"next":`)
		for _, item := range page.Items {
			out.ids = append(out.ids, item.ID)
		}
		out.pages = append(out.pages, len(page.Items))
		if page.Next == nil {
			return out
		}
		require.NotEmpty(t, page.Items, "an empty page that is not the last")
		require.LessOrEqual(t, len(out.pages), 200, "the list has no end")
		q.Set("after", *page.Next)
		if between != nil {
			between()
		}
	}
}

func requireOnce(t *testing.T, ids []string) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(ids))
	require.Len(t, slices.Compact(sorted), len(ids), "something came twice")
}
