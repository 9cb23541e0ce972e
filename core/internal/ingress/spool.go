package ingress

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

const (
	// spoolKept is how long what was given up is kept.
	spoolKept = 30 * 24 * time.Hour
	// spoolEvery is the pause between looks at the spool, spoolDeadline what one
	// may take.
	spoolEvery    = 2 * time.Second
	spoolDeadline = 30 * time.Second
	spoolBatch    = 50
)

// spool keeps a provider-level webhook in the control plane until the plugin can
// say whose it is, within what the plugin may have waiting. crashed says that the
// plugin's process ended with it.
func (h *Handler) spool(ctx context.Context, plugin string, req *pluginv1.HttpRequest, crashed bool) error {
	raw, err := proto.Marshal(req)
	if err != nil {
		return fmt.Errorf("encode a webhook: %w", err)
	}
	if err := h.quota.admit(ctx, "plugin "+plugin, pluginSpoolMax, len(raw), func(ctx context.Context) (int64, error) {
		return spooledBytes(ctx, h.Pool, plugin)
	}); err != nil {
		return err
	}
	crashes := 0
	if crashed {
		crashes = 1
	}
	_, err = h.Pool.Control().NewRaw(`
		insert into control.spool (id, plugin, request, received_at, crashes) values (?, ?, ?, ?, ?)`,
		uuid.Must(uuid.NewV7()), plugin, raw, req.GetReceivedAt().AsTime(), crashes).Exec(ctx)
	if err != nil {
		return fmt.Errorf("spool a webhook: %w", err)
	}
	return nil
}

// RunSpool hands on what the control plane keeps, in order, as soon as the
// plugins answer again. It returns when ctx ends. On several nodes a request may
// be handed on twice, which changes nothing.
func (h *Handler) RunSpool(ctx context.Context) {
	tick, prune := time.NewTicker(spoolEvery), time.NewTicker(time.Hour)
	defer tick.Stop()
	defer prune.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.SpoolRound(ctx)
		case <-prune.C:
			_, err := h.Pool.Control().NewRaw(`delete from control.spool where state = 'dead' and received_at < ?`, time.Now().Add(-spoolKept)).Exec(ctx)
			if err != nil && ctx.Err() == nil {
				h.Log.WarnContext(ctx, "webhooks that were given up are kept for longer", "error", err)
			}
		}
	}
}

// SpoolRound does once what [Handler.RunSpool] does again and again: it looks at
// what is kept for each plugin, all beside each other.
func (h *Handler) SpoolRound(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, spoolDeadline)
	defer cancel()
	var wait sync.WaitGroup
	for _, p := range h.Registry.Plugins() {
		if p.Problem != "" {
			continue
		}
		wait.Go(func() {
			if err := h.unspool(ctx, p); err != nil && ctx.Err() == nil {
				h.Log.WarnContext(ctx, "spooled webhooks wait", "plugin", p.Name, "error", err)
			}
		})
	}
	wait.Wait()
}

type spooled struct {
	ID       uuid.UUID
	Plugin   string
	Request  []byte
	Attempts int
	Crashes  int
}

// unspool hands on what is kept for one plugin until nothing is left that can
// go now. One that fails waits for its next turn and does not keep the others.
func (h *Handler) unspool(ctx context.Context, p host.Release) error {
	for {
		rows := []spooled{}
		err := h.Pool.Control().NewRaw(`
			select id, plugin, request, attempts, crashes from control.spool
			where plugin = ? and state = 'waiting' and (not_before is null or not_before < now())
			order by received_at, id limit ?`, p.Name, spoolBatch).Scan(ctx, &rows)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			err := h.handOn(ctx, p, r)
			switch {
			case errors.Is(err, errAway) || ctx.Err() != nil:
				return err
			case err == nil || final(err):
				_, err = h.Pool.Control().NewRaw(`delete from control.spool where id = ?`, r.ID).Exec(ctx)
			default:
				h.Log.WarnContext(ctx, "a spooled webhook waits", "plugin", p.Name, "webhook", r.ID, "error", err)
				err = h.putOff(ctx, r, err)
			}
			if err != nil {
				return fmt.Errorf("settle spooled webhook %s: %w", r.ID, err)
			}
		}
	}
}

// handOn does with a request what would have been done with it at once.
func (h *Handler) handOn(ctx context.Context, p host.Release, r spooled) error {
	req := &pluginv1.HttpRequest{}
	if err := proto.Unmarshal(r.Request, req); err != nil {
		return fmt.Errorf("read it: %w", err)
	}
	routing, err := h.Registry.ReplayRoute(ctx, p.Name, &pluginv1.WebhookRoute{Request: req}, r.Crashes > 0)
	if pluginhost.NeverLeft(err) {
		return errAway
	}
	if err != nil {
		return err
	}
	a, err := h.routed(ctx, p, req, routing)
	if err != nil {
		h.Metrics.count(p.Name, resultOf(err))
		return err
	}
	h.Metrics.count(p.Name, a.result)
	return nil
}

// final reports whether trying again would end the same.
func final(err error) bool {
	return errors.Is(err, ErrUnverified) || errors.Is(err, ErrMalformed) || errors.Is(err, ErrNotFound)
}

// putOff counts an attempt, and an exit of the process, and gives up after the
// last. A request that only could not be stored costs nothing.
func (h *Handler) putOff(ctx context.Context, r spooled, why error) error {
	cost, pause := 1, retryPause(r.Attempts)
	if errors.Is(why, tenant.ErrUnavailable) || errors.Is(why, ErrFull) {
		cost, pause = 0, spoolDeadline
	}
	crashes := crashOf(why)
	state := "waiting"
	if r.Attempts+cost >= replayMost || r.Crashes+int(crashes) >= crashMost {
		state = stateDead
		h.Metrics.count(r.Plugin, "dead")
		h.Log.ErrorContext(ctx, "webhook given up", "plugin", r.Plugin, "webhook", r.ID, "error", why)
	}
	_, err := h.Pool.Control().NewRaw(`
		update control.spool set attempts = attempts + ?, crashes = crashes + ?, not_before = ?, error = ?, state = ? where id = ?`,
		cost, crashes, time.Now().Add(pause), clean(why.Error()), state, r.ID).Exec(ctx)
	return err
}
