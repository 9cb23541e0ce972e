package host

import "sync"

// notices calls back in order, one at a time, from a goroutine of its own, so
// that a slow listener never holds up supervision.
type notices struct {
	mu    sync.Mutex
	more  sync.Cond
	queue []func()
	ended bool
	done  chan struct{}
}

func newNotices() *notices {
	n := &notices{done: make(chan struct{})}
	n.more.L = &n.mu
	go n.run()
	return n
}

// add puts f in the queue.
func (n *notices) add(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = append(n.queue, f)
	n.more.Signal()
}

// stop returns when all that was added has run.
func (n *notices) stop() {
	n.mu.Lock()
	n.ended = true
	n.more.Signal()
	n.mu.Unlock()
	<-n.done
}

func (n *notices) run() {
	defer close(n.done)
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		for len(n.queue) == 0 {
			if n.ended {
				return
			}
			n.more.Wait()
		}
		f := n.queue[0]
		n.queue = n.queue[1:]
		n.mu.Unlock()
		f()
		n.mu.Lock()
	}
}
