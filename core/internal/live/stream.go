package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stratohub/strato/core/internal/httpapi"
	"github.com/stratohub/strato/core/internal/rbac"
)

// Register puts the stream into the route table.
func (h *Hub) Register(r *httpapi.Router) {
	r.HandleRaw(http.MethodGet, "/api/events", rbac.Read("event"), "text/event-stream", h.Serve,
		httpapi.Errors(http.StatusTooManyRequests), httpapi.Summary("Follow what changes, as server-sent events"),
		httpapi.Description("Each event's type is `noun.verb`, such as `message.created`; its data is "+
			"`{\"type\", \"id\", \"parent\"}`. `ready` comes first. After `resync` read afresh what you show: events may be missing. "+
			"`end` comes before the stream ends because the access token did. A client that comes back with `Last-Event-ID` "+
			"gets what it missed, or `resync`."))
}

// watcher is one stream's queue.
type watcher struct {
	wake chan struct{} // holds one token when there is something to do

	mu     sync.Mutex
	epoch  string
	at     uint64 // number of the last event that came
	queue  []event
	fallen bool // events are missing: the browser must read afresh
}

// push adds an event, or gives up on a browser that is too slow to follow.
func (w *watcher) push(e event) {
	w.mu.Lock()
	w.at = e.number
	if len(w.queue) >= maxQueue {
		w.fallen, w.queue = true, nil
	}
	if !w.fallen {
		w.queue = append(w.queue, e)
	}
	w.mu.Unlock()
	w.rouse()
}

func (w *watcher) fall(epoch string, at uint64) {
	w.mu.Lock()
	w.epoch, w.at, w.queue, w.fallen = epoch, at, nil, true
	w.mu.Unlock()
	w.rouse()
}

func (w *watcher) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// drain takes what waits. After a fall there are no events, only the number to
// go on from.
func (w *watcher) drain() (epoch string, at uint64, queue []event, fallen bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	epoch, at, queue, fallen = w.epoch, w.at, w.queue, w.fallen
	w.queue, w.fallen = nil, false
	return epoch, at, queue, fallen
}

// watch begins to follow the room after the event that a client saw last. It
// returns the number at which it begins.
func (r *room) watch(seen string) (w *watcher, at uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w = &watcher{wake: make(chan struct{}, 1), epoch: r.epoch, at: r.last}
	if seen != "" {
		missed, known := r.since(seen)
		w.queue, w.fallen = missed, !known
		if !known || len(missed) > 0 {
			w.rouse()
		}
	}
	r.watchers[w] = struct{}{}
	at = r.last
	if len(w.queue) > 0 {
		at = w.queue[0].number - 1
	}
	return w, at
}

func (r *room) unwatch(w *watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.watchers, w)
}

// since returns the events after the one with an id, if all of them are still
// known.
func (r *room) since(id string) ([]event, bool) {
	epoch, text, _ := strings.Cut(id, "-")
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil || epoch != r.epoch || number > r.last {
		return nil, false
	}
	first := r.last + 1
	if len(r.recent) > 0 {
		first = r.recent[0].number
	}
	if number+1 < first {
		return nil, false
	}
	return append([]event(nil), r.recent[number+1-first:]...), true
}

// Serve streams events until the client goes, the actor is no longer signed in,
// or the hub stops. It fits [httpapi.RawHandler].
func (h *Hub) Serve(w http.ResponseWriter, req *http.Request, a rbac.Actor) error {
	r, err := h.join(req.Context(), a)
	if err != nil {
		return err
	}
	defer h.leave(a, r)
	queue, at := r.watch(req.Header.Get("Last-Event-ID"))
	defer r.unwatch(queue)
	h.open.Inc()
	defer h.open.Dec()

	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Accel-Buffering", "no")
	out := &stream{w: w, control: http.NewResponseController(w), last: fmt.Sprintf("%s-%d", queue.epoch, at)}
	if err := out.send("retry: 2000\n" + out.frame("ready", []byte("{}"))); err != nil {
		return nil //nolint:nilerr // the client has gone; nobody is left to tell
	}
	h.follow(req, a, queue, out)
	return nil
}

func (h *Hub) follow(req *http.Request, a rbac.Actor, queue *watcher, out *stream) {
	tick := time.NewTicker(h.Beat)
	defer tick.Stop()
	expired := make(<-chan time.Time)
	if !a.Expires.IsZero() {
		timer := time.NewTimer(time.Until(a.Expires))
		defer timer.Stop()
		expired = timer.C
	}
	for {
		var err error
		select {
		case <-req.Context().Done():
			return
		case <-h.done:
			return
		case <-expired:
			_ = out.send(out.frame("end", []byte(`{"reason":"expired"}`)))
			return
		case <-tick.C:
			if !h.Holds(a) {
				_ = out.send(out.frame("end", []byte(`{"reason":"signed_out"}`)))
				return
			}
			err = out.send(": beat\n\n")
		case <-queue.wake:
			err = h.pass(a, queue, out)
		}
		if err != nil {
			return // the client has gone, or takes too long
		}
	}
}

// pass sends what waits in the queue, as far as the actor may know of it.
func (h *Hub) pass(a rbac.Actor, queue *watcher, out *stream) error {
	epoch, at, events, fallen := queue.drain()
	var text strings.Builder
	if fallen {
		out.number(epoch, at)
		text.WriteString(out.frame("resync", []byte("{}")))
	}
	for _, e := range events {
		out.number(epoch, e.number)
		if !h.Policy.Can(a, e.change.need()) {
			continue
		}
		data, err := json.Marshal(e.change)
		if err != nil {
			return fmt.Errorf("encode an event: %w", err)
		}
		text.WriteString(out.frame(e.change.Type, data))
	}
	if text.Len() == 0 {
		return nil
	}
	return out.send(text.String())
}

// stream writes server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	last    string // id of the last event
}

func (s *stream) number(epoch string, n uint64) { s.last = epoch + "-" + strconv.FormatUint(n, 10) }

func (s *stream) frame(kind string, data []byte) string {
	return "id: " + s.last + "\nevent: " + kind + "\ndata: " + string(data) + "\n\n"
}

// send writes and flushes within a deadline, so that a browser that stopped
// reading does not hold the stream.
func (s *stream) send(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(slowest)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
