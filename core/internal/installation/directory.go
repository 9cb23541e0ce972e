package installation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/stratohub/strato/core/internal/secret"
	"github.com/stratohub/strato/core/internal/tenant"
)

// liveTTL bounds how long a node may act on old settings when the word that
// they changed got lost.
const liveTTL = 30 * time.Second

// Directory opens installations for calls and finds them by webhook. It
// remembers what it read for up to 30 seconds and is safe for concurrent use.
type Directory struct {
	pool    *tenant.Pool
	box     *secret.Box
	live    *otter.Cache[Target, *Live]
	targets *otter.Cache[string, Target]
}

// NewDirectory returns a directory over the tenants' databases.
func NewDirectory(pool *tenant.Pool, box *secret.Box) *Directory {
	return &Directory{
		pool: pool, box: box,
		live: otter.Must(&otter.Options[Target, *Live]{
			MaximumSize: 50_000, ExpiryCalculator: otter.ExpiryWriting[Target, *Live](liveTTL),
		}),
		targets: otter.Must(&otter.Options[string, Target]{
			MaximumSize: 200_000, ExpiryCalculator: otter.ExpiryWriting[string, Target](liveTTL),
		}),
	}
}

// Live returns an installation with its secrets in clear.
func (d *Directory) Live(ctx context.Context, t Target) (*Live, error) {
	return d.live.Get(ctx, t, otter.LoaderFunc[Target, *Live](func(ctx context.Context, t Target) (*Live, error) {
		return d.Load(ctx, t)
	}))
}

// Load is [Directory.Live] past the memory.
func (d *Directory) Load(ctx context.Context, t Target) (*Live, error) {
	agency, err := d.pool.Get(ctx, t.Tenant)
	if err != nil {
		return nil, err
	}
	l := &Live{Tenant: agency, ID: t.Installation}
	err = d.pool.Read(ctx, t.Tenant, func(ctx context.Context, s tenant.Scope) error {
		n := &Installation{}
		err := s.Select(n).Where("n.id = ?", t.Installation).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("load installation %s: %w", t.Installation, err)
		}
		l.Plugin, l.State, l.Revision, l.SettingsVersion = n.Plugin, n.State, n.Revision, n.SettingsVersion
		l.Isolation, l.Version, l.Settings, l.WebhookURL = n.Isolation, n.Version, n.Settings, n.WebhookURL
		l.Secrets, err = d.openSecrets(ctx, s, t.Installation)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.Keys, err = d.Keys(ctx, t)
	return l, err
}

// Forget drops what is remembered of an installation, and of all routes: which
// keys led to it, or to nobody, is not known here. Call it on every node after a
// change.
func (d *Directory) Forget(t Target) {
	d.live.Invalidate(t)
	d.targets.InvalidateAll()
}

// ForgetAll drops everything remembered, for when word of changes may have been
// missed.
func (d *Directory) ForgetAll() {
	d.live.InvalidateAll()
	d.targets.InvalidateAll()
}

func (d *Directory) openSecrets(ctx context.Context, s tenant.Scope, i ID) (map[string]string, error) {
	rows := []secretRow{}
	err := s.Query(ctx, &rows, `
		select pointer, sealed from crm.installation_secrets
		where tenant_id = $1 and installation_id = $2`, s.Tenant(), i)
	if err != nil {
		return nil, fmt.Errorf("read secrets of installation %s: %w", i, err)
	}
	out := make(map[string]string, len(rows))
	for _, r := range rows {
		plain, err := d.box.Open(ctx, s.Tenant().UUID, purpose(i, r.Pointer), r.Sealed)
		if err != nil {
			return nil, fmt.Errorf("open secret %s of installation %s: %w", r.Pointer, i, err)
		}
		out[r.Pointer] = string(plain)
	}
	return out, nil
}

func (d *Directory) putSecret(ctx context.Context, s tenant.Scope, i ID, pointer, value string) error {
	sealed, err := d.box.Seal(ctx, s.Tenant().UUID, purpose(i, pointer), []byte(value))
	if err != nil {
		return fmt.Errorf("seal secret %s: %w", pointer, err)
	}
	_, err = s.Exec(ctx, `
		insert into crm.installation_secrets (tenant_id, installation_id, pointer, sealed, key_version, hint, updated_at)
		values ($1, $2, $3, $4, 1, $5, $6)
		on conflict (tenant_id, installation_id, pointer) do update
		set sealed = excluded.sealed, hint = excluded.hint, updated_at = excluded.updated_at`,
		s.Tenant(), i, pointer, sealed, secret.Hint(value), s.Now())
	if err != nil {
		return fmt.Errorf("store secret %s: %w", pointer, err)
	}
	return nil
}
