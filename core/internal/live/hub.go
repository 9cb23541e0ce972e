// Package live tells browsers at once what changed in their agency, as
// server-sent events. An event names what changed and holds no data: the browser
// reads it over the API, under its own permissions. Events are hints. When some
// may be missing the browser is told to read afresh ("resync").
package live

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

// ErrTooMany refuses a user who holds too many streams open.
var ErrTooMany = fault.New(fault.Throttled, "live.too_many", "Too many live connections are open. Close some windows.")

const (
	perUser   = 20               // streams of one user on a node
	backlog   = 256              // events kept per tenant for those who come back
	maxQueue  = 64               // events that may wait for a slow browser
	idleAfter = time.Minute      // how long a tenant nobody watches is still followed
	beat      = 15 * time.Second // between signs of life
	slowest   = 10 * time.Second // for one write
)

// Options is what a [Hub] needs.
type Options struct {
	Bus     *cache.Bus
	Policy  *rbac.Policy
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil counts nothing
	// Holds reports whether an actor is still signed in; asked at each beat.
	Holds func(rbac.Actor) bool
	// Beat is the time between signs of life; zero is 15 seconds.
	Beat time.Duration
}

// Hub passes changes on to the browsers that watch a tenant, on all nodes. It is
// safe for concurrent use. Make one with [New] and run [Hub.Run].
type Hub struct {
	Options
	open prometheus.Gauge
	done chan struct{} // closed when the hub stops

	mu    sync.Mutex
	rooms map[tenant.ID]*room
	users map[rbac.UserID]int
}

// New returns a hub without watchers.
func New(o Options) *Hub {
	if o.Beat == 0 {
		o.Beat = beat
	}
	h := &Hub{Options: o, done: make(chan struct{}), rooms: map[tenant.ID]*room{}, users: map[rbac.UserID]int{}}
	h.open = prometheus.NewGauge(prometheus.GaugeOpts{Name: "strato_live_streams", Help: "Open streams of live events."})
	if o.Metrics != nil {
		o.Metrics.MustRegister(h.open)
	}
	return h
}

// Run stops following tenants that nobody watches any more. When the context
// ends it ends all streams, and new ones too: run it once.
func (h *Hub) Run(ctx context.Context) {
	tick := time.NewTicker(idleAfter / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			close(h.done)
			h.sweep(time.Now().Add(2 * idleAfter))
			return
		case now := <-tick.C:
			h.sweep(now)
		}
	}
}

func (h *Hub) sweep(now time.Time) {
	h.mu.Lock()
	var idle []*room
	for id, r := range h.rooms {
		if r.refs == 0 && now.Sub(r.left) > idleAfter {
			idle = append(idle, r)
			delete(h.rooms, id)
		}
	}
	h.mu.Unlock()
	for _, r := range idle {
		r.end()
	}
}

// Announce tells all who watch a tenant what changed. It fits
// tenant.Config.Announce.
func (h *Hub) Announce(ctx context.Context, t tenant.ID, changes []tenant.Change) {
	list := make([]change, len(changes))
	for i, c := range changes {
		list[i] = change{Type: c.Type, ID: c.ID, Parent: c.Parent}
	}
	text, err := json.Marshal(list)
	if err != nil {
		h.Log.ErrorContext(ctx, "cannot tell browsers of a change", slog.Any("error", err))
		return
	}
	h.Bus.Publish(ctx, key(t), text)
}

func key(t tenant.ID) cache.Key { return cache.TenantKey(t.UUID, "live") }

// change is an event's data.
type change struct {
	Type   string    `json:"type"`
	ID     uuid.UUID `json:"id,omitzero"`
	Parent uuid.UUID `json:"parent,omitzero"`
}

// need is the permission to learn of the change: to read what changed.
func (c change) need() rbac.Permission {
	object, _, _ := strings.Cut(c.Type, ".")
	return rbac.Read(object)
}

// join enters a tenant's room, which it makes if need be.
func (h *Hub) join(ctx context.Context, a rbac.Actor) (*room, error) {
	h.mu.Lock()
	if h.users[a.User] >= perUser {
		h.mu.Unlock()
		return nil, ErrTooMany.After(time.Minute)
	}
	h.users[a.User]++
	r := h.rooms[a.Tenant]
	if r == nil {
		r = newRoom()
		h.rooms[a.Tenant] = r
	}
	r.refs++
	h.mu.Unlock()
	// Outside the lock, since it waits for Redis.
	r.begin.Do(func() { r.sub = h.Bus.Subscribe(context.WithoutCancel(ctx), key(a.Tenant), r.take) })
	return r, nil
}

func (h *Hub) leave(a rbac.Actor, r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.refs--
	r.left = time.Now()
	if h.users[a.User]--; h.users[a.User] == 0 {
		delete(h.users, a.User)
	}
}

// room is a tenant as this node follows it.
type room struct {
	begin sync.Once
	sub   *cache.Subscription
	refs  int       // guarded by the hub's lock
	left  time.Time // guarded by the hub's lock

	mu       sync.Mutex
	epoch    string // names this run of numbers
	last     uint64
	recent   []event // the latest, oldest first
	watchers map[*watcher]struct{}
}

// event is a change with its number in the room.
type event struct {
	number uint64
	change change
}

func newRoom() *room {
	return &room{epoch: rand.Text()[:10], watchers: map[*watcher]struct{}{}}
}

func (r *room) end() {
	r.begin.Do(func() {})
	if r.sub != nil {
		r.sub.Close()
	}
}

// take gets a message from the bus. It never waits.
func (r *room) take(m cache.Message) {
	var list []change
	if !m.Lost && json.Unmarshal(m.Payload, &list) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Lost {
		// Numbers of before must not be answered as if nothing were missing.
		r.epoch, r.recent = rand.Text()[:10], nil
		for w := range r.watchers {
			w.fall(r.epoch, r.last)
		}
		return
	}
	for _, c := range list {
		r.last++
		e := event{r.last, c}
		r.recent = append(r.recent, e)
		for w := range r.watchers {
			w.push(e)
		}
	}
	if extra := len(r.recent) - backlog; extra > 0 {
		r.recent = append(r.recent[:0:0], r.recent[extra:]...)
	}
}
