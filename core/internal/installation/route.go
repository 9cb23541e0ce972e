package installation

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// tokenBytes is the length of a webhook token, 128 bits.
const tokenBytes = 16

// NewToken gives an installation a webhook token and returns it; only its hash
// is stored. Tokens given before stay valid until they are revoked.
func (d *Directory) NewToken(ctx context.Context, plugin string, t Target) (string, error) {
	raw := make([]byte, tokenBytes)
	_, _ = rand.Read(raw)
	token := base64.RawURLEncoding.EncodeToString(raw)
	hash := sha256.Sum256([]byte(token))
	_, err := d.pool.Control().NewRaw(`
		insert into control.webhook_tokens (token_hash, plugin, tenant_id, installation_id) values (?, ?, ?, ?)`,
		hash[:], plugin, t.Tenant, t.Installation).Exec(ctx)
	if err != nil {
		return "", fmt.Errorf("store webhook token of installation %s: %w", t.Installation, err)
	}
	return token, nil
}

// ByToken finds the installation of a webhook URL, or says ErrNotFound.
func (d *Directory) ByToken(ctx context.Context, plugin, token string) (Target, error) {
	if base64.RawURLEncoding.DecodedLen(len(token)) != tokenBytes {
		return Target{}, ErrNotFound
	}
	hash := sha256.Sum256([]byte(token))
	return d.target(ctx, "token:"+plugin+":"+string(hash[:]), func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.TableExpr("control.webhook_tokens").Where("token_hash = ?", hash[:]).Where("plugin = ?", plugin).
			Where("expires_at is null or expires_at > now()")
	})
}

// ByKey finds the installation that a provider confirmed for a routing key, or
// says ErrNotFound.
func (d *Directory) ByKey(ctx context.Context, plugin string, k Key) (Target, error) {
	return d.target(ctx, "key:"+plugin+":"+k.Kind+":"+k.Value, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.TableExpr("control.routes").Where("plugin = ?", plugin).Where("kind = ?", k.Kind).Where("value = ?", k.Value)
	})
}

func (d *Directory) target(ctx context.Context, key string, build func(*bun.SelectQuery) *bun.SelectQuery) (Target, error) {
	t, err := d.targets.Get(ctx, key, otter.LoaderFunc[string, Target](func(ctx context.Context, _ string) (Target, error) {
		var row struct{ TenantID, InstallationID uuid.UUID }
		err := build(d.pool.Control().NewSelect()).Column("tenant_id", "installation_id").Scan(ctx, &row)
		if errors.Is(err, sql.ErrNoRows) {
			// Remembered as nobody, so that a stranger's guesses cost the
			// database one query each at most.
			return Target{}, nil
		}
		if err != nil {
			return Target{}, fmt.Errorf("find the installation of a webhook: %w", err)
		}
		return Target{id.From[tenant.Tenant](row.TenantID), id.From[Installation](row.InstallationID)}, nil
	}))
	if err != nil {
		return Target{}, err
	}
	if t.Tenant.IsZero() {
		return Target{}, ErrNotFound
	}
	return t, nil
}

// Claim makes keys route to an installation and drops its other keys. Call it
// only with keys that the provider confirmed with the installation's own
// credentials, the main one first. A key of another installation is refused, and
// nothing changes; but two installations of one tenant may share all but their
// main keys, such as two numbers of one business account: the first keeps it.
// Without keys the installation gives up those it has.
func (d *Directory) Claim(ctx context.Context, plugin string, t Target, keys []Key) error {
	err := d.pool.Control().RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(`delete from control.routes where tenant_id = ? and installation_id = ?`, t.Tenant, t.Installation).Exec(ctx)
		if err != nil {
			return fmt.Errorf("drop the routes of installation %s: %w", t.Installation, err)
		}
		for n, k := range keys {
			if err := claim(ctx, tx, plugin, t, k, n > 0); err != nil {
				return err
			}
		}
		return nil
	})
	for _, k := range keys {
		d.targets.Invalidate("key:" + plugin + ":" + k.Kind + ":" + k.Value)
	}
	return err
}

func claim(ctx context.Context, tx bun.Tx, plugin string, t Target, k Key, shared bool) error {
	var owner uuid.UUID
	err := tx.NewRaw(`
		insert into control.routes (plugin, kind, value, tenant_id, installation_id) values (?, ?, ?, ?, ?)
		on conflict (plugin, kind, value) do update set value = excluded.value
		returning installation_id`, plugin, k.Kind, k.Value, t.Tenant, t.Installation).Scan(ctx, &owner)
	if err != nil {
		return fmt.Errorf("route %s %s: %w", k.Kind, k.Value, err)
	}
	if owner == t.Installation.UUID {
		return nil
	}
	if !shared {
		return ErrKeyTaken
	}
	same, err := tx.NewSelect().TableExpr("control.routes").Where("plugin = ?", plugin).Where("kind = ?", k.Kind).
		Where("value = ?", k.Value).Where("tenant_id = ?", t.Tenant).Exists(ctx)
	if err != nil {
		return fmt.Errorf("look for the owner of %s %s: %w", k.Kind, k.Value, err)
	}
	if !same {
		return ErrKeyTaken
	}
	return nil
}

// Keys lists the routing keys that lead to an installation.
func (d *Directory) Keys(ctx context.Context, t Target) ([]Key, error) {
	keys := []Key{}
	err := d.pool.Control().NewSelect().TableExpr("control.routes").Column("kind", "value").
		Where("tenant_id = ?", t.Tenant).Where("installation_id = ?", t.Installation).Order("kind", "value").Limit(100).Scan(ctx, &keys)
	if err != nil {
		return nil, fmt.Errorf("list the routes of installation %s: %w", t.Installation, err)
	}
	return keys, nil
}
