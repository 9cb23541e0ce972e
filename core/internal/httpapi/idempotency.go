package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"time"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/tenant"
)

// takeover is after what time a request that was never answered may be tried
// again: its node must have died.
const takeover = 2 * time.Minute

// once is the record of a request that carries an Idempotency-Key. Its nil does
// nothing.
type once struct{ route, key string }

var idempotencyKey = regexp.MustCompile(`^[\x21-\x7e]{1,128}$`)

// begin notes the request's key. If the same request has been answered before, it
// returns that answer. In the use case's own transaction both are stored or
// neither, and a second request that comes while the first is at work waits for
// it at the key.
func begin(ctx context.Context, s tenant.Scope, c *call, route string) (*once, *answer, error) {
	if c.idempotencyKey == "" {
		return nil, nil, nil
	}
	o := &once{route: route, key: c.idempotencyKey}
	hash := fingerprint(c)
	n, err := s.Exec(ctx, `INSERT INTO crm.idempotency (tenant_id, route, key, request_hash, created_at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_id, route, key) DO UPDATE SET created_at = excluded.created_at
		WHERE idempotency.status = 0 AND idempotency.request_hash = excluded.request_hash AND idempotency.created_at < $6`,
		s.Tenant(), o.route, o.key, hash, s.Now(), s.Now().Add(-takeover))
	if err != nil {
		return nil, nil, fmt.Errorf("note the idempotency key: %w", err)
	}
	if n == 1 {
		return o, nil, nil
	}
	var earlier record
	err = s.Query(ctx, &earlier, `SELECT request_hash, status, body FROM crm.idempotency
		WHERE tenant_id = $1 AND route = $2 AND key = $3`, s.Tenant(), o.route, o.key)
	if err != nil {
		return nil, nil, fmt.Errorf("read the idempotency key: %w", err)
	}
	switch {
	case !bytes.Equal(earlier.RequestHash, hash):
		return nil, nil, ErrKeyReused
	case earlier.Status == 0:
		return nil, nil, ErrKeyBusy.After(time.Second)
	default:
		return nil, &answer{status: earlier.Status, body: earlier.Body, replayed: true}, nil
	}
}

// finish keeps the answer for a repetition.
func (o *once) finish(ctx context.Context, s tenant.Scope, a *answer) error {
	if o == nil {
		return nil
	}
	_, err := s.Exec(ctx, `UPDATE crm.idempotency SET status = $4, body = $5
		WHERE tenant_id = $1 AND route = $2 AND key = $3`, s.Tenant(), o.route, o.key, a.status, a.body)
	if err != nil {
		return fmt.Errorf("keep the idempotent answer: %w", err)
	}
	return nil
}

// record is what is stored of an answered request.
type record struct {
	RequestHash []byte
	Status      int
	Body        []byte
}

// forget lets the request be tried again after it failed.
func (o *once) forget(ctx context.Context, s tenant.Scope) error {
	_, err := s.Exec(ctx, "DELETE FROM crm.idempotency WHERE tenant_id = $1 AND route = $2 AND key = $3", s.Tenant(), o.route, o.key)
	if err != nil {
		return fmt.Errorf("forget the idempotency key: %w", err)
	}
	return nil
}

// apart runs a use case that has no transaction of its own under the request's
// key: noted before, kept or forgotten after.
func (r *Router) apart(ctx context.Context, c *call, route string, f func(context.Context) (*answer, error)) (*answer, error) {
	if c.idempotencyKey == "" {
		return f(ctx)
	}
	var o *once
	var done *answer
	err := r.Pool.Do(ctx, c.actor.Tenant, func(ctx context.Context, s tenant.Scope) (err error) {
		o, done, err = begin(ctx, s, c, route)
		return err
	})
	if err != nil || done != nil {
		return done, err
	}
	a, failed := f(ctx)
	// The client may have gone, but its repetition must find how this ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Deadline)
	defer cancel()
	err = r.Pool.Do(ctx, c.actor.Tenant, func(ctx context.Context, s tenant.Scope) error {
		if failed != nil {
			return o.forget(ctx, s)
		}
		return o.finish(ctx, s, a)
	})
	if err != nil {
		r.Log.LogAttrs(ctx, slog.LevelError, "cannot keep how an idempotent request ended", slog.String("error", err.Error()))
	}
	return a, failed
}

// fingerprint tells requests under one key apart. It includes the user, so that
// a guessed key never shows somebody else's answer.
func fingerprint(c *call) []byte {
	h := sha256.New()
	_, _ = io.WriteString(h, c.actor.User.String()+"\n"+c.target+"\n")
	_, _ = h.Write(c.body)
	return h.Sum(nil)
}

func validKey(key string) error {
	if key == "" || idempotencyKey.MatchString(key) {
		return nil
	}
	return ErrInvalid.In(fault.Header, "/Idempotency-Key", "want 1 to 128 printable characters without spaces")
}
