package httpapi

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/tenant"
)

// once is the record of a request that carries an Idempotency-Key. Its nil does
// nothing.
type once struct{ route, key string }

var idempotencyKey = regexp.MustCompile(`^[\x21-\x7e]{1,128}$`)

// begin notes the request's key in the use case's own transaction, so that both
// are there or neither. If the same request has been answered before, it returns
// that answer. A second request that comes while the first is at work waits for
// it at the key.
func begin(ctx context.Context, s tenant.Scope, c *call, route string) (*once, *answer, error) {
	if c.idempotencyKey == "" {
		return nil, nil, nil
	}
	o := &once{route: route, key: c.idempotencyKey}
	hash := fingerprint(c)
	n, err := s.Exec(ctx, `INSERT INTO crm.idempotency (tenant_id, route, key, request_hash, created_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, s.Tenant(), o.route, o.key, hash, s.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("note the idempotency key: %w", err)
	}
	if n == 1 {
		return o, nil, nil
	}
	var earlier struct {
		RequestHash []byte
		Status      int
		Body        []byte
	}
	err = s.Query(ctx, &earlier, `SELECT request_hash, status, body FROM crm.idempotency
		WHERE tenant_id = $1 AND route = $2 AND key = $3`, s.Tenant(), o.route, o.key)
	if errors.Is(err, sql.ErrNoRows) {
		return o, nil, nil // swept in between; run it unnoted
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the idempotency key: %w", err)
	}
	if string(earlier.RequestHash) != string(hash) {
		return nil, nil, ErrKeyReused
	}
	return nil, &answer{status: earlier.Status, body: earlier.Body, replayed: true}, nil
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
