package ingress

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/stratohub/strato/core/internal/tenant"
)

const (
	// tenantSpoolMax bounds the webhooks of one agency that wait for a plugin, in
	// bytes; pluginSpoolMax those of a plugin whose agency is not known yet.
	tenantSpoolMax = 64 << 20
	pluginSpoolMax = 256 << 20
	// quotaFresh is how long a measure of what waits is good for. Between two,
	// this node adds what it stores itself; others may go past the bound meanwhile.
	quotaFresh = 5 * time.Second
)

// quota keeps what waits within bounds, so that nobody fills the disk while a
// plugin is away. The zero value is ready; it is safe for concurrent use.
type quota struct {
	mu    sync.Mutex
	known map[string]measured
}

type measured struct {
	bytes int64
	at    time.Time
}

// admit counts size bytes for an owner, or fails with ErrFull when they would
// go past most. measure tells what waits in the database.
func (q *quota) admit(ctx context.Context, owner string, most int64, size int, measure func(context.Context) (int64, error)) error {
	if !q.fresh(owner) {
		bytes, err := measure(ctx)
		if err != nil {
			return fmt.Errorf("measure the webhooks that wait: %w", err)
		}
		q.learn(owner, bytes)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.known[owner]
	if m.bytes+int64(size) > most {
		return ErrFull
	}
	m.bytes += int64(size)
	q.known[owner] = m
	return nil
}

func (q *quota) fresh(owner string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	m, ok := q.known[owner]
	return ok && time.Since(m.at) < quotaFresh
}

// learn takes a measure, and forgets those that are good for nothing any more.
func (q *quota) learn(owner string, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known == nil {
		q.known = map[string]measured{}
	}
	maps.DeleteFunc(q.known, func(_ string, m measured) bool { return time.Since(m.at) >= quotaFresh })
	q.known[owner] = measured{bytes, time.Now()}
}

// waitingBytes is what an agency's webhooks take that no plugin has seen.
func waitingBytes(ctx context.Context, pool *tenant.Pool, t tenant.ID) (bytes int64, err error) {
	err = pool.Read(ctx, t, func(ctx context.Context, s tenant.Scope) error {
		return s.Query(ctx, &bytes, `select coalesce(sum(octet_length(delivery)), 0)::bigint from crm.inbox
			where tenant_id = $1 and state = 'raw'`, s.Tenant())
	})
	return bytes, err
}

// spooledBytes is what a plugin's webhooks of nobody known take.
func spooledBytes(ctx context.Context, pool *tenant.Pool, plugin string) (bytes int64, err error) {
	err = pool.Control().NewRaw(`select coalesce(sum(octet_length(request)), 0)::bigint from control.spool
		where plugin = ? and state = 'waiting'`, plugin).Scan(ctx, &bytes)
	return bytes, err
}
