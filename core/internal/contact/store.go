package contact

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/tenant"
)

// known is an identity as found by its keys.
type known struct {
	Kind, MatchKey, Value string
	ContactID             ID
	Nameless              bool // the contact has no name
}

// naming gives a name to a contact that has none.
type naming struct {
	contact ID
	name    string
}

// lock takes advisory locks, in the order given, until the transaction ends.
func lock(ctx context.Context, s tenant.Scope, keys []int64) error {
	if _, err := s.Exec(ctx, `select pg_advisory_xact_lock(k) from unnest($1::bigint[]) k`, keys); err != nil {
		return fmt.Errorf("lock %d people: %w", len(keys), err)
	}
	return nil
}

// find returns the identities that have one of the keys.
func find(ctx context.Context, s tenant.Scope, kinds, keys []string) ([]known, error) {
	rows := []known{}
	err := s.Query(ctx, &rows, `
		select i.kind, i.match_key, i.value, i.contact_id, c.name = '' as nameless
		from unnest($2::text[], $3::text[]) k(kind, match_key)
		join crm.identities i on i.tenant_id = $1 and i.kind = k.kind and i.match_key = k.match_key
		join crm.contacts c on c.tenant_id = i.tenant_id and c.id = i.contact_id`,
		s.Tenant(), kinds, keys)
	if err != nil {
		return nil, fmt.Errorf("find %d identities: %w", len(keys), err)
	}
	return rows, nil
}

// touch notes that identities were seen again, with the spelling they have now.
// Seen is kept to ten minutes, so that a lively chat does not write it with
// every message.
func touch(ctx context.Context, s tenant.Scope, rows []known) error {
	if len(rows) == 0 {
		return nil
	}
	var kinds, keys, values []string
	for _, k := range rows {
		kinds, keys, values = append(kinds, k.Kind), append(keys, k.MatchKey), append(values, k.Value)
	}
	_, err := s.Exec(ctx, `
		update crm.identities i set value = k.value, last_seen_at = $5
		from unnest($2::text[], $3::text[], $4::text[]) k(kind, match_key, value)
		where i.tenant_id = $1 and i.kind = k.kind and i.match_key = k.match_key
			and (i.value <> k.value or i.last_seen_at < $5::timestamptz - interval '10 minutes')`,
		s.Tenant(), kinds, keys, values, s.Now())
	if err != nil {
		return fmt.Errorf("touch %d identities: %w", len(rows), err)
	}
	return nil
}

// name names contacts, unless somebody did meanwhile.
func name(ctx context.Context, s tenant.Scope, list []naming) error {
	if len(list) == 0 {
		return nil
	}
	var ids []uuid.UUID
	var names, keys []string
	for _, n := range list {
		ids, names, keys = append(ids, n.contact.UUID), append(names, n.name), append(keys, nameKey(n.name))
	}
	_, err := s.Exec(ctx, `
		update crm.contacts c set name = n.name, name_key = n.name_key, version = version + 1, updated_at = $5
		from unnest($2::uuid[], $3::text[], $4::text[]) n(id, name, name_key)
		where c.tenant_id = $1 and c.id = n.id and c.name = ''`,
		s.Tenant(), ids, names, keys, s.Now())
	if err != nil {
		return fmt.Errorf("name %d contacts: %w", len(list), err)
	}
	return nil
}

// Get returns a contact with its identities.
func Get(ctx context.Context, s tenant.Scope, i ID) (*Contact, error) {
	c := &Contact{}
	err := s.Select(c).Where("c.id = ?", i).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("get contact %s: %w", i, err)
	}
	list := []Contact{*c}
	if err := attach(ctx, s, list); err != nil {
		return nil, err
	}
	return &list[0], nil
}

// List returns contacts, newest first, older than the contact before unless
// that is zero.
func List(ctx context.Context, s tenant.Scope, before ID, limit int) ([]Contact, error) {
	list := []Contact{}
	q := s.Select(&list).Order("c.id DESC").Limit(int64(limit))
	if !before.IsZero() {
		q.Where("c.id < ?", before)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list contacts: %w", err)
	}
	return list, attach(ctx, s, list)
}

// Many returns contacts with their identities by id; unknown ids are left out.
func Many(ctx context.Context, s tenant.Scope, ids []ID) (map[ID]Contact, error) {
	out := map[ID]Contact{}
	if len(ids) == 0 {
		return out, nil
	}
	list := []Contact{}
	if err := s.Select(&list).Where("c.id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("get %d contacts: %w", len(ids), err)
	}
	if err := attach(ctx, s, list); err != nil {
		return nil, err
	}
	for _, c := range list {
		out[c.ID] = c
	}
	return out, nil
}

// attach fills in the identities of contacts, the last seen first.
func attach(ctx context.Context, s tenant.Scope, list []Contact) error {
	if len(list) == 0 {
		return nil
	}
	at := map[ID]*Contact{}
	ids := make([]ID, len(list))
	for i := range list {
		list[i].Identities = []Identity{}
		at[list[i].ID], ids[i] = &list[i], list[i].ID
	}
	rows := []Identity{}
	err := s.Select(&rows).Where("i.contact_id IN (?)", bun.List(ids)).Order("i.last_seen_at DESC", "i.id").Scan(ctx)
	if err != nil {
		return fmt.Errorf("list identities of %d contacts: %w", len(list), err)
	}
	for _, r := range rows {
		c := at[r.ContactID]
		c.Identities = append(c.Identities, r)
	}
	return nil
}

// Addresses returns what a contact is known by, at most 20, the last seen first.
func Addresses(ctx context.Context, s tenant.Scope, i ID) ([]Address, error) {
	rows := []Identity{}
	err := s.Query(ctx, &rows, `
		select kind, value from crm.identities
		where tenant_id = $1 and contact_id = $2
		order by last_seen_at desc, id limit 20`, s.Tenant(), i)
	if err != nil {
		return nil, fmt.Errorf("list addresses of contact %s: %w", i, err)
	}
	out := make([]Address, len(rows))
	for n, r := range rows {
		out[n] = Address{r.Kind, r.Value}
	}
	return out, nil
}
