package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// signalWorth is how old a signal may be: nobody types for a minute.
const signalWorth = 30 * time.Second

// Signal shows a customer that somebody read or writes. What cannot be shown, or
// not in time, is left: nothing depends on it.
func (o *Outbox) Signal(ctx context.Context, job *queue.Job[conversation.Signal]) error {
	if time.Since(job.CreatedAt) > signalWorth && job.Args.Of == conversation.SignalTyping {
		return nil
	}
	var to *conversation.Signalled
	err := o.pool.Read(ctx, job.Args.Tenant, func(ctx context.Context, s tenant.Scope) (err error) {
		to, err = conversation.Signalling(ctx, s, job.Args.Conversation)
		return err
	})
	if err != nil || to == nil {
		return err
	}
	live, err := o.directory.Live(ctx, installation.Target{Tenant: job.Args.Tenant, Installation: to.Installation})
	if err != nil || live.State != installation.Active || !o.registry.Signals(live.Plugin) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendDeadline)
	defer cancel()
	req := &pluginv1.SignalRequest{
		Kind: string(job.Args.Of), From: &pluginv1.Address{Kind: to.Account.Kind, Value: to.Account.Value}, ProviderMessageId: to.ExternalID,
	}
	if len(to.To) > 0 {
		req.To = &pluginv1.Address{Kind: to.To[0].Kind, Value: to.To[0].Value}
	}
	resp, err := o.registry.Signal(ctx, live, req)
	if err != nil {
		return fmt.Errorf("signal %s: %w", job.Args.Of, err)
	}
	if f := resp.GetFailure(); f != nil {
		o.log.InfoContext(ctx, "a signal was refused", "tenant", job.Args.Tenant, "plugin", live.Plugin, "kind", job.Args.Of, "reason", f.GetMessage())
	}
	return nil
}
