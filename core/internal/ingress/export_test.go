package ingress

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// Limits of the inbox.
const (
	WaitingMax     = waitingMax
	ReplayMost     = replayMost
	TenantSpoolMax = tenantSpoolMax
)

// Row is an inbox row to be.
type Row struct {
	Target installation.Target
	Plugin string
	// At is when it came; zero is now.
	At       time.Time
	Delivery *pluginv1.WebhookDelivery
	// Result is nil for a raw row.
	Result *pluginv1.WebhookResult
	// State overrides the one that follows from Result.
	State string
}

func (r Row) row() (row, Ref) {
	out := row{
		tenant: r.Target.Tenant.UUID, id: uuid.Must(uuid.NewV7()), installation: r.Target.Installation.UUID,
		receivedAt: r.At.UTC().Truncate(time.Microsecond), plugin: r.Plugin, state: stateRaw,
	}
	if r.At.IsZero() {
		out.receivedAt = time.Now().UTC().Truncate(time.Microsecond)
	}
	out.delivery, _ = proto.Marshal(r.Delivery)
	if out.delivery == nil {
		out.delivery = []byte{}
	}
	if r.Result != nil {
		out.state = stateReady
		out.result, _ = proto.Marshal(r.Result)
	}
	if r.State != "" {
		out.state = r.State
	}
	return out, Ref{r.Target.Tenant, out.id, out.receivedAt}
}

// Store is store.
func (b *Inbox) Store(ctx context.Context, r Row) (Ref, error) {
	in, ref := r.row()
	return ref, b.store(ctx, r.Target.Tenant, in)
}

// StoreTogether commits rows as one group, and returns the error of each.
func (b *Inbox) StoreTogether(ctx context.Context, t tenant.ID, rows ...Row) ([]Ref, []error) {
	database, err := b.pool.DatabaseOf(ctx, t)
	if err != nil {
		return nil, []error{err}
	}
	pool, err := b.pool.Ingest(ctx, database)
	if err != nil {
		return nil, []error{err}
	}
	group := make([]*entry, len(rows))
	refs, errs := make([]Ref, len(rows)), make([]error, len(rows))
	for n, r := range rows {
		in, ref := r.row()
		group[n], refs[n] = &entry{row: in, done: make(chan error, 1)}, ref
	}
	(&writer{pool: pool, log: b.log}).commit(group)
	for n, e := range group {
		errs[n] = <-e.done
	}
	return refs, errs
}

// Offer puts a row before a database that e stands for, and returns where its
// outcome comes, or nil if there was no room.
func (b *Inbox) Offer(e execer) <-chan error {
	one := &entry{done: make(chan error, 1)}
	if !b.enqueue(tenant.DatabaseID{}, e, one) {
		return nil
	}
	return one.done
}

// ForgetQuota has what waits be measured anew.
func (h *Handler) ForgetQuota() {
	h.quota.mu.Lock()
	defer h.quota.mu.Unlock()
	h.quota.known = nil
}

// Spool is spool.
func (h *Handler) Spool(ctx context.Context, plugin string, req *pluginv1.HttpRequest) error {
	return h.spool(ctx, plugin, req, false)
}

// Ours is ours.
func Ours(ctx context.Context, m *Metrics, log *slog.Logger, live *installation.Live, d *pluginv1.WebhookDelivery, events []*pluginv1.Event) []*pluginv1.Event {
	return ours(ctx, m, log, live, d, events)
}

// Fill takes the room of large bodies, until free is called.
func (h *Handler) Fill() (free func()) {
	h.large.Add(largeMax)
	return func() { h.large.Add(-largeMax) }
}

// Kept is what the metrics tell of what waits for a plugin: how many, and the age
// of the oldest in seconds.
func (m *Metrics) Kept(plugin string) (depth, oldest float64) {
	read := func(v *prometheus.GaugeVec) float64 {
		var out dto.Metric
		if err := v.WithLabelValues(plugin).Write(&out); err != nil {
			panic(err)
		}
		return out.GetGauge().GetValue()
	}
	return read(m.depth), read(m.oldest)
}
