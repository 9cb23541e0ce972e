package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// drainDeadline bounds the wait for what was accepted to be processed.
const drainDeadline = 3 * time.Minute

// accept measures webhooks answered 200, which means stored, against single
// inserts of the same rows.
func (w *world) accept(ctx context.Context) (r row, err error) {
	r = row{
		what: "signed webhooks accepted through the plugin", unit: "/s", aim: 0.6, rate: true,
		floorIs: "pgbench: one inbox row and its job in one statement and commit",
	}
	if err := w.warm(ctx); err != nil {
		return r, err
	}
	s, err := w.start(ctx, "api")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	floor, err := w.newFloor(ctx)
	if err != nil {
		return r, err
	}
	for round := range w.rounds {
		if err := w.floorRound(ctx, &r, "accept", floor.accept); err != nil {
			return r, err
		}
		cpu := w.cpu(s)
		n, took, err := w.load(ctx, fmt.Sprintf("accept%d", round), w.length)
		if err != nil {
			return r, err
		}
		r.strato = append(r.strato, float64(n)/took.Seconds())
		r.stratoCPU = append(r.stratoCPU, each(w.cpu(s)-cpu, n))
	}
	return r, w.storedAll(ctx)
}

// process measures messages from the post to the conversation, against single
// transactions of the statements that receiving takes.
func (w *world) process(ctx context.Context) (r row, err error) {
	r = row{
		what: "the same, accepted and processed to the end", unit: "/s", aim: 0.5, rate: true,
		floorIs: "pgbench: the statements of receiving one message, a transaction each",
	}
	if err := w.warm(ctx); err != nil {
		return r, err
	}
	s, err := w.start(ctx, "api,worker")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := w.drain(ctx); err != nil { // of what accept left
		return r, err
	}
	floor, err := w.newFloor(ctx)
	if err != nil {
		return r, err
	}
	for round := range w.rounds {
		if err := w.floorRound(ctx, &r, "receive", floor.receive); err != nil {
			return r, err
		}
		label := fmt.Sprintf("process%d", round)
		start, cpu := time.Now(), w.cpu(s)
		n, _, err := w.load(ctx, label, w.length)
		if err != nil {
			return r, err
		}
		if err := w.drain(ctx); err != nil {
			return r, err
		}
		r.strato = append(r.strato, float64(n)/time.Since(start).Seconds())
		r.stratoCPU = append(r.stratoCPU, each(w.cpu(s)-cpu, n))
		if err := w.storedOnce(ctx, label, n); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (w *world) floorRound(ctx context.Context, r *row, name, script string) error {
	cpu := w.cpu(nil)
	rate, count, err := w.runPgbench(ctx, name, script)
	if err != nil {
		return err
	}
	r.floor = append(r.floor, rate)
	r.floorCPU = append(r.floorCPU, each(w.cpu(nil)-cpu, count))
	return nil
}

// cpu is what PostgreSQL and, unless nil, Strato with its plugins have used.
func (w *world) cpu(s *strato) time.Duration {
	if s == nil {
		return cpuOf(w.server.Pid())
	}
	return cpuOf(w.server.Pid(), s.cmd.Process.Pid)
}

// each is a share of a time in µs.
func each(d time.Duration, n int) float64 { return float64(d.Microseconds()) / float64(max(n, 1)) }

// warm makes the customers: each writes twice, is greeted and handed to a
// person, so that what is measured is a conversation's ordinary message. It is
// done once.
func (w *world) warm(ctx context.Context) (err error) {
	if w.account != nil {
		return nil
	}
	s, err := w.start(ctx, "api,worker")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	w.progress(fmt.Sprintf("%d customers write for the first time", w.customers))
	for turn := range 2 {
		err := w.together(func(n int) error {
			c, err := dial(ctx, w.account)
			if err != nil {
				return err
			}
			defer c.conn.Close()
			for customer := n; customer < w.customers; customer += w.clients {
				if err := c.expect(w.account.message(customer, fmt.Sprintf("wamid.warm%d.%d", turn, customer))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := w.drain(ctx); err != nil {
			return err
		}
	}
	return nil
}

// drain waits until every webhook was taken and every message sent.
func (w *world) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainDeadline)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var busy bool
		err := w.admin.QueryRow(ctx, `select exists (select 1 from crm.inbox where state in ('raw', 'ready'))
			or exists (select 1 from crm.messages where status in ('queued', 'dispatching'))`).Scan(&busy)
		if err != nil {
			return fmt.Errorf("wait for Strato to finish: %w", err)
		}
		if !busy {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for Strato to finish: %w", ctx.Err())
		}
	}
}

// storedAll checks that an answer of 200 meant stored.
func (w *world) storedAll(ctx context.Context) error {
	var lost bool
	err := w.admin.QueryRow(ctx, "select exists (select 1 from crm.inbox where state in ('raw', 'dead'))").Scan(&lost)
	if err == nil && lost {
		err = errors.New("the plugin did not keep up: some webhooks were kept raw")
	}
	return err
}

// storedOnce checks that each accepted message became one message.
func (w *world) storedOnce(ctx context.Context, label string, want int) error {
	var got int
	err := w.admin.QueryRow(ctx, "select count(*) from crm.messages where external_id like $1", "wamid."+label+".%").Scan(&got)
	if err == nil && got != want {
		err = fmt.Errorf("%d messages were accepted and %d are stored", want, got)
	}
	return err
}
