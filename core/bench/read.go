package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/tenant"
)

// connections of either side, as many as a server opens by default.
const connections = 16

// read measures a contact read by its id in a scope, through the tenant driver,
// row security and Bun, against the same read through bare pgx by a superuser,
// whom row security does not bind.
func (w *world) read(ctx context.Context) (row, error) {
	r := row{
		what: "scoped point read through Bun", unit: "/s", aim: 0.6, rate: true,
		floorIs: "pgx, prepared, without row security",
	}
	if err := w.warm(ctx); err != nil {
		return r, err
	}
	bare, err := postgres.NewPool(ctx, w.adminURL, postgres.PoolConfig{MaxConns: connections})
	if err != nil {
		return r, err
	}
	defer bare.Close()
	pool, err := w.tenants(ctx)
	if err != nil {
		return r, err
	}
	defer pool.Close()
	agencyID, err := uuid.Parse(w.account.tenant)
	if err != nil {
		return r, err
	}
	ids, err := contacts(ctx, bare, agencyID)
	if err != nil {
		return r, err
	}
	byID := tenant.NewHot[contact.Contact](func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("c.id = $2") })
	owner := id.From[tenant.Tenant](agencyID)
	for range w.rounds {
		floor, err := w.reads(ctx, ids, func(ctx context.Context, i uuid.UUID) (string, error) {
			return bareRead(ctx, bare, byID.String(), agencyID, i)
		})
		if err != nil {
			return r, err
		}
		ours, err := w.reads(ctx, ids, func(ctx context.Context, i uuid.UUID) (name string, err error) {
			err = pool.Read(ctx, owner, func(ctx context.Context, s tenant.Scope) error {
				c, err := byID.One(ctx, s, i)
				if err == nil {
					name = c.Name
				}
				return err
			})
			return name, err
		})
		if err != nil {
			return r, err
		}
		r.floor, r.strato = append(r.floor, floor), append(r.strato, ours)
	}
	return r, nil
}

func contacts(ctx context.Context, pool *pgxpool.Pool, agency uuid.UUID) ([]uuid.UUID, error) {
	rows, err := pool.Query(ctx, "select array_agg(id) from crm.contacts where tenant_id = $1", agency)
	if err != nil {
		return nil, fmt.Errorf("list contacts: %w", err)
	}
	defer rows.Close()
	var ids []uuid.UUID
	for rows.Next() {
		var raw [][16]byte
		if err := rows.Scan(&raw); err != nil {
			return nil, fmt.Errorf("list contacts: %w", err)
		}
		for _, b := range raw {
			ids = append(ids, b)
		}
	}
	return ids, rows.Err()
}

// bareRead runs the same text as the scope does.
func bareRead(ctx context.Context, pool *pgxpool.Pool, query string, agency, i uuid.UUID) (string, error) {
	var tenantID, rowID [16]byte
	var owner *[16]byte
	var c contact.Contact
	err := pool.QueryRow(ctx, query, [16]byte(agency), [16]byte(i)).
		Scan(&tenantID, &rowID, &c.Name, &c.NameKey, &owner, &c.Version, &c.CreatedAt, &c.UpdatedAt)
	return c.Name, err
}

// reads has the clients read at random for a while and returns reads a second.
func (w *world) reads(ctx context.Context, ids []uuid.UUID, one func(context.Context, uuid.UUID) (string, error)) (float64, error) {
	deadline := time.Now().Add(w.length)
	var done atomic.Int64
	start := time.Now()
	err := w.together(func(int) error {
		for time.Now().Before(deadline) {
			name, err := one(ctx, ids[rand.IntN(len(ids))])
			if err != nil {
				return err
			}
			if name == "" {
				return fmt.Errorf("a contact without a name was read")
			}
			done.Add(1)
		}
		return nil
	})
	return float64(done.Load()) / time.Since(start).Seconds(), err
}
