package queue

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// sweepLimit bounds what one round of a sweep takes on.
const sweepLimit = 500

// Sweep looks, across the tenants of a database, for rows that something was to
// move on and did not: a process was killed, a job was lost. Each is handed to
// Act in a scope of its tenant.
type Sweep struct {
	// Name is unique; no two nodes look for rows under the same name at once.
	Name string
	// Every is the pause between rounds. The first begins at once: what a sweep
	// is for may have happened while nothing ran.
	Every time.Duration
	// Find selects tenant_id and an id, with $1 as the limit.
	Find string
	// Act moves a row on. It checks again what Find saw, for other nodes may have
	// been quicker.
	Act func(ctx context.Context, s tenant.Scope, id uuid.UUID) error
	// Do takes the place of Find and Act for upkeep that belongs to no tenant.
	Do func(ctx context.Context, s tenant.Sys) error
}

type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func (r *Runner) sweep(ctx context.Context, d tenant.Database, w Sweep) {
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	for {
		if err := r.round(ctx, d, w); err != nil && ctx.Err() == nil {
			r.cfg.Logger.WarnContext(ctx, "sweep failed", "sweep", w.Name, "database", d.Name, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

type found struct {
	tenant tenant.ID
	id     uuid.UUID
}

// round runs under a deadline of its own, with a lock that keeps other nodes
// from the same round.
func (r *Runner) round(ctx context.Context, d tenant.Database, w Sweep) error {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	var rows []found
	err := r.cfg.Pool.System(ctx, d.ID, "sweep "+w.Name, func(ctx context.Context, s tenant.Sys) error {
		free := false
		err := s.Query(ctx, func(scan func(...any) error) error { return scan(&free) },
			"select pg_try_advisory_xact_lock(hashtextextended($1, 0))", "sweep "+w.Name)
		if err != nil || !free {
			return err
		}
		if w.Do != nil {
			return w.Do(ctx, s)
		}
		return s.Query(ctx, func(scan func(...any) error) error {
			var t, i uuid.UUID
			if err := scan(&t, &i); err != nil {
				return err
			}
			rows = append(rows, found{id.From[tenant.Tenant](t), i})
			return nil
		}, w.Find, sweepLimit)
	})
	if err != nil {
		return err
	}
	for _, f := range rows {
		err := r.cfg.Pool.Do(ctx, f.tenant, func(ctx context.Context, s tenant.Scope) error {
			return w.Act(ctx, s, f.id)
		})
		if err != nil {
			r.cfg.Logger.WarnContext(ctx, "sweep could not move a row on",
				"sweep", w.Name, "database", d.Name, "tenant", f.tenant, "id", f.id, "error", err)
		}
	}
	return nil
}
