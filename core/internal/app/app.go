// Package app wires Strato together: it builds the parts in order, serves, and
// stops them in the reverse order.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/config"
	"github.com/stratohub/strato/core/internal/httpapi"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
)

const (
	// stopDeadline is what an orderly stop may take: 5 s for requests, 25 s for
	// jobs and plugins together. Then the process ends anyway.
	stopDeadline = 40 * time.Second
	requestsEnd  = 5 * time.Second
)

// Options say what the configuration does not.
type Options struct {
	Version string
	Log     *slog.Logger
	// Progress is told, in a sentence, what takes time. Nil means nobody.
	Progress func(sentence string)
	// Migrate brings the databases to this version's schema before serving.
	// Without it the start is refused when they are not.
	Migrate bool
	// PluginSettings are operator settings on top of the configured ones, by
	// plugin; asked whenever a plugin starts.
	PluginSettings func(plugin string) map[string]string
}

// App is a running Strato.
type App struct {
	Config   config.Config
	Pool     *tenant.Pool
	Accounts *auth.Accounts

	options Options
	log     *slog.Logger
	plugins *plugins
	router  *httpapi.Router
	ready   *httpapi.Readiness
	gate    *httpapi.Gate
	admin   string // URL of the control database's admin role
	roleKey []byte

	api, metrics net.Listener
	undo         []func(context.Context) error
	failed       chan error
}

// New builds Strato and begins to serve. When a part fails, those before it are
// stopped again. Call Run, or Stop.
func New(ctx context.Context, cfg config.Config, o Options) (_ *App, err error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	// Plugins run as the same user: they must not read the core's memory and
	// environment. Where the system cannot, the core works all the same.
	if err := host.Harden(); err != nil {
		o.Log.WarnContext(ctx, "the process could not be shielded from its plugins", "error", err)
	}
	a := &App{Config: cfg, options: o, log: o.Log, gate: &httpapi.Gate{}, failed: make(chan error, 4)}
	defer func() {
		if err != nil {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopDeadline)
			defer cancel()
			err = errors.Join(err, a.Stop(stop))
		}
	}()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"listen", a.listen},
		{"prepare the databases", a.databases},
		{"build the parts", a.build},
	} {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return a, nil
}

// Router is the API, for what looks at its routes.
func (a *App) Router() *httpapi.Router { return a.router }

// URL is where the API listens.
func (a *App) URL() string { return "http://" + a.api.Addr().String() }

// Run serves until ctx ends or a part fails, and then stops everything.
func (a *App) Run(ctx context.Context) error {
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-a.failed:
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopDeadline)
	defer cancel()
	return errors.Join(failed, a.Stop(stop))
}

// Stop ends everything in the reverse order of its start. It may be called once.
func (a *App) Stop(ctx context.Context) error {
	if a.ready != nil {
		a.ready.Stop()
	}
	var all error
	for _, undo := range slices.Backward(a.undo) {
		all = errors.Join(all, undo(ctx))
	}
	a.undo = nil
	return all
}

// later remembers how to stop what was started.
func (a *App) later(f func(context.Context) error) { a.undo = append(a.undo, f) }

// listen takes the ports before anything else is started: a port in use is the
// commonest mistake, and quick to tell.
func (a *App) listen(ctx context.Context) error {
	var err error
	if a.api, err = bind(ctx, a.Config.Addr, "STRATO_ADDR"); err != nil {
		return err
	}
	// With port 0 the system chooses one, and only now is the address known.
	if strings.HasSuffix(a.Config.Addr, ":0") && a.Config.PublicURL == "http://"+a.Config.Addr {
		a.Config.PublicURL = a.URL()
	}
	a.serve(a.api, &http.Server{Handler: a.gate, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute})
	return nil
}

func bind(ctx context.Context, addr, variable string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w. Stop what uses the address, or set %s to another", addr, errors.Unwrap(err), variable)
	}
	return l, nil
}

// serve runs a server until the app stops; then requests get a while to end.
func (a *App) serve(l net.Listener, s *http.Server) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
	}()
	a.later(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, requestsEnd)
		defer cancel()
		err := s.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) { // streams do not end by themselves
			err = s.Close()
		}
		<-done
		return err
	})
}

// run starts a task that lives until the app stops.
func (a *App) run(f func(context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	var task sync.WaitGroup
	task.Go(func() { f(ctx) })
	a.later(func(context.Context) error {
		stop()
		task.Wait()
		return nil
	})
}
