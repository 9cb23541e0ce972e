package ingress

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/pluginv1"
)

const (
	// replayPause is how long raw rows wait before the plugin is tried again.
	replayPause = 3 * time.Second
	// overdueAfter is when a row that still waits is looked after by a sweep: its
	// job was lost, or its plugin is away for longer.
	overdueAfter = 15 * time.Second
	overdueRows  = 100
	// A raw row that the plugin does not get done is tried again after a growing
	// pause and given up after replayMost attempts, or when it was under way in
	// crashMost exits of the process, because that takes all others along.
	retryMin   = 3 * time.Second
	retryMax   = 5 * time.Minute
	replayMost = 100
	crashMost  = 2
	// spareTime is what a job must have left to begin with another row.
	spareTime = 10 * time.Second
)

// retryPause doubles with every attempt.
func retryPause(attempts int) time.Duration {
	return min(retryMin<<min(attempts, 10), retryMax)
}

// rest says what could not be taken.
type rest int

const (
	restNone  rest = iota
	restLater      // rows that are tried again after a pause
	restAway       // rows whose plugin is away
)

// replay hands raw rows to the plugin, in order, and then takes their events.
func (v *Receiver) replay(ctx context.Context, t tenant.ID, rows []stored) (rest, error) {
	var refs []Ref
	left := restNone
	gone := map[string]bool{}
	for _, r := range rows {
		if gone[r.Plugin] {
			continue
		}
		if r.NotBefore.After(time.Now()) || short(ctx) {
			left = max(left, restLater)
			continue
		}
		state, err := v.show(ctx, t, r)
		switch {
		case errors.Is(err, errAway):
			gone[r.Plugin], left = true, restAway
		case err != nil:
			return left, err
		case state == stateReady:
			refs = append(refs, Ref{Tenant: t, ID: r.ID, At: r.ReceivedAt})
		case state == stateRaw:
			left = max(left, restLater)
		}
	}
	if len(refs) == 0 {
		return left, nil
	}
	_, err := v.take(ctx, t, refs)
	return left, err
}

// short reports whether a job's time is nearly over.
func short(ctx context.Context) bool {
	at, ok := ctx.Deadline()
	return ok && time.Until(at) < spareTime
}

// errAway says that a row was not shown to its plugin, and is no fault of the row.
var errAway = errors.New("the plugin is away")

// show hands one raw row to the plugin, stores what came of it, and returns the
// state in which the row is then.
func (v *Receiver) show(ctx context.Context, t tenant.ID, r stored) (string, error) {
	d := &pluginv1.WebhookDelivery{}
	if err := proto.Unmarshal(r.Delivery, d); err != nil {
		return stateDead, v.bury(ctx, t, r, err)
	}
	live, err := v.Directory.Live(ctx, installation.Target{Tenant: t, Installation: id.From[installation.Installation](r.InstallationID)})
	switch {
	case errors.Is(err, installation.ErrNotFound):
		return stateDead, v.bury(ctx, t, r, err)
	case errors.Is(err, tenant.ErrInactive):
		return stateRaw, errAway // until the agency is switched on again
	case err != nil:
		return stateRaw, err
	}
	d.Replay = true
	result, err := v.Registry.ReplayWebhook(ctx, live, d, r.Crashes > 0)
	switch {
	case pluginhost.NeverLeft(err):
		return stateRaw, errAway
	case err != nil:
		return v.again(ctx, t, r, err)
	}
	if f := result.GetFailure(); f != nil {
		why := fmt.Errorf("%s: %s", pluginhost.CodeName(f), f.GetMessage())
		if hopeless(f) {
			return stateDead, v.bury(ctx, t, r, why)
		}
		return v.again(ctx, t, r, why)
	}
	if !result.GetVerified() {
		return stateDead, v.bury(ctx, t, r, ErrUnverified)
	}
	result.Events = ours(ctx, v.Metrics, v.Log, live, d, result.GetEvents())
	raw, err := proto.Marshal(result)
	if err != nil {
		return stateRaw, err
	}
	err = v.Pool.Do(ctx, t, func(ctx context.Context, s tenant.Scope) error {
		n, err := s.Exec(ctx, `
			update crm.inbox set state = 'ready', result = $4, error = ''
			where tenant_id = $1 and id = $2 and received_at = $3 and state = 'raw'`, s.Tenant(), r.ID, r.ReceivedAt, raw)
		if err == nil && n > 0 { // else another job was quicker
			v.Metrics.received(t.UUID, r.Plugin, len(result.GetEvents()))
		}
		return err
	})
	if err != nil {
		return stateRaw, fmt.Errorf("store the result of webhook %s: %w", r.ID, err)
	}
	return stateReady, nil
}

// hopeless reports whether the same webhook would fail the same way again.
func hopeless(f *pluginv1.Failure) bool {
	switch f.GetCode() {
	case pluginv1.FailureCode_FAILURE_CODE_MALFORMED, pluginv1.FailureCode_FAILURE_CODE_INVALID_REQUEST, pluginv1.FailureCode_FAILURE_CODE_UNSUPPORTED:
		return true
	default:
		return false
	}
}

// again puts a raw row off, or gives it up.
func (v *Receiver) again(ctx context.Context, t tenant.ID, r stored, why error) (string, error) {
	crashes := crashOf(why)
	if r.Attempts+1 >= replayMost || r.Crashes+int(crashes) >= crashMost {
		return stateDead, v.bury(ctx, t, r, why)
	}
	err := v.Pool.Do(ctx, t, func(ctx context.Context, s tenant.Scope) error {
		_, err := s.Exec(ctx, `
			update crm.inbox set attempts = attempts + 1, crashes = crashes + $4, not_before = $5, error = $6
			where tenant_id = $1 and id = $2 and received_at = $3 and state = 'raw'`,
			s.Tenant(), r.ID, r.ReceivedAt, crashes, s.Now().Add(retryPause(r.Attempts)), clean(why.Error()))
		return err
	})
	if err != nil {
		return stateRaw, fmt.Errorf("put webhook %s off: %w", r.ID, err)
	}
	return stateRaw, nil
}

// Overdue asks for what waits of an installation past its job's time.
type Overdue struct {
	Tenant       tenant.ID       `json:"tenant"`
	Installation installation.ID `json:"installation"`
}

// Kind names the job.
func (Overdue) Kind() string { return "inbox_overdue" }

// Waiting finds installations with rows whose job was lost, because its process
// was killed, or whose plugin did not answer for a while. One job each looks
// after all rows, however many.
var Waiting = queue.Sweep{
	Name: "inbox waiting", Every: 5 * time.Second,
	Find: `select tenant_id, installation_id from crm.inbox
		where state in ('raw', 'ready') and received_at < now() - interval '15 seconds' and (not_before is null or not_before < now())
		group by tenant_id, installation_id order by min(received_at) limit $1`,
	Act: func(ctx context.Context, s tenant.Scope, i uuid.UUID) error {
		return queue.Insert(ctx, s, Overdue{s.Tenant(), id.From[installation.Installation](i)}, queue.Options{
			Queue: queue.Receive, Once: true, MaxAttempts: 1, // the sweep comes again sooner than a retry
		})
	},
}

// CatchUp takes what waits of an installation, those first that failed least,
// until nothing is left that can be taken now.
func (v *Receiver) CatchUp(ctx context.Context, job *queue.Job[Overdue]) error {
	t := job.Args.Tenant
	for !short(ctx) {
		var refs []Ref
		err := v.Pool.Read(ctx, t, func(ctx context.Context, s tenant.Scope) (err error) {
			refs, err = overdue(ctx, s, job.Args.Installation)
			return err
		})
		if err != nil || len(refs) == 0 {
			return err
		}
		left, err := v.handle(ctx, t, refs)
		if err != nil {
			return fmt.Errorf("take waiting webhooks of tenant %s: %w", t, err)
		}
		if left == restAway {
			return nil // the sweep comes again
		}
	}
	return nil
}

func overdue(ctx context.Context, s tenant.Scope, i installation.ID) ([]Ref, error) {
	rows := []stored{}
	err := s.Query(ctx, &rows, `
		select id, received_at from crm.inbox
		where tenant_id = $1 and installation_id = $2 and state in ('raw', 'ready') and received_at < $3
			and (not_before is null or not_before < $4)
		order by attempts, received_at, id limit $5`,
		s.Tenant(), i, s.Now().Add(-overdueAfter), s.Now(), int32(overdueRows))
	if err != nil {
		return nil, fmt.Errorf("list what waits of installation %s: %w", i, err)
	}
	refs := make([]Ref, len(rows))
	for n, r := range rows {
		refs[n] = Ref{Tenant: s.Tenant(), ID: r.ID, At: r.ReceivedAt}
	}
	return refs, nil
}
