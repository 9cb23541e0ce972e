package auth

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/secret"
)

// WeakHash is a hash as an earlier version might have made it.
func WeakHash(password string) string {
	salt := []byte("saltsaltsaltsalt")
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=1024,t=1,p=1$%s$%s", argon2.Version, b.EncodeToString(salt),
		b.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 1024, 1, 32)))
}

// Verify is verify.
func Verify(hash, password string) (ok, renew bool) { return verify(hash, password) }

// Hash is hash.
func Hash(password string) string { return hash(password) }

// SignAccess signs a token as of a moment.
func SignAccess(ring *secret.Ring, a rbac.Actor, now time.Time) (string, error) {
	token, _, err := newSigner(ring).signAccess(a, now)
	return token, err
}

// Grace is how long a renewed token may be used once more.
const Grace = grace

// AddressLimit is what bounds the wrong attempts of an address.
func AddressLimit(a netip.Addr) (cache.Key, cache.Limit) { return addressKey(a), perAddress }
