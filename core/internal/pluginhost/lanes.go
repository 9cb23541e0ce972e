package pluginhost

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
)

// lanes lets what waits for the same key travel together. There is no timer:
// while nothing is under way an item goes at once and alone; under load items
// gather behind the calls that are, and the next takes them all.
type lanes[K comparable, T, R any] struct {
	do   func(key K, items []T) ([]R, error)
	size func(T) int

	mu     sync.Mutex
	open   map[K]*lane[T, R]
	closed bool
	work   sync.WaitGroup
}

type lane[T, R any] struct {
	waiting []*item[T, R]
	calls   int
}

type item[T, R any] struct {
	in   T
	done chan outcome[R] // of capacity 1: nobody may be waiting any more
}

type outcome[R any] struct {
	out R
	err error
}

func newLanes[K comparable, T, R any](do func(K, []T) ([]R, error), size func(T) int) *lanes[K, T, R] {
	return &lanes[K, T, R]{do: do, size: size, open: map[K]*lane[T, R]{}}
}

// submit waits for the item's result until ctx ends. An item that still waits
// for its turn then never leaves, see [NeverLeft]; a call that has begun goes on
// without the caller.
func (l *lanes[K, T, R]) submit(ctx context.Context, key K, in T) (R, error) {
	var none R
	it := &item[T, R]{in: in, done: make(chan outcome[R], 1)}
	if err := l.enqueue(key, it); err != nil {
		return none, err
	}
	select {
	case o := <-it.done:
		return o.out, o.err
	case <-ctx.Done():
		if l.withdraw(key, it) {
			return none, ErrBusy.With(ctx.Err())
		}
		return none, ErrUnavailable.With(&CallError{Code: codes.DeadlineExceeded, cause: ctx.Err()})
	}
}

// withdraw takes an item out of the queue, and reports whether it was still there.
func (l *lanes[K, T, R]) withdraw(key K, it *item[T, R]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.open[key]
	if n == nil {
		return false
	}
	i := slices.Index(n.waiting, it)
	if i >= 0 {
		n.waiting = slices.Delete(n.waiting, i, i+1)
	}
	return i >= 0
}

func (l *lanes[K, T, R]) enqueue(key K, it *item[T, R]) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrUnavailable
	}
	n := l.open[key]
	if n == nil {
		n = &lane[T, R]{}
		l.open[key] = n
	}
	if len(n.waiting) >= laneWaiting {
		return ErrBusy
	}
	n.waiting = append(n.waiting, it)
	if n.calls < laneCalls {
		n.calls++
		l.work.Go(func() { l.drive(key, n) })
	}
	return nil
}

// drive makes calls until nothing waits.
func (l *lanes[K, T, R]) drive(key K, n *lane[T, R]) {
	for {
		batch := l.take(key, n)
		if batch == nil {
			return
		}
		in := make([]T, len(batch))
		for i, it := range batch {
			in[i] = it.in
		}
		out, err := l.do(key, in)
		for i, it := range batch {
			if err != nil {
				it.done <- outcome[R]{err: err}
				continue
			}
			it.done <- outcome[R]{out: out[i]}
		}
	}
}

// take removes the next batch, or ends the caller's turn.
func (l *lanes[K, T, R]) take(key K, n *lane[T, R]) []*item[T, R] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(n.waiting) == 0 {
		n.calls--
		if n.calls == 0 {
			delete(l.open, key)
		}
		return nil
	}
	count, bytes := 0, 0
	for count < len(n.waiting) && count < batchItems {
		bytes += l.size(n.waiting[count].in)
		if count > 0 && bytes > batchBytes {
			break
		}
		count++
	}
	batch := slices.Clone(n.waiting[:count]) // what waits behind may move
	n.waiting = n.waiting[count:]
	return batch
}

func (l *lanes[K, T, R]) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.work.Wait()
}
