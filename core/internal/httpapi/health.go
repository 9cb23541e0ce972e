package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Gate stands in front of the router from the moment the program listens: until
// it is opened it answers that Strato is starting, so that nobody sees a refused
// connection. The zero Gate is closed. It is safe for concurrent use.
type Gate struct{ open atomic.Pointer[http.Handler] }

// Open lets requests through to h.
func (g *Gate) Open(h http.Handler) { g.open.Store(&h) }

// Close answers everything with "maintenance" again. Requests that went through
// are not disturbed.
func (g *Gate) Close() { g.open.Store(nil) }

// ServeHTTP answers /healthz itself, in any state: the process lives.
func (g *Gate) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/healthz" {
		alive(w, req)
		return
	}
	if h := g.open.Load(); h != nil {
		(*h).ServeHTTP(w, req)
		return
	}
	secureHeaders(w.Header(), req.TLS != nil)
	newProblem(ErrMaintenance, uuid.Must(uuid.NewV7()).String()).write(w)
}

// alive answers that the process lives, and nothing about what it needs.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(`{"status":"ok"}` + "\n")) // the client may be gone
}

// Check is something that Strato needs.
type Check struct {
	Name     string
	Required bool                            // whether Strato can serve nothing without it
	Probe    func(ctx context.Context) error // ends within the context's deadline
}

// Readiness answers /readyz: the state of each dependency, and 503 while a
// required one is down or the program is stopping.
type Readiness struct {
	log      *slog.Logger
	checks   []Check
	stopping atomic.Bool
}

// NewReadiness returns the handler for the checks.
func NewReadiness(log *slog.Logger, checks ...Check) *Readiness {
	return &Readiness{log: log, checks: checks}
}

// Stop makes the program unready for good, so that load balancers turn away
// before it stops to listen.
func (r *Readiness) Stop() { r.stopping.Store(true) }

type readiness struct {
	Status string               `json:"status"` // ready, degraded, unready or stopping
	Checks map[string]component `json:"checks"`
}

type component struct {
	Status   string `json:"status"` // up or down
	Required bool   `json:"required"`
}

// ServeHTTP probes all dependencies at once, for two seconds at most. Why one is
// down is for the log alone.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), 2*time.Second)
	defer cancel()
	errs := make([]error, len(r.checks))
	var group sync.WaitGroup
	for i, check := range r.checks {
		group.Go(func() { errs[i] = check.Probe(ctx) })
	}
	group.Wait()

	answer, status := readiness{Status: "ready", Checks: map[string]component{}}, http.StatusOK
	for i, check := range r.checks {
		state := component{Status: "up", Required: check.Required}
		if err := errs[i]; err != nil {
			state.Status = "down"
			r.log.LogAttrs(ctx, slog.LevelWarn, "dependency down", slog.String("dependency", check.Name), slog.String("error", err.Error()))
			if check.Required {
				answer.Status, status = "unready", http.StatusServiceUnavailable
			} else if answer.Status == "ready" {
				answer.Status = "degraded"
			}
		}
		answer.Checks[check.Name] = state
	}
	if r.stopping.Load() {
		answer.Status, status = "stopping", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}

// Alive answers /healthz where there is no [Gate].
func Alive() http.Handler { return http.HandlerFunc(alive) }
