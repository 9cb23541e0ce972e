package secret

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
)

// DataKey is a tenant's key as it is stored: itself sealed by the ring.
type DataKey struct {
	Version int    // counts from 1; the highest seals, all open
	RingKey string // the ring's key that sealed it
	Sealed  []byte
}

// Store keeps the tenants' data keys. Its methods are safe for concurrent use.
type Store interface {
	// Keys returns a tenant's keys, possibly none, in any order.
	Keys(ctx context.Context, tenant uuid.UUID) ([]DataKey, error)
	// Add stores a key unless its version is there already, which is no error.
	Add(ctx context.Context, tenant uuid.UUID, k DataKey) error
	// Replace stores a key in place of the one with its version.
	Replace(ctx context.Context, tenant uuid.UUID, k DataKey) error
}

// Box seals and opens tenants' secrets. Each tenant has data keys of its own,
// made when first needed, so that what leaks from one opens nothing of another.
// A Box is safe for concurrent use.
type Box struct {
	ring  *Ring
	store Store

	mu   sync.RWMutex
	keys map[uuid.UUID][]openKey // newest first
}

type openKey struct {
	version int
	key     Key
}

// maxCached bounds how many tenants' keys stay open in memory.
const maxCached = 10_000

// header is the format byte and the data key's version in front of each sealed
// value.
const (
	format     = 1
	headerSize = 1 + 4
)

// NewBox returns a box over the ring and the stored data keys.
func NewBox(ring *Ring, store Store) *Box {
	return &Box{ring: ring, store: store, keys: map[uuid.UUID][]openKey{}}
}

// Seal encrypts a tenant's secret. purpose is bound to it and must be given
// again to open it; it says what the secret is for and is not itself secret.
func (b *Box) Seal(ctx context.Context, tenant uuid.UUID, purpose string, plain []byte) ([]byte, error) {
	keys, err := b.tenantKeys(ctx, tenant, false)
	if err != nil {
		return nil, err
	}
	k := keys[0]
	head := binary.BigEndian.AppendUint32([]byte{format}, uint32(k.version)) // versions are small and positive
	return append(head, k.key.seal(plain, bind(tenant, purpose))...), nil
}

// Open decrypts what Seal returned for the same tenant and purpose. It returns
// [ErrOpen] if that is not what sealed is.
func (b *Box) Open(ctx context.Context, tenant uuid.UUID, purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize || sealed[0] != format {
		return nil, ErrOpen
	}
	version := int(binary.BigEndian.Uint32(sealed[1:headerSize]))
	// Another node may have added the version since this one read the keys.
	for _, fresh := range []bool{false, true} {
		keys, err := b.tenantKeys(ctx, tenant, fresh)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if k.version == version {
				return k.key.open(sealed[headerSize:], bind(tenant, purpose))
			}
		}
	}
	return nil, fmt.Errorf("%w: the tenant has no key %d", ErrOpen, version)
}

// Rewrap seals the tenant's data keys under the ring's first key, and returns
// how many were under another. After all tenants are rewrapped the old ring key
// may be dropped. What the data keys sealed stays as it is.
func (b *Box) Rewrap(ctx context.Context, tenant uuid.UUID) (int, error) {
	stored, err := b.store.Keys(ctx, tenant)
	if err != nil {
		return 0, fmt.Errorf("read keys of tenant %s: %w", tenant, err)
	}
	changed := 0
	for _, k := range stored {
		if k.RingKey == b.ring.keys[0].ID {
			continue
		}
		raw, err := b.ring.open(k.RingKey, k.Sealed, bindKey(tenant, k.Version))
		if err != nil {
			return changed, fmt.Errorf("open key %d of tenant %s: %w", k.Version, tenant, err)
		}
		if err := b.store.Replace(ctx, tenant, b.wrap(tenant, k.Version, raw)); err != nil {
			return changed, fmt.Errorf("rewrap key %d of tenant %s: %w", k.Version, tenant, err)
		}
		changed++
	}
	return changed, nil
}

// tenantKeys returns the tenant's open keys, newest first and never none.
func (b *Box) tenantKeys(ctx context.Context, tenant uuid.UUID, fresh bool) ([]openKey, error) {
	if tenant == uuid.Nil {
		return nil, errors.New("secret: no tenant")
	}
	if !fresh {
		b.mu.RLock()
		keys := b.keys[tenant]
		b.mu.RUnlock()
		if keys != nil {
			return keys, nil
		}
	}
	stored, err := b.store.Keys(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("read keys of tenant %s: %w", tenant, err)
	}
	if len(stored) == 0 {
		if stored, err = b.firstKey(ctx, tenant); err != nil {
			return nil, err
		}
	}
	keys := make([]openKey, 0, len(stored))
	for _, k := range stored {
		raw, err := b.ring.open(k.RingKey, k.Sealed, bindKey(tenant, k.Version))
		if err != nil {
			return nil, fmt.Errorf("open key %d of tenant %s: %w", k.Version, tenant, err)
		}
		at := 0
		for at < len(keys) && keys[at].version > k.Version {
			at++
		}
		keys = append(keys[:at], append([]openKey{{k.Version, Key{bytes: raw}}}, keys[at:]...)...)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.keys) >= maxCached {
		clear(b.keys)
	}
	b.keys[tenant] = keys
	return keys, nil
}

// firstKey makes a tenant's first key. Several nodes may try at once; all go on
// with the one that was stored.
func (b *Box) firstKey(ctx context.Context, tenant uuid.UUID) ([]DataKey, error) {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails
	if err := b.store.Add(ctx, tenant, b.wrap(tenant, 1, raw)); err != nil {
		return nil, fmt.Errorf("store the first key of tenant %s: %w", tenant, err)
	}
	stored, err := b.store.Keys(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("read keys of tenant %s: %w", tenant, err)
	}
	if len(stored) == 0 {
		return nil, fmt.Errorf("the first key of tenant %s was stored but is not there", tenant)
	}
	return stored, nil
}

func (b *Box) wrap(tenant uuid.UUID, version int, raw []byte) DataKey {
	id, sealed := b.ring.seal(raw, bindKey(tenant, version))
	return DataKey{Version: version, RingKey: id, Sealed: sealed}
}

// bind ties a sealed value to its tenant and purpose.
func bind(tenant uuid.UUID, purpose string) []byte {
	return append(append([]byte("value:"), tenant[:]...), purpose...)
}

// bindKey ties a data key to its tenant and version.
func bindKey(tenant uuid.UUID, version int) []byte {
	return fmt.Appendf(append([]byte("key:"), tenant[:]...), ":%d", version)
}
