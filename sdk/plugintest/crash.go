package plugintest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

const (
	// startMost is what a process gets until it answers, on a machine with
	// nothing else to do; the best of several counts.
	startMost = 2 * time.Second
	// recoverMost is what the host and a fresh process get after one that ended.
	recoverMost = 20 * time.Second
	// leakSends are made before goroutines are counted, and leakMost more than at
	// first may be left: connections that are kept have some.
	leakSends = 100
	leakMost  = 20
)

// brisk makes the host notice within a second what it would within a minute.
var brisk = host.Timing{HealthEvery: 100 * time.Millisecond, HealthDeadline: 500 * time.Millisecond, HealthMisses: 2,
	BackoffMin: 10 * time.Millisecond, BackoffMax: 50 * time.Millisecond}

// met is a person who can be answered.
func (w *world) met(ctx context.Context) (*account, sdk.InboundMessage, error) {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return nil, sdk.InboundMessage{}, err
	}
	m, err := w.meet(ctx, a)
	return a, m, err
}

// recovers waits until a process other than pid sends.
func (w *world) recovers(ctx context.Context, a *account, to sdk.InboundMessage, pid int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	enough := time.After(recoverMost)
	for n := 0; ; n++ {
		resp, err := w.send(ctx, a, to, fmt.Sprintf("kit:again %d", n), w.Contents["text"])
		s, known := w.host.Status(w.manifest.ID)
		if err == nil && resp.GetFailure() == nil && known == nil && s.PID != pid {
			return nil
		}
		select {
		case <-tick.C:
		case <-enough:
			return fmt.Errorf("no other process sends: %w (%s)", err, s.Reason)
		}
	}
}

// processHung: a process that does not answer any more is killed, and another
// takes its place.
func processHung(ctx context.Context, w *world) error {
	a, to, err := w.met(ctx)
	if err != nil {
		return err
	}
	s, err := w.host.Status(w.manifest.ID)
	if err != nil {
		return err
	}
	if err := syscall.Kill(s.PID, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop the process: %w", err)
	}
	return w.recovers(ctx, a, to, s.PID)
}

// processCrash: of a process that crashes the call under way ends, its last words
// are kept without a secret in them, and another takes its place.
func processCrash(ctx context.Context, w *world) error {
	a, to, err := w.met(ctx)
	if err != nil {
		return err
	}
	s, err := w.host.Status(w.manifest.ID)
	if err != nil {
		return err
	}
	w.provider.set(w.provider.hang(make(chan struct{}, 1)))
	w.provider.mark()
	done := make(chan error, 1)
	go func() {
		_, err := w.send(ctx, a, to, "kit:crash", w.Contents["text"])
		done <- err
	}()
	if err := w.reached(ctx, done); err != nil {
		return err
	}
	// It makes the Go runtime write all stacks and exit, as a panic does.
	if err := syscall.Kill(s.PID, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("crash the process: %w", err)
	}
	select {
	case err := <-done:
		if grpcstatus.Code(errors.Unwrap(err)) != codes.Unavailable && grpcstatus.Code(err) != codes.Unavailable {
			return fmt.Errorf("a call whose process crashed ends with %w", err)
		}
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(s.PID, syscall.SIGKILL) // it does not listen; the world must end
		return errors.New("the process does not crash of what crashes every Go program: it must not take SIGQUIT")
	}
	w.provider.set(nil)
	if err := w.recovers(ctx, a, to, s.PID); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.incidents) == 0 {
		return errors.New("there is no incident of a process that crashed")
	}
	told := strings.Join(w.incidents[0].Stderr, "\n")
	if !strings.Contains(told, "goroutine ") {
		return errors.New("the incident has no stack")
	}
	for _, secret := range a.secrets() {
		if strings.Contains(told, secret) {
			return errors.New("the last words of a process that crashed tell a secret")
		}
	}
	return nil
}

var goroutinesNow = regexp.MustCompile(`(?m)^goroutines (\d+)$`)

// goroutines asks the plugin how many it has.
func (w *world) goroutines(ctx context.Context) (int, error) {
	var n int
	err := w.call(ctx, func(c *host.Clients) error {
		r, err := c.Provider.CollectMetrics(ctx, &pluginv1.CollectMetricsRequest{})
		if err != nil {
			return fmt.Errorf("collect metrics: %w", err)
		}
		found := goroutinesNow.FindSubmatch(r.GetPrometheusText())
		if found == nil {
			return errors.New("the metrics have no goroutines: build the plugin with the kit's version of the SDK")
		}
		n, err = strconv.Atoi(string(found[1]))
		return err
	})
	return n, err
}

// processLeak: after many calls and changes of settings there are as many
// goroutines as before.
func processLeak(ctx context.Context, w *world) error {
	a, to, err := w.met(ctx)
	if err != nil {
		return err
	}
	if _, err := w.send(ctx, a, to, "kit:leak", w.Contents["text"]); err != nil {
		return err
	}
	before, err := w.goroutines(ctx)
	if err != nil {
		return err
	}
	for n := range leakSends {
		a.installation.Revision++
		if _, err := w.send(ctx, a, to, fmt.Sprintf("kit:leak %d", n), w.Contents["text"]); err != nil {
			return err
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	enough := time.After(5 * time.Second)
	for {
		after, err := w.goroutines(ctx)
		if err != nil || after <= before+leakMost {
			return err
		}
		select {
		case <-tick.C:
		case <-enough:
			return fmt.Errorf("%d calls under as many revisions left %d goroutines, there were %d: one is started that nothing ends", leakSends, after, before)
		}
	}
}

// processStart: a process is there soon after somebody needs it.
func processStart(ctx context.Context, w *world) error {
	best := time.Hour
	for range 3 {
		if err := w.host.Park(ctx, w.manifest.ID); err != nil {
			return err
		}
		begun := time.Now()
		if _, err := w.goroutines(ctx); err != nil {
			return err
		}
		if best = min(best, time.Since(begun)); best < startMost {
			return nil
		}
	}
	return fmt.Errorf("the process needs %s until it answers: webhooks wait that long", best.Round(time.Millisecond))
}
