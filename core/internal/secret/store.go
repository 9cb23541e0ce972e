package secret

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Table is the [Store] over the control plane's tenant_keys.
type Table struct{ db *bun.DB }

// NewTable returns the store in the control plane's database.
func NewTable(db *bun.DB) *Table { return &Table{db} }

// Owners lists the tenants that have keys.
func (t *Table) Owners(ctx context.Context) ([]uuid.UUID, error) {
	var owners []uuid.UUID
	if err := t.db.NewRaw("SELECT DISTINCT tenant_id FROM control.tenant_keys ORDER BY 1").Scan(ctx, &owners); err != nil {
		return nil, fmt.Errorf("list tenants with keys: %w", err)
	}
	return owners, nil
}

// Keys returns a tenant's keys, the newest first.
func (t *Table) Keys(ctx context.Context, tenant uuid.UUID) ([]DataKey, error) {
	rows, err := t.db.QueryContext(ctx,
		"SELECT version, key_id, sealed FROM control.tenant_keys WHERE tenant_id = ? ORDER BY version DESC", tenant)
	if err != nil {
		return nil, fmt.Errorf("select tenant keys: %w", err)
	}
	defer rows.Close()
	var keys []DataKey
	for rows.Next() {
		var k DataKey
		if err := rows.Scan(&k.Version, &k.RingKey, &k.Sealed); err != nil {
			return nil, fmt.Errorf("scan tenant key: %w", err)
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// Add stores a key unless its version is there already.
func (t *Table) Add(ctx context.Context, tenant uuid.UUID, k DataKey) error {
	_, err := t.db.ExecContext(ctx,
		"INSERT INTO control.tenant_keys (tenant_id, version, key_id, sealed) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		tenant, k.Version, k.RingKey, k.Sealed)
	return err
}

// Replace stores a key in place of the one with its version.
func (t *Table) Replace(ctx context.Context, tenant uuid.UUID, k DataKey) error {
	_, err := t.db.ExecContext(ctx,
		"UPDATE control.tenant_keys SET key_id = ?, sealed = ? WHERE tenant_id = ? AND version = ?",
		k.RingKey, k.Sealed, tenant, k.Version)
	return err
}
