// Package outbox gives queued messages to providers. It claims a message in one
// transaction, calls the plugin with none open, and records the outcome in
// another; so a crash in between leaves a message of which it is known that
// nobody knows whether it went.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/telemetry"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/pluginv1"
)

const (
	// sendDeadline is what one attempt may take, provider included.
	sendDeadline = 20 * time.Second
	// recordDeadline is what writing the outcome down may take. It is not cut
	// short by the end of the job: the message has gone.
	recordDeadline = 30 * time.Second
	recordPause    = 50 * time.Millisecond
	// A job sends so many messages of one conversation, and begins none after so
	// long: with the attempt under way it ends within what a stop waits.
	perJob  = 20
	jobTime = 4 * time.Second
	// maxAttempts of a message whose failures are temporary.
	maxAttempts = 8
	backoffMin  = 2 * time.Second
	backoffMax  = 15 * time.Minute
	// pausedFor is how long a message waits while its installation is paused or
	// its plugin is away, before it is looked at again.
	pausedFor = 15 * time.Second
	// quotaPause is how long a message waits when the account has nothing left.
	quotaPause = time.Hour
	// longestPause bounds what a provider can ask for.
	longestPause = 24 * time.Hour
)

// Outbox sends messages. Its Work is safe for concurrent use.
type Outbox struct {
	pool      *tenant.Pool
	directory *installation.Directory
	registry  *pluginhost.Registry
	// changed tells all nodes to forget an installation.
	changed func(context.Context, installation.Target)
	log     *slog.Logger
	sent    *telemetry.Counter
	share   *share
}

// New returns an outbox and registers its metrics.
func New(pool *tenant.Pool, d *installation.Directory, r *pluginhost.Registry, changed func(context.Context, installation.Target), m *telemetry.Metrics, log *slog.Logger) *Outbox {
	return &Outbox{
		pool: pool, directory: d, registry: r, changed: changed, log: log, share: newShare(tenantWorkers),
		sent: m.Tenants.NewCounter(m.Registry, prometheus.CounterOpts{
			Name: "strato_tenant_sends_total", Help: "Attempts to send a message, by tenant, plugin and outcome: sent, postponed, failed, unknown.",
		}, "plugin", "outcome"),
	}
}

// Work sends what waits in a conversation, one message after another. While its
// tenant has as many workers as it may, it lets other tenants' jobs go first.
func (o *Outbox) Work(ctx context.Context, job *queue.Job[conversation.Deliver]) error {
	leave, ok := o.share.enter(job.Args.Tenant)
	if !ok {
		return queue.Snooze(behind + time.Duration(rand.Int64N(int64(behind)))) //nolint:gosec // spreads load
	}
	defer leave()
	began := time.Now()
	for range perJob {
		more, err := o.next(ctx, job.Args.Tenant, job.Args.Conversation)
		if err != nil || !more {
			return err
		}
		if time.Since(began) > jobTime {
			break
		}
	}
	return queue.Snooze(0) // behind what waits by now
}

// next sends the oldest message that may go, and reports whether there was one.
func (o *Outbox) next(ctx context.Context, t tenant.ID, i conversation.ID) (bool, error) {
	var d *conversation.Dispatch
	err := o.pool.Do(ctx, t, func(ctx context.Context, s tenant.Scope) (err error) {
		d, err = conversation.Claim(ctx, s, i)
		return err
	})
	if errors.Is(err, conversation.ErrNotFound) {
		return false, nil
	}
	if err != nil || d == nil {
		return false, err
	}
	then := o.attempt(ctx, t, d)
	o.sent.Add(t.UUID, 1, then.plugin, then.outcome)
	return then.outcome != postponed, o.record(ctx, t, then.record)
}

// record writes an outcome down, again and again while the database is away or
// another transaction is in the way: what is not written is not known.
func (o *Outbox) record(ctx context.Context, t tenant.ID, write func(context.Context, tenant.Scope) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordDeadline)
	defer cancel()
	for pause := recordPause; ; pause *= 2 {
		err := o.pool.Do(ctx, t, write)
		if err == nil || !postgres.IsRetryable(err) && !postgres.IsUnavailable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(min(pause, 2*time.Second)):
		}
	}
}

// The outcomes of an attempt.
const (
	sent      = "sent"
	postponed = "postponed"
	failed    = "failed"
	unknown   = "unknown"
)

// ending is what to write down after an attempt.
type ending struct {
	plugin, outcome string
	record          func(context.Context, tenant.Scope) error
}

// attempt calls the plugin once.
func (o *Outbox) attempt(ctx context.Context, t tenant.ID, d *conversation.Dispatch) ending {
	ctx, cancel := context.WithTimeout(ctx, sendDeadline)
	defer cancel()
	live, err := o.directory.Live(ctx, installation.Target{Tenant: t, Installation: d.Installation})
	if err != nil {
		return o.postpone(d, "", pausedFor, false)
	}
	if live.State != installation.Active {
		return o.postpone(d, live.Plugin, pausedFor, false)
	}
	resp, err := o.registry.Send(ctx, live, request(d, o.registry.ContentKinds(live.Plugin)))
	if err != nil {
		if errors.Is(err, pluginhost.ErrBusy) { // as it should be, and counted in the metrics
			return o.postpone(d, live.Plugin, fault.Of(err).RetryAfter, false)
		}
		o.log.WarnContext(ctx, "send got no answer", "tenant", t, "plugin", live.Plugin, "message", d.Message.ID, "error", err)
		if pluginhost.NeverLeft(err) {
			return o.postpone(d, live.Plugin, pausedFor, false)
		}
		if pluginhost.Crashed(err) {
			return o.lose(d, live.Plugin, conversation.FailureCrashed)
		}
		return o.lose(d, live.Plugin, "")
	}
	if f := resp.GetFailure(); f != nil && len(resp.GetReceipts()) == 0 {
		return o.refused(t, live, d, f)
	}
	return o.accept(d, live.Plugin, resp.GetReceipts())
}

// request is a message as it travels to a plugin that has certain kinds of content.
func request(d *conversation.Dispatch, kinds []string) *pluginv1.SendRequest {
	req := &pluginv1.SendRequest{
		IdempotencyKey: d.Message.ID.String(), Attempt: uint32(d.Message.Attempts),
		From:             &pluginv1.Address{Kind: d.Account.Kind, Value: d.Account.Value},
		Content:          content(&d.Message, kinds),
		ReplyToMessageId: d.Message.ReplyTo,
	}
	if d.Message.Content != nil {
		req.Hints = d.Message.Content.Hints
	}
	for _, a := range d.To {
		req.To = append(req.To, &pluginv1.Address{Kind: a.Kind, Value: a.Value})
	}
	if !d.WindowExpiresAt.IsZero() {
		req.WindowExpiresAt = timestamppb.New(d.WindowExpiresAt)
	}
	return req
}

func (o *Outbox) accept(d *conversation.Dispatch, plugin string, receipts []*pluginv1.Receipt) ending {
	var external string
	var recipient []contact.Address
	for _, r := range receipts {
		if external == "" {
			external = r.GetProviderMessageId()
		}
		for _, a := range r.GetRecipient() {
			recipient = append(recipient, contact.Address{Kind: a.GetKind(), Value: a.GetValue()})
		}
	}
	return ending{plugin, sent, func(ctx context.Context, s tenant.Scope) error {
		return conversation.Accepted(ctx, s, d.Message.ID, external, recipient)
	}}
}

func (o *Outbox) postpone(d *conversation.Dispatch, plugin string, pause time.Duration, counts bool) ending {
	return ending{plugin, postponed, func(ctx context.Context, s tenant.Scope) error {
		return conversation.Postponed(ctx, s, d.Message.ID, s.Now().Add(pause), counts)
	}}
}

func (o *Outbox) lose(d *conversation.Dispatch, plugin, why string) ending {
	return ending{plugin, unknown, func(ctx context.Context, s tenant.Scope) error {
		return conversation.Lost(ctx, s, d.Message.ID, why)
	}}
}

func (o *Outbox) fail(d *conversation.Dispatch, plugin string, f *pluginv1.Failure) ending {
	return ending{plugin, failed, func(ctx context.Context, s tenant.Scope) error {
		return conversation.Refused(ctx, s, d.Message.ID, conversation.Refusal{
			Code: pluginhost.CodeName(f), Detail: f.GetMessage(), ProviderCode: f.GetProviderCode(),
		})
	}}
}

// refused carries out what a failure means for the message.
func (o *Outbox) refused(t tenant.ID, live *installation.Live, d *conversation.Dispatch, f *pluginv1.Failure) ending {
	v := judge(f, d.Message.Attempts)
	switch v.outcome {
	case unknown:
		return o.lose(d, live.Plugin, "")
	case postponed:
		return o.postpone(d, live.Plugin, v.pause, v.counts)
	}
	if v.disconnects {
		return o.disconnected(t, live, d, f)
	}
	return o.fail(d, live.Plugin, f)
}

// disconnected fails the message and pauses the installation: every other
// message would be refused the same way.
func (o *Outbox) disconnected(t tenant.ID, live *installation.Live, d *conversation.Dispatch, f *pluginv1.Failure) ending {
	e := o.fail(d, live.Plugin, f)
	record := e.record
	e.record = func(ctx context.Context, s tenant.Scope) error {
		if err := record(ctx, s); err != nil {
			return err
		}
		s.AfterCommit(func(ctx context.Context) { o.changed(ctx, installation.Target{Tenant: t, Installation: live.ID}) })
		return installation.SetHealth(ctx, s, live.ID, live.Revision, installation.Health{State: "failed", Checks: []installation.Check{{
			Name: "send", State: "failed", Message: f.GetMessage(), Code: pluginhost.CodeName(f),
		}}})
	}
	return e
}
