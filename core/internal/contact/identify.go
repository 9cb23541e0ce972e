package contact

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Found is the contact that a party turned out to be.
type Found struct {
	ID ID
	// New says that nobody was known by any of the party's addresses.
	New bool
}

// Identify finds the contact of each party, or makes one, and returns them in
// order. Addresses that were not known become identities of the contact, and a
// name fills in one that is missing; a name that is there stays. When a party's
// addresses lead to two contacts, the one known by the telephone wins and
// nothing is merged: that is for people to decide. A party without an address
// is refused.
//
// The caller must hold a [Lock] on the parties, or two transactions could make
// two contacts of one person; the unique keys refuse what slips through.
func Identify(ctx context.Context, s tenant.Scope, parties []Party) ([]Found, error) {
	for n, p := range parties {
		if len(p.Addresses) == 0 {
			return nil, fmt.Errorf("identify party %d: it has no address", n)
		}
	}
	book, err := open(ctx, s, parties)
	if err != nil {
		return nil, err
	}
	found := make([]Found, len(parties))
	for n, p := range parties {
		found[n] = book.resolve(s, p)
	}
	return found, book.save(ctx, s)
}

// Lock makes transactions that speak of the same people wait for each other
// until they end. All parties of a transaction are locked at once, in one
// order, so that none wait in a circle.
func Lock(ctx context.Context, s tenant.Scope, parties []Party) error {
	var keys []int64
	owner := s.Tenant()
	for _, p := range parties {
		for _, a := range p.Addresses {
			h := fnv.New64a()
			_, _ = h.Write(owner.UUID[:])
			_, _ = h.Write([]byte(MatchKey(a)))
			keys = append(keys, int64(h.Sum64())) //nolint:gosec // any 64 bits will do
		}
	}
	slices.Sort(keys)
	return lock(ctx, s, slices.Compact(keys))
}

type key struct{ kind, match string }

// book is what is known about the addresses at hand, and what is to be written.
type book struct {
	owner      map[key]ID
	nameless   map[ID]bool
	names      []naming
	contacts   []Contact
	identities []Identity
	seen       []known
	touched    map[key]bool
}

func open(ctx context.Context, s tenant.Scope, parties []Party) (*book, error) {
	var kinds, keys []string
	asked := map[key]bool{}
	for _, p := range parties {
		for _, a := range p.Addresses {
			for _, k := range lookups(a) {
				if !asked[k] {
					asked[k] = true
					kinds, keys = append(kinds, k.kind), append(keys, k.match)
				}
			}
		}
	}
	rows, err := find(ctx, s, kinds, keys)
	if err != nil {
		return nil, err
	}
	b := &book{owner: map[key]ID{}, nameless: map[ID]bool{}, touched: map[key]bool{}}
	for _, r := range rows {
		b.owner[key{r.Kind, r.MatchKey}] = r.ContactID
		b.nameless[r.ContactID] = r.Nameless
	}
	return b, nil
}

// lookups are the keys under which the owner of an address may be known: its
// own first, then those of other kinds of telephone.
func lookups(a Address) []key {
	match := MatchKey(a)
	list := []key{{a.Kind, match}}
	if isPhone(a.Kind) {
		for _, k := range phoneKinds {
			if k != a.Kind {
				list = append(list, key{k, match})
			}
		}
	}
	return list
}

func (b *book) resolve(s tenant.Scope, p Party) Found {
	owner, ok := b.ownerOf(p)
	if !ok {
		owner = id.New[Contact]()
		b.contacts = append(b.contacts, Contact{
			ID: owner, Name: p.Name, NameKey: nameKey(p.Name), Version: 1, CreatedAt: s.Now(), UpdatedAt: s.Now(),
		})
		b.nameless[owner] = p.Name == ""
	}
	if p.Name != "" && b.nameless[owner] {
		b.nameless[owner] = false
		b.names = append(b.names, naming{owner, p.Name})
	}
	for _, a := range p.Addresses {
		b.learn(s, owner, a)
	}
	return Found{ID: owner, New: !ok}
}

// ownerOf prefers the owner of a telephone to that of any other address.
func (b *book) ownerOf(p Party) (ID, bool) {
	var other ID
	for _, a := range p.Addresses {
		for _, k := range lookups(a) {
			owner, ok := b.owner[k]
			if !ok {
				continue
			}
			if isPhone(a.Kind) {
				return owner, true
			}
			if other.IsZero() {
				other = owner
			}
		}
	}
	return other, !other.IsZero()
}

// learn makes an address an identity of owner, or notes that it was seen.
func (b *book) learn(s tenant.Scope, owner ID, a Address) {
	k := key{a.Kind, MatchKey(a)}
	if _, ok := b.owner[k]; ok {
		if !b.touched[k] {
			b.touched[k] = true
			b.seen = append(b.seen, known{Kind: k.kind, MatchKey: k.match, Value: a.Value})
		}
		return
	}
	b.owner[k], b.touched[k] = owner, true
	b.identities = append(b.identities, Identity{
		ID: id.New[Identity](), ContactID: owner, Kind: k.kind, Value: a.Value, MatchKey: k.match,
		CreatedAt: s.Now(), LastSeenAt: s.Now(),
	})
}

func (b *book) save(ctx context.Context, s tenant.Scope) error {
	if err := tenant.InsertAll(ctx, s, b.contacts); err != nil {
		return fmt.Errorf("create %d contacts: %w", len(b.contacts), err)
	}
	if err := tenant.InsertAll(ctx, s, b.identities); err != nil {
		return fmt.Errorf("create %d identities: %w", len(b.identities), err)
	}
	if err := name(ctx, s, b.names); err != nil {
		return err
	}
	return touch(ctx, s, b.seen)
}

// Link makes addresses identities of the contact that one of previous belongs
// to: the person changed number. It returns the contact if that taught anything
// new; zero when all was known, when nobody is known by previous, and when an
// address belongs to somebody else already, which no machine may decide. The
// caller must hold a [Lock] on both.
func Link(ctx context.Context, s tenant.Scope, previous, addresses []Address) (ID, error) {
	b, err := open(ctx, s, []Party{{Addresses: previous}, {Addresses: addresses}})
	if err != nil {
		return ID{}, err
	}
	owner, ok := b.ownerOf(Party{Addresses: previous})
	if !ok {
		return ID{}, nil
	}
	for _, a := range addresses {
		if other, taken := b.ownerOf(Party{Addresses: []Address{a}}); taken && other != owner {
			return ID{}, nil
		}
	}
	for _, a := range addresses {
		b.learn(s, owner, a)
	}
	if len(b.identities) == 0 {
		owner = ID{}
	}
	return owner, b.save(ctx, s)
}

// Learn makes addresses identities of a contact, except those that somebody
// else is known by already.
func Learn(ctx context.Context, s tenant.Scope, owner ID, addresses []Address) error {
	if len(addresses) == 0 {
		return nil
	}
	b, err := open(ctx, s, []Party{{Addresses: addresses}})
	if err != nil {
		return err
	}
	for _, a := range addresses {
		if other, taken := b.ownerOf(Party{Addresses: []Address{a}}); !taken || other == owner {
			b.learn(s, owner, a)
		}
	}
	return b.save(ctx, s)
}
