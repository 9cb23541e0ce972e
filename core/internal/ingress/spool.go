package ingress

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/stratohub/strato/sdk/pluginv1"
)

const (
	// spoolMax bounds what is kept for one plugin, whatever sends it.
	spoolMax = 100_000
	// spoolEvery is the pause between looks at the spool.
	spoolEvery = 2 * time.Second
	spoolBatch = 50
	// spoolAttempts ends in a dead letter: a request that the plugin answers
	// with a failure again and again is not tried for ever.
	spoolAttempts = 20
)

// spool keeps a provider-level webhook in the control plane until the plugin can
// say whose it is.
func (h *Handler) spool(ctx context.Context, plugin string, req *pluginv1.HttpRequest) error {
	raw, err := proto.Marshal(req)
	if err != nil {
		return fmt.Errorf("encode a webhook: %w", err)
	}
	res, err := h.Pool.Control().NewRaw(`
		insert into control.spool (id, plugin, request, received_at)
		select ?, ?, ?, ? where (select count(*) from (select 1 from control.spool where plugin = ? and state = 'waiting' limit ?) w) < ?`,
		uuid.Must(uuid.NewV7()), plugin, raw, req.GetReceivedAt().AsTime(), plugin, spoolMax, spoolMax).Exec(ctx)
	if err != nil {
		return fmt.Errorf("spool a webhook: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return ErrFull.With(err)
	}
	return nil
}

// RunSpool hands on what the control plane keeps, in order, as soon as the
// plugins answer again. It returns when ctx ends.
func (h *Handler) RunSpool(ctx context.Context) {
	tick := time.NewTicker(spoolEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, p := range h.Registry.Plugins() {
			if p.Problem != "" {
				continue
			}
			if err := h.unspool(ctx, p.Name); err != nil && ctx.Err() == nil {
				h.Log.WarnContext(ctx, "spooled webhooks wait", "plugin", p.Name, "error", err)
			}
		}
	}
}

type spooled struct {
	ID       uuid.UUID
	Request  []byte
	Attempts int
}

// unspool hands on what is kept for one plugin until it is empty or the plugin
// does not answer.
func (h *Handler) unspool(ctx context.Context, plugin string) error {
	p, err := h.Registry.Plugin(plugin)
	if err != nil {
		return err
	}
	for {
		rows := []spooled{}
		err := h.Pool.Control().NewRaw(`
			select id, request, attempts from control.spool where plugin = ? and state = 'waiting'
			order by received_at, id limit ?`, plugin, spoolBatch).Scan(ctx, &rows)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			req := &pluginv1.HttpRequest{}
			if err := proto.Unmarshal(r.Request, req); err != nil {
				return fmt.Errorf("read spooled webhook %s: %w", r.ID, err)
			}
			routing, err := h.Registry.RouteWebhook(ctx, plugin, &pluginv1.WebhookRoute{Request: req})
			if err != nil {
				return err
			}
			if _, err := h.routed(ctx, p, req, routing); err != nil && !final(err) {
				return errors.Join(err, h.delay(ctx, r, err))
			}
			if _, err := h.Pool.Control().NewRaw(`delete from control.spool where id = ?`, r.ID).Exec(ctx); err != nil {
				return fmt.Errorf("remove spooled webhook %s: %w", r.ID, err)
			}
		}
	}
}

// final reports whether trying again would end the same.
func final(err error) bool {
	return errors.Is(err, ErrUnverified) || errors.Is(err, ErrMalformed) || errors.Is(err, ErrNotFound)
}

// delay counts an attempt and gives up after the last.
func (h *Handler) delay(ctx context.Context, r spooled, why error) error {
	_, err := h.Pool.Control().NewRaw(`
		update control.spool set attempts = attempts + 1, error = ?, state = case when attempts + 1 >= ? then 'dead' else state end
		where id = ?`, why.Error(), spoolAttempts, r.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("delay spooled webhook %s: %w", r.ID, err)
	}
	return nil
}
