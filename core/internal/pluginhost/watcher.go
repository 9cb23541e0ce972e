package pluginhost

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/sdk/host"
)

const (
	// watchEvery is how often a node looks at the pins when it hears nothing.
	watchEvery = 30 * time.Second
	// roundDeadline bounds one look, starts of processes included.
	roundDeadline = time.Minute
	// noteDeadline bounds what is written on an event.
	noteDeadline = 5 * time.Second
	// unsentMost bounds the incidents that wait for the database.
	unsentMost = 200
	// aliveFor is how long a process must live to end its quarantine.
	aliveFor = 10 * time.Minute
	// retryMost is the longest pause before a failed upgrade is tried again.
	retryMost = 30 * time.Minute
	// listenAgain is the pause before a lost connection is replaced.
	listenAgain = 5 * time.Second
)

// WatcherConfig is what a [Watcher] needs. All is required but Listen.
type WatcherConfig struct {
	DB    *bun.DB
	Node  string
	Store string
	Log   *slog.Logger
	// Listen opens a connection on which PostgreSQL can notify; nil leaves it at
	// looking every 30 s.
	Listen func(context.Context) (*pgx.Conn, error)
}

// Watcher keeps a node's plugins as the control plane says: it brings them to
// the pinned releases, records what happens to them, and takes a fresh release
// back that fails. Give its methods to the host's configuration, then call Attach,
// Round and Run.
type Watcher struct {
	config    WatcherConfig
	pins      Pins
	incidents Incidents
	started   time.Time
	wake      chan struct{}
	rounds    sync.Mutex // lets one round through at a time

	mu       sync.Mutex
	host     *host.Host
	current  []Pinned
	unsent   []host.Incident
	held     map[string]bool // quarantines of this node that are recorded, by plugin and digest
	prunedAt time.Time
	// failures counts upgrades in a row that failed; retryAt is when the next is due.
	failures int
	retryAt  time.Time
}

// NewWatcher reads the pins. It fails when the database cannot be read: without
// pins a node would run other releases than it should.
func NewWatcher(ctx context.Context, c WatcherConfig) (*Watcher, error) {
	w := &Watcher{
		config: c, pins: Pins{c.DB}, incidents: Incidents{c.DB}, started: time.Now(),
		wake: make(chan struct{}, 1), held: map[string]bool{},
	}
	var err error
	w.current, err = w.pins.List(ctx)
	return w, err
}

// Attach gives the watcher the host that it is for.
func (w *Watcher) Attach(h *host.Host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.host = h
}

// Pinned is what the host asks for pins.
func (w *Watcher) Pinned() map[string]host.Pin {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]host.Pin{}
	for _, p := range w.current {
		out[p.Plugin] = p.asHost()
	}
	return out
}

// OnExit records an incident, and takes a fresh release back that may not run
// or never comes up.
func (w *Watcher) OnExit(i host.Incident) {
	ctx, cancel := context.WithTimeout(context.Background(), noteDeadline)
	defer cancel()
	w.mu.Lock()
	w.unsent = append(w.unsent[max(len(w.unsent)-unsentMost+1, 0):], i)
	w.mu.Unlock()
	w.send(ctx)
	switch {
	case i.Shard != "": // what one installation brings about says little of the release
		return
	case i.Cause == host.CauseRefused:
	case i.Next == host.StateReady: // it was to replace what runs
		if n, err := w.incidents.count(ctx, i.Plugin, i.SHA256); err != nil || n < exitsMost {
			return
		}
	default:
		return
	}
	w.takeBack(ctx, i.Plugin, i.SHA256, i.Summary())
}

// OnState records the beginning of a quarantine, and takes a fresh release back.
func (w *Watcher) OnState(s host.Status) {
	if s.State == host.StateQuarantined && s.Shard == "" {
		ctx, cancel := context.WithTimeout(context.Background(), noteDeadline)
		defer cancel()
		if err := w.incidents.begin(ctx, w.config.Node, s); err != nil {
			w.config.Log.WarnContext(ctx, "a quarantine was not recorded", "plugin", s.Plugin, "error", err)
		} else {
			w.mu.Lock()
			w.held[s.Plugin+" "+s.SHA256] = true
			w.mu.Unlock()
		}
		w.takeBack(ctx, s.Plugin, s.SHA256, s.Reason)
	}
	w.poke()
}

// takeBack goes back to the release before, if the failing one is fresh.
func (w *Watcher) takeBack(ctx context.Context, plugin, sum, why string) {
	present := func(previous string) bool { return host.ReadRelease(w.config.Store, plugin, previous).Problem == "" }
	done, err := w.pins.takeBack(ctx, plugin, sum, clean(why), present)
	switch {
	case err != nil:
		w.config.Log.ErrorContext(ctx, "a failing release was not taken back", "plugin", plugin, "sha256", sum, "error", err)
	case done:
		w.config.Log.ErrorContext(ctx, "a failing release was taken back", "plugin", plugin, "sha256", sum, "reason", why)
		w.poke()
	}
}

// poke has Run look at once.
func (w *Watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// send records the incidents that wait.
func (w *Watcher) send(ctx context.Context) {
	for {
		w.mu.Lock()
		if len(w.unsent) == 0 {
			w.mu.Unlock()
			return
		}
		next := w.unsent[0]
		w.unsent = w.unsent[1:]
		w.mu.Unlock()
		if err := w.incidents.Add(ctx, w.config.Node, next); err != nil {
			w.config.Log.WarnContext(ctx, "an incident waits to be recorded", "plugin", next.Plugin, "error", err)
			w.mu.Lock()
			w.unsent = append([]host.Incident{next}, w.unsent...)
			w.mu.Unlock()
			return
		}
	}
}

// Run keeps the plugins as they should be until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	var listening sync.WaitGroup
	defer listening.Wait()
	if w.config.Listen != nil {
		listening.Go(func() { w.listen(ctx) })
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.wake:
		}
		if err := w.Round(ctx); err != nil && ctx.Err() == nil {
			w.config.Log.WarnContext(ctx, "plugins are not as they are pinned", "error", err)
		}
	}
}

// listen wakes Run whenever another node or a command changed something.
func (w *Watcher) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.hear(ctx)
		if ctx.Err() != nil {
			return
		}
		w.config.Log.DebugContext(ctx, "word of other nodes about plugins is late", "error", err)
		again := time.NewTimer(listenAgain)
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
	}
}

func (w *Watcher) hear(ctx context.Context) error {
	conn, err := w.config.Listen(ctx)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // nothing is left to lose
	}()
	if _, err := conn.Exec(ctx, "listen "+Notifications); err != nil {
		return err
	}
	w.poke() // for what was said before
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
		w.poke()
	}
}

// Round does once what [Watcher.Run] does again and again.
func (w *Watcher) Round(ctx context.Context) error {
	w.rounds.Lock()
	defer w.rounds.Unlock()
	ctx, cancel := context.WithTimeout(ctx, roundDeadline)
	defer cancel()
	w.send(ctx)
	list, err := w.pins.List(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	changed := !reflect.DeepEqual(list, w.current)
	w.current = list
	h := w.host
	w.mu.Unlock()
	upgraded := w.upgrade(ctx, h, changed)
	if err := w.recall(ctx, h); err != nil {
		return err
	}
	if err := w.incidents.report(ctx, w.config.Node, h.Statuses()); err != nil {
		return fmt.Errorf("report the plugins of this node: %w", err)
	}
	if time.Since(w.prunedAt) > time.Hour {
		if err := w.incidents.prune(ctx); err != nil {
			return fmt.Errorf("forget old incidents: %w", err)
		}
		w.prunedAt = time.Now()
	}
	return upgraded
}

// upgrade brings the host to the pins, and tries again after growing pauses
// what did not come up.
func (w *Watcher) upgrade(ctx context.Context, h *host.Host, changed bool) error {
	if changed {
		w.failures, w.retryAt = 0, time.Time{}
	} else if !h.Outdated() || time.Now().Before(w.retryAt) {
		return nil
	}
	err := h.Upgrade(ctx)
	if err == nil {
		w.failures = 0
		return nil
	}
	w.retryAt = time.Now().Add(min(watchEvery<<min(w.failures, 6), retryMost))
	w.failures++
	return err
}

// recall tells the host what happened elsewhere and before, and ends
// quarantines that are over.
func (w *Watcher) recall(ctx context.Context, h *host.Host) error {
	held := w.recorded()
	// In this order: a quarantine that ends in between is still open here, and its
	// exits are forgiven. The other way round they would begin a new one.
	open, err := w.incidents.Quarantines(ctx, "", true, 1000)
	if err != nil {
		return err
	}
	exits, err := w.incidents.exits(ctx, w.config.Node, w.started)
	if err != nil {
		return fmt.Errorf("list exits of plugins: %w", err)
	}
	mine := map[string]Quarantine{}
	for _, q := range open {
		if q.Node == w.config.Node {
			mine[q.Plugin+" "+q.SHA256] = q
		}
	}
	for _, s := range h.Statuses() {
		if s.Shard != "" {
			continue // its history is the host's alone
		}
		key := s.Plugin + " " + s.SHA256
		q, lasts := mine[key]
		delete(mine, key)
		switch {
		case lasts && s.State == host.StateReady && time.Since(s.StartedAt) > aliveFor:
			if err := w.release(ctx, q.Plugin, q.SHA256); err != nil {
				return err
			}
			continue
		case !lasts && held[key] && s.State == host.StateQuarantined && !s.Canary:
			if err := h.Replace(ctx, s.Plugin); err != nil {
				return err
			}
			w.forget(key)
		}
		past := host.History{Plugin: s.Plugin, SHA256: s.SHA256, Until: q.Until, Reason: q.Reason}
		for _, e := range exits {
			if e.Plugin == s.Plugin && e.SHA256 == s.SHA256 {
				past.Exits = append(past.Exits, e.At)
			}
		}
		h.Remember(past)
	}
	for _, q := range mine { // of releases that are not this node's any more
		if err := w.release(ctx, q.Plugin, q.SHA256); err != nil {
			return err
		}
	}
	return nil
}

// release ends a quarantine of this node.
func (w *Watcher) release(ctx context.Context, plugin, sum string) error {
	if err := w.incidents.end(ctx, w.config.Node, plugin, sum); err != nil {
		return fmt.Errorf("end the quarantine of plugin %s: %w", plugin, err)
	}
	w.forget(plugin + " " + sum)
	return nil
}

// recorded are the quarantines that this node recorded. One of them that is not
// open any more was ended by somebody.
func (w *Watcher) recorded() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.held)
}

func (w *Watcher) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, key)
}

// Leave tells that this node runs no plugins any more.
func (w *Watcher) Leave(ctx context.Context) error {
	return w.incidents.report(ctx, w.config.Node, nil)
}
