package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/stratohub/strato/core/internal/fault"
)

// ErrPassword refuses a password that is too easy to guess.
var ErrPassword = fault.New(fault.Invalid, "user.password", "Choose another password.")

const (
	minPassword = 10   // characters
	maxPassword = 1024 // bytes; more would be work for nothing
)

// checkPassword applies the policy: length and nothing that is on the screen
// already. Rules about digits and signs make passwords worse.
func checkPassword(password, email string) error {
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return ErrPassword.At("/password", fmt.Sprintf("needs at least %d characters", minPassword))
	case len(password) > maxPassword:
		return ErrPassword.At("/password", "is too long")
	case strings.EqualFold(password, email):
		return ErrPassword.At("/password", "must not be the e-mail address")
	default:
		return nil
	}
}

// params are argon2id's costs.
type params struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

// current is what new hashes cost: OWASP's first choice, about 20 ms. Old hashes
// are renewed at their owner's next sign-in.
var current = params{memory: 19 * 1024, time: 2, threads: 1}

const (
	saltSize = 16
	hashSize = 32
)

// hasher computes password hashes, few at a time: each takes memory and a
// processor, and a flood of sign-ins must not take all of either.
type hasher struct {
	slots chan struct{}
	decoy string // verified when there is no user, so that both take as long
}

func newHasher() *hasher {
	h := &hasher{slots: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))}
	h.decoy = hash(rand.Text())
	return h
}

// acquire takes a slot until release. It fails when the context ends first.
func (h *hasher) acquire(ctx context.Context) (release func(), err error) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash returns a password's hash in the PHC form.
func hash(password string) string {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	p := current
	key := argon2.IDKey([]byte(password), salt, p.time, p.memory, p.threads, hashSize)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

// verify reports whether a password fits a hash, and whether the hash should be
// renewed because its costs are not today's. An unreadable hash fits nothing.
func verify(hash, password string) (ok, renew bool) {
	p, salt, want, err := parseHash(hash)
	if err != nil || len(password) > maxPassword {
		return false, false
	}
	got := argon2.IDKey([]byte(password), salt, p.time, p.memory, p.threads, uint32(len(want))) // bounded by parseHash
	return subtle.ConstantTimeCompare(got, want) == 1, p != current || len(want) != hashSize
}

var errHash = errors.New("auth: not an argon2id hash")

func parseHash(s string) (p params, salt, key []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return p, nil, nil, errHash
	}
	var version int
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return p, nil, nil, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return p, nil, nil, errHash
	}
	if p.time == 0 || p.threads == 0 || p.time > 16 || p.memory > 1<<20 {
		return p, nil, nil, errHash
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return p, nil, nil, errHash
	}
	key, err = base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(key) < 16 || len(key) > 64 {
		return p, nil, nil, errHash
	}
	return p, salt, key, nil
}
