package cache

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Message is what a subscriber gets.
type Message struct {
	Payload []byte
	// Lost is true, and Payload nil, when messages may have been missed: the
	// subscriber must read afresh what it keeps.
	Lost bool
}

// Bus carries messages between nodes, over one connection per node however many
// channels it listens to. Delivery is at most once, in order per sender; after
// an interruption subscribers are told. While Redis is down messages reach this
// node's subscribers only. A Bus is safe for concurrent use.
type Bus struct {
	cache *Cache

	mu       sync.Mutex
	conn     *redis.PubSub // nil while not connected
	channels map[string]*channel
}

type channel struct {
	handlers map[*Subscription]func(Message)
	heard    bool          // Redis has confirmed it on this connection
	ready    chan struct{} // closed when heard
	missed   bool          // messages may have passed while it was not heard
}

// NewBus returns a bus. Nothing arrives until [Bus.Run] runs.
func NewBus(c *Cache) *Bus { return &Bus{cache: c, channels: map[string]*channel{}} }

// Subscription ends with Close.
type Subscription struct {
	bus  *Bus
	name string
}

// Subscribe calls f with each message on a channel, one after the other. f must
// return at once and must not use the bus. Subscribe returns when messages
// arrive, or after a short while if Redis is down.
func (b *Bus) Subscribe(ctx context.Context, k Key, f func(Message)) *Subscription {
	s := &Subscription{b, k.name}
	b.mu.Lock()
	ch := b.channels[k.name]
	if ch == nil {
		ch = &channel{handlers: map[*Subscription]func(Message){}, ready: make(chan struct{})}
		b.channels[k.name] = ch
		if b.conn != nil {
			b.send(b.conn.Subscribe, k.name)
		}
	}
	ch.handlers[s] = f
	ready := ch.ready
	b.mu.Unlock()

	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case <-ready:
		return s
	case <-timer.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !ch.heard {
		ch.missed = true
	}
	return s
}

// Close ends the subscription. f may still be running when it returns, but is
// not called again.
func (s *Subscription) Close() {
	b := s.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	ch := b.channels[s.name]
	if ch == nil {
		return
	}
	delete(ch.handlers, s)
	if len(ch.handlers) == 0 {
		delete(b.channels, s.name)
		if b.conn != nil {
			b.send(b.conn.Unsubscribe, s.name)
		}
	}
}

// send writes a command on the subscribed connection. A failure shows in Run,
// which reads from it.
func (b *Bus) send(f func(context.Context, ...string) error, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	_ = f(ctx, name)
}

// Publish sends a message to all subscribers on all nodes.
func (b *Bus) Publish(ctx context.Context, k Key, payload []byte) {
	err := b.cache.try(ctx, func(ctx context.Context) error { return b.cache.client.Publish(ctx, k.name, payload).Err() })
	b.mu.Lock()
	ch := b.channels[k.name]
	comesBack := err == nil && ch != nil && ch.heard
	b.mu.Unlock()
	if !comesBack {
		b.deliver(k.name, Message{Payload: payload})
	}
}

// Run connects and delivers until the context ends. It tries again for as long
// as Redis is down.
func (b *Bus) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := b.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		b.cache.log.Debug("the bus lost its connection", slog.Any("error", err))
		timer := time.NewTimer(pause / 4)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// silenceLimit is how long a connection may be silent before it is asked for a
// sign of life, and then again until it is given up.
const silenceLimit = 5 * time.Second

func (b *Bus) listen(ctx context.Context) error {
	conn := b.cache.client.Subscribe(ctx)
	defer func() { _ = conn.Close() }() // nothing more is read from it
	// A blocked read does not notice that the context has ended.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.Ping(ctx); err != nil {
		return err
	}
	b.attach(conn)
	defer b.detach()
	asked := false
	for {
		msg, err := conn.ReceiveTimeout(ctx, silenceLimit)
		var timeout net.Error
		switch {
		case err == nil:
			asked = false
		case ctx.Err() == nil && errors.As(err, &timeout) && timeout.Timeout() && !asked:
			asked = true
			if err := conn.Ping(ctx); err != nil {
				return err
			}
			continue
		default:
			return err
		}
		switch m := msg.(type) {
		case *redis.Subscription:
			if m.Kind == "subscribe" {
				b.confirm(m.Channel)
			}
		case *redis.Message:
			b.deliver(m.Channel, Message{Payload: []byte(m.Payload)})
		}
	}
}

// attach subscribes a fresh connection to all channels.
func (b *Bus) attach(conn *redis.PubSub) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conn = conn
	for name := range b.channels {
		b.send(conn.Subscribe, name)
	}
}

func (b *Bus) detach() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conn = nil
	for _, ch := range b.channels {
		if ch.heard {
			ch.heard, ch.ready, ch.missed = false, make(chan struct{}), true
		}
	}
}

// confirm notes that a channel is heard from now on. What passed before is lost,
// and only now can subscribers read afresh without missing more.
func (b *Bus) confirm(name string) {
	b.mu.Lock()
	missed := false
	if ch := b.channels[name]; ch != nil && !ch.heard {
		missed = ch.missed
		ch.heard, ch.missed = true, false
		close(ch.ready)
	}
	b.mu.Unlock()
	if missed {
		b.deliver(name, Message{Lost: true})
	}
}

func (b *Bus) deliver(name string, m Message) {
	b.mu.Lock()
	var handlers []func(Message)
	if ch := b.channels[name]; ch != nil {
		for _, f := range ch.handlers {
			handlers = append(handlers, f)
		}
	}
	b.mu.Unlock()
	for _, f := range handlers {
		f(m)
	}
}
