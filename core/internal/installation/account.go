package installation

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// AccountID identifies a provider account of an installation.
type AccountID = id.Of[Account]

// Account is one provider account or number of an installation.
type Account struct {
	bun.BaseModel `bun:"table:crm.accounts,alias:n"`
	tenant.Row

	ID             AccountID `bun:",pk"`
	InstallationID ID
	Kind, Value    string
	Label          string
	CreatedAt      time.Time
}

// AccountKey is how a provider's event names the account it belongs to.
type AccountKey struct {
	Installation ID
	Kind, Value  string
}

// Accounts returns the accounts of the keys, making those that are missing.
func Accounts(ctx context.Context, s tenant.Scope, keys []AccountKey) (map[AccountKey]AccountID, error) {
	out := map[AccountKey]AccountID{}
	ids := make([]uuid.UUID, len(keys))
	kinds, values := make([]string, len(keys)), make([]string, len(keys))
	for n, k := range keys {
		ids[n], kinds[n], values[n] = k.Installation.UUID, k.Kind, k.Value
	}
	rows := []Account{}
	err := s.Query(ctx, &rows, `
		select n.id, n.installation_id, n.kind, n.value
		from unnest($2::uuid[], $3::text[], $4::text[]) k(installation_id, kind, value)
		join crm.accounts n on n.tenant_id = $1 and n.installation_id = k.installation_id and n.kind = k.kind and n.value = k.value`,
		s.Tenant(), ids, kinds, values)
	if err != nil {
		return nil, fmt.Errorf("find %d accounts: %w", len(keys), err)
	}
	for _, r := range rows {
		out[AccountKey{r.InstallationID, r.Kind, r.Value}] = r.ID
	}
	for _, k := range keys {
		if _, ok := out[k]; ok {
			continue
		}
		a, err := addAccount(ctx, s, k)
		if err != nil {
			return nil, err
		}
		out[k] = a
	}
	return out, nil
}

func addAccount(ctx context.Context, s tenant.Scope, k AccountKey) (AccountID, error) {
	a := Account{ID: id.New[Account](), InstallationID: k.Installation, Kind: k.Kind, Value: k.Value, CreatedAt: s.Now()}
	_, err := s.Insert(&a).
		On("CONFLICT (tenant_id, installation_id, kind, value) DO UPDATE").Set("value = EXCLUDED.value").
		Returning("id").Exec(ctx)
	if err != nil {
		return AccountID{}, fmt.Errorf("add account %s %s: %w", k.Kind, k.Value, err)
	}
	return a.ID, nil
}
