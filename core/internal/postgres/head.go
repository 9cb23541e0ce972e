package postgres

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// head is what goes in front of a statement.
type head struct {
	begin  string // not empty: the transaction's BEGIN, held back until now
	set    bool   // the settings
	tenant uuid.UUID
}

// head works out what has to go in front of the next statement.
func (c *Conn) head(ctx context.Context) (head, error) {
	tenant, ok := TenantFrom(ctx)
	if t := c.tx; t != nil {
		switch {
		case t.lost:
			return head{}, errTxLost
		case c.k.scoped && ok && tenant != t.tenant:
			return head{}, ErrOtherTenant
		case t.pending:
			return head{begin: t.begin, set: c.k.setFront != "", tenant: t.tenant}, nil
		}
		return head{tenant: t.tenant}, nil
	}
	if c.k.scoped && !ok {
		return head{}, ErrNoTenant
	}
	if c.pg.IsClosed() {
		return head{}, driver.ErrBadConn
	}
	return head{set: c.k.setFront != "", tenant: tenant}, nil
}

func (h head) begins() bool { return h.begin != "" }
func (h head) empty() bool  { return h.begin == "" && !h.set }

// text is the head as SQL text.
func (h head) text(k *connector) string {
	s := ""
	if h.begin != "" {
		s = h.begin + ";"
	}
	if h.set {
		s += k.setText(h.tenant)
	}
	return s
}

// results counts the results that the head's statements answer.
func (h head) results() int {
	n := 0
	if h.begin != "" {
		n++
	}
	if h.set {
		n++
	}
	return n
}

// batch is the head and a statement with arguments, to be sent together.
func (h head) batch(k *connector, query string, args []driver.NamedValue) *pgx.Batch {
	b := &pgx.Batch{QueuedQueries: make([]*pgx.QueuedQuery, 0, 3)}
	if h.begin != "" {
		b.Queue(h.begin)
	}
	switch {
	case h.set && k.scoped:
		b.Queue(k.setBound, h.tenant.String())
	case h.set:
		b.Queue(k.setBound)
	}
	b.Queue(query, values(args)...)
	return b
}

// skip reads the answers to the head of a batch. It closes the batch when one
// is an error.
func (h head) skip(br pgx.BatchResults) error {
	for range h.results() {
		if _, err := br.Exec(); err != nil {
			return errors.Join(err, ignoreSame(br.Close(), err))
		}
	}
	return nil
}

func values(args []driver.NamedValue) []any {
	vs := make([]any, len(args))
	for i, a := range args {
		vs[i] = a.Value
		// pgx would take the long way, through the text form.
		if id, ok := a.Value.(uuid.UUID); ok {
			vs[i] = [16]byte(id)
		}
	}
	return vs
}

// ignoreSame drops an error that only repeats another.
func ignoreSame(err, other error) error {
	if err == nil || errors.Is(err, other) || errors.Is(other, err) || err.Error() == other.Error() {
		return nil
	}
	return err
}
