package outbox

import (
	"sync"
	"time"

	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
)

const (
	// tenantWorkers is how many of a node's workers send for one tenant at once:
	// half, so that whoever has much to send never has them all.
	tenantWorkers = queue.SendWorkers / 2
	// behind is how long a job at least lets others go first.
	behind = 500 * time.Millisecond
)

// share counts the workers of each tenant.
type share struct {
	most int

	mu   sync.Mutex
	busy map[tenant.ID]int
}

func newShare(most int) *share { return &share{most: most, busy: map[tenant.ID]int{}} }

// enter takes a worker for a tenant, if it may have one more. The function gives
// it back.
func (s *share) enter(t tenant.ID) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[t] >= s.most {
		return nil, false
	}
	s.busy[t]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.busy[t]--; s.busy[t] == 0 {
			delete(s.busy, t)
		}
	}, true
}
