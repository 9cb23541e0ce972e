package plugintest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/host"
)

// memoryBudget is how long webhooks are repeated.
const memoryBudget = 10 * time.Second

// processReplaced: a call that is under way when its process is replaced ends well.
func processReplaced(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	to, err := w.meet(ctx, a)
	if err != nil {
		return err
	}
	before, err := w.host.Status(w.manifest.ID)
	if err != nil {
		return err
	}
	hold := w.provider.hold()
	w.provider.mark()
	done := make(chan error, 1)
	go func() {
		resp, err := w.send(ctx, a, to, "kit:replaced", w.Contents["text"])
		if err == nil && resp.GetFailure() != nil {
			err = fmt.Errorf("%s: %s", resp.GetFailure().GetCode(), resp.GetFailure().GetMessage())
		}
		done <- err
	}()
	if err := w.reached(ctx, done); err != nil {
		hold()
		return err
	}
	err = w.host.Replace(ctx, w.manifest.ID)
	hold()
	if err != nil {
		return fmt.Errorf("replace the process: %w", errors.Join(err, <-done))
	}
	if err := <-done; err != nil {
		return fmt.Errorf("a call that was under way when the process was replaced: %w", err)
	}
	after, err := w.host.Status(w.manifest.ID)
	if err != nil {
		return err
	}
	if after.PID == before.PID {
		return errors.New("the process is the same as before")
	}
	if _, err := w.send(ctx, a, to, "kit:replaced 2", w.Contents["text"]); err != nil {
		return fmt.Errorf("the fresh process does not send: %w", err)
	}
	return nil
}

// processMemory: many webhooks and messages do not take the process beyond the
// memory of its manifest.
func processMemory(ctx context.Context, w *world) error {
	a, r, err := w.heard(ctx)
	if err != nil {
		return err
	}
	to, err := w.meet(ctx, a)
	if err != nil {
		return err
	}
	// A plugin that asks the provider of each webhook may keep to a limit of it.
	enough := time.Now().Add(memoryBudget)
	for n := 0; n < 500 && time.Now().Before(enough); n++ {
		if _, err := w.handle(ctx, a, r, nil); err != nil {
			return err
		}
	}
	for n := range 50 {
		if _, err := w.send(ctx, a, to, fmt.Sprintf("kit:memory %d", n), sdk.Text{Body: strings.Repeat("é", 500)}); err != nil {
			return err
		}
	}
	s, err := w.host.Status(w.manifest.ID)
	if err != nil {
		return err
	}
	if s.State != host.StateReady {
		return fmt.Errorf("the plugin is %s", s.State)
	}
	if limit := int64(w.manifest.MemoryMiB) << 20; s.RSS > limit {
		return fmt.Errorf("the process takes %d MiB, the manifest allows %d", s.RSS>>20, w.manifest.MemoryMiB)
	}
	return nil
}
