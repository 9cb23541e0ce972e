package pluginhost

import "context"

// Lanes are lanes of numbers.
type Lanes = lanes[string, int, int]

// NewLanes makes them.
func NewLanes(do func(string, []int) ([]int, error), size func(int) int) *Lanes {
	return newLanes(do, size)
}

// Submit is submit.
func (l *lanes[K, T, R]) Submit(ctx context.Context, key K, in T) (R, error) {
	return l.submit(ctx, key, in)
}

// Close is close.
func (l *lanes[K, T, R]) Close() { l.close() }

// Waiting counts what waits for its turn, and the keys that are open.
func (l *lanes[K, T, R]) Waiting(key K) (items, keys int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.open[key]; n != nil {
		items = len(n.waiting)
	}
	return items, len(l.open)
}

// Limits of lanes.
const (
	BatchItems  = batchItems
	BatchBytes  = batchBytes
	LaneCalls   = laneCalls
	LaneWaiting = laneWaiting
)
