package postgres

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// RiverSchema is the schema of River's tables; set it as river.Config.Schema.
const RiverSchema = "river"

// riverLean drops the indexes for searching jobs by what is in them, which
// nothing here does. Every insert pays for them, and they grow
// far beyond their table (riverqueue/river issues 717 and 1296).
const riverLean = `drop index if exists river.river_job_args_index, river.river_job_metadata_index`

// riverGrants gives each role the least that works. strato_app is what InsertTx
// runs as: the insert answers the whole row, and where a job is unique it
// "updates" kind to itself so that the row there comes back. strato_ingest
// inserts without reading anything back.
const riverGrants = `
grant select, insert, update, delete on all tables in schema river to strato_queue;
grant usage, select, update on all sequences in schema river to strato_queue;
grant select, insert, update (kind) on river.river_job to strato_app;
grant usage on sequence river.river_job_id_seq to strato_app;
grant insert (args, kind, max_attempts, queue, priority, state, scheduled_at, metadata, tags)
	on river.river_job to strato_ingest;
grant usage on sequence river.river_job_id_seq to strato_ingest;
grant select on river.river_migration to strato_app;
grant select on all tables in schema river to strato_sys`

func (m *migrator) river() (*rivermigrate.Migrator[pgx.Tx], error) {
	r, err := rivermigrate.New(riverpgxv5.New(m.pool), &rivermigrate.Config{
		Schema: RiverSchema,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare River's migrations: %w", err)
	}
	return r, nil
}

func (m *migrator) riverUp(ctx context.Context) ([]Applied, error) {
	r, err := m.river()
	if err != nil {
		return nil, err
	}
	res, err := r.Migrate(ctx, rivermigrate.DirectionUp, nil)
	var applied []Applied
	if res != nil {
		for _, v := range res.Versions {
			applied = append(applied, Applied{Set: SetTenant, Version: int64(v.Version), Name: "river " + v.Name, Duration: v.Duration})
		}
	}
	if err != nil {
		return applied, fmt.Errorf("migrate River: %w", err)
	}
	if _, err := m.pool.Exec(ctx, riverLean); err != nil {
		return applied, fmt.Errorf("drop River's indexes that nothing reads: %w", err)
	}
	if _, err := m.pool.Exec(ctx, riverGrants); err != nil {
		return applied, fmt.Errorf("grant rights on River's tables: %w", err)
	}
	return applied, nil
}

func (m *migrator) riverDown(ctx context.Context) error {
	r, err := m.river()
	if err != nil {
		return err
	}
	if _, err := r.Migrate(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: -1}); err != nil {
		return fmt.Errorf("take River's migrations back: %w", err)
	}
	return nil
}
