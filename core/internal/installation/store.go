package installation

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stratohub/strato/core/internal/tenant"
)

// listLimit bounds a tenant's installations in a list; a tenant has a handful.
const listLimit = 200

// Create stores a new installation.
func Create(ctx context.Context, s tenant.Scope, n *Installation) error {
	if _, err := s.Insert(n).Exec(ctx); err != nil {
		return fmt.Errorf("create installation of %s: %w", n.Plugin, err)
	}
	return nil
}

// Get returns an installation with what may be shown of its secrets.
func Get(ctx context.Context, s tenant.Scope, i ID) (*Installation, error) {
	n := &Installation{}
	err := s.Select(n).Where("n.id = ?", i).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("get installation %s: %w", i, err)
	}
	list := []Installation{*n}
	if err := hints(ctx, s, list); err != nil {
		return nil, err
	}
	return &list[0], nil
}

// List returns the tenant's installations by plugin and age, at most 200.
func List(ctx context.Context, s tenant.Scope) ([]Installation, error) {
	list := []Installation{}
	if err := s.Select(&list).Order("n.plugin", "n.id").Limit(listLimit).Scan(ctx); err != nil {
		return nil, fmt.Errorf("list installations: %w", err)
	}
	return list, hints(ctx, s, list)
}

// hints fills in what may be shown of secrets.
func hints(ctx context.Context, s tenant.Scope, list []Installation) error {
	at := map[ID]*Installation{}
	ids := make([]ID, len(list))
	for i := range list {
		list[i].Secrets = map[string]SecretInfo{}
		at[list[i].ID], ids[i] = &list[i], list[i].ID
	}
	rows := []secretRow{}
	err := s.Query(ctx, &rows, `
		select installation_id, pointer, hint, updated_at from crm.installation_secrets
		where tenant_id = $1 and installation_id = any($2)`, s.Tenant(), uuids(ids))
	if err != nil {
		return fmt.Errorf("list secrets of %d installations: %w", len(list), err)
	}
	for _, r := range rows {
		at[r.InstallationID].Secrets[r.Pointer] = SecretInfo{Set: true, Hint: r.Hint, UpdatedAt: r.UpdatedAt}
	}
	return nil
}

// SetWebhookURL notes where the provider must post to.
func SetWebhookURL(ctx context.Context, s tenant.Scope, i ID, url string) error {
	_, err := s.Exec(ctx, `update crm.installations set webhook_url = $3, updated_at = $4 where tenant_id = $1 and id = $2`,
		s.Tenant(), i, url, s.Now())
	if err != nil {
		return fmt.Errorf("set webhook URL of installation %s: %w", i, err)
	}
	return nil
}

// SetIsolation gives an installation a process of its own, or takes it back. It
// is the operator's to say. Calls under way end where they are; nodes that are
// not told follow within half a minute.
func SetIsolation(ctx context.Context, s tenant.Scope, i ID, to Isolation) error {
	n, err := s.Exec(ctx, `update crm.installations set isolation = $3, updated_at = $4 where tenant_id = $1 and id = $2`,
		s.Tenant(), i, string(to), s.Now())
	if err != nil {
		return fmt.Errorf("set isolation of installation %s: %w", i, err)
	}
	if n == 0 {
		return ErrNotFound
	}
	return nil
}

// Lock keeps others from changing an installation until the transaction ends. A
// version that is not the newest is refused with ErrStale.
func Lock(ctx context.Context, s tenant.Scope, i ID, version int) error {
	var have int
	err := s.Query(ctx, &have, `select version from crm.installations where tenant_id = $1 and id = $2 for update`, s.Tenant(), i)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("lock installation %s: %w", i, err)
	}
	if have != version {
		return ErrStale
	}
	return nil
}

// Activation is a change of settings that the provider accepted.
type Activation struct {
	Settings        []byte
	SettingsVersion uint32
	Secrets         map[string]string
	Health          Health
	// Version is what the change was based on; another one is refused.
	Version int
}

// Activate stores settings, secrets and health as a new revision and makes the
// installation active.
func (d *Directory) Activate(ctx context.Context, s tenant.Scope, i ID, a Activation) error {
	health, err := json.Marshal(a.Health)
	if err != nil {
		return fmt.Errorf("encode health: %w", err)
	}
	n, err := s.Exec(ctx, `
		update crm.installations set settings = $4, settings_version = $5, health = $6, state = 'active',
			revision = revision + 1, version = version + 1, checked_at = $7, updated_at = $7
		where tenant_id = $1 and id = $2 and version = $3`,
		s.Tenant(), i, a.Version, a.Settings, int32(a.SettingsVersion), health, s.Now())
	if err != nil {
		return fmt.Errorf("activate installation %s: %w", i, err)
	}
	if n == 0 {
		return ErrStale
	}
	if err := d.replaceSecrets(ctx, s, i, a.Secrets); err != nil {
		return err
	}
	s.Announce(tenant.Change{Type: "installation.updated", ID: i.UUID})
	return nil
}

// replaceSecrets stores exactly the given secrets. One that did not change
// keeps its date.
func (d *Directory) replaceSecrets(ctx context.Context, s tenant.Scope, i ID, secrets map[string]string) error {
	have, err := d.openSecrets(ctx, s, i)
	if err != nil {
		return err
	}
	for pointer, value := range secrets {
		if old, ok := have[pointer]; ok && old == value {
			continue
		}
		if err := d.putSecret(ctx, s, i, pointer, value); err != nil {
			return err
		}
	}
	for pointer := range have {
		if _, keep := secrets[pointer]; keep {
			continue
		}
		_, err := s.Exec(ctx, `delete from crm.installation_secrets where tenant_id = $1 and installation_id = $2 and pointer = $3`,
			s.Tenant(), i, pointer)
		if err != nil {
			return fmt.Errorf("delete secret %s: %w", pointer, err)
		}
	}
	return nil
}

// SetHealth notes what was found out about the settings of a revision. A failure
// breaks an active installation, a good check mends a broken one. Settings that
// were replaced meanwhile say nothing about those in force: then nothing changes.
func SetHealth(ctx context.Context, s tenant.Scope, i ID, revision uint64, h Health) error {
	health, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode health: %w", err)
	}
	n, err := s.Exec(ctx, `
		update crm.installations set health = $3, checked_at = $4, state = case
			when state = 'active' and $5 = 'failed' then 'broken'
			when state = 'broken' and $5 = 'ok' then 'active'
			else state end
		where tenant_id = $1 and id = $2 and revision = $6`, s.Tenant(), i, health, s.Now(), h.State, int64(revision)) //nolint:gosec // counts saves
	if err != nil {
		return fmt.Errorf("set health of installation %s: %w", i, err)
	}
	if n == 0 {
		return nil
	}
	s.Announce(tenant.Change{Type: "installation.updated", ID: i.UUID})
	return nil
}

// SetState switches an installation off, or on again.
func SetState(ctx context.Context, s tenant.Scope, i ID, to State) error {
	n, err := s.Exec(ctx, `
		update crm.installations set state = $3, version = version + 1, updated_at = $4
		where tenant_id = $1 and id = $2`, s.Tenant(), i, string(to), s.Now())
	if err != nil {
		return fmt.Errorf("set state of installation %s: %w", i, err)
	}
	if n == 0 {
		return ErrNotFound
	}
	s.Announce(tenant.Change{Type: "installation.updated", ID: i.UUID})
	return nil
}
