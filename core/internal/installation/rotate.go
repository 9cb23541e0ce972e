package installation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/stratohub/strato/core/internal/tenant"
)

// Rotate replaces secrets that the provider replaced, as a new revision; others
// stay. It does nothing, and says so, when another revision than from is in
// force. It returns the revision in force. A form that was loaded before can no
// longer be saved: it would bring the old secrets back.
func (d *Directory) Rotate(ctx context.Context, s tenant.Scope, i ID, from uint64, secrets map[string]string) (uint64, bool, error) {
	var have int64
	err := s.Query(ctx, &have, `select revision from crm.installations where tenant_id = $1 and id = $2 for update`, s.Tenant(), i)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, ErrNotFound
	}
	if err != nil {
		return 0, false, fmt.Errorf("lock installation %s: %w", i, err)
	}
	revision := uint64(have) //nolint:gosec // counts saves
	if revision != from || revision == 0 {
		return revision, false, nil
	}
	for pointer, value := range secrets {
		if err := d.putSecret(ctx, s, i, pointer, value); err != nil {
			return 0, false, err
		}
	}
	_, err = s.Exec(ctx, `
		update crm.installations set revision = revision + 1, version = version + 1, updated_at = $3
		where tenant_id = $1 and id = $2`, s.Tenant(), i, s.Now())
	if err != nil {
		return 0, false, fmt.Errorf("rotate secrets of installation %s: %w", i, err)
	}
	s.Announce(tenant.Change{Type: "installation.updated", ID: i.UUID})
	return revision + 1, true, nil
}
