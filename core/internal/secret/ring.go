package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// keySize is the length of every key, in bytes: AES-256.
const keySize = 32

// ErrOpen is returned when sealed bytes cannot be opened: they were changed,
// belong to another owner, or their key has left the ring.
var ErrOpen = errors.New("secret: cannot open what was sealed")

// Key is one key of a ring, or one derived from it.
type Key struct {
	ID    string // names the key in what it sealed; lower-case letters, digits, - and _
	bytes []byte
}

// Bytes returns the key itself. Do not change it.
func (k Key) Bytes() []byte { return k.bytes }

// Ring is the program's master keys. The first seals, all open. A Ring is
// immutable and safe for concurrent use.
type Ring struct{ keys []Key }

var keyID = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// ParseRing reads "id:base64,id:base64" with keys of 32 bytes in standard or
// URL base64. Its errors never hold a key.
func ParseRing(text string) (*Ring, error) {
	r := &Ring{}
	seen := map[string]bool{}
	for i, item := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == '\n' || c == ' ' }) {
		name, encoded, ok := strings.Cut(item, ":")
		switch {
		case !ok:
			return nil, fmt.Errorf("key %d: want id:base64", i+1)
		case !keyID.MatchString(name):
			return nil, fmt.Errorf("key %d: the id must be 1 to 32 of a-z, 0-9, - and _", i+1)
		case seen[name]:
			return nil, fmt.Errorf("key %q is there twice", name)
		}
		seen[name] = true
		raw, err := decodeKey(encoded)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w; make one with: openssl rand -base64 32", name, err)
		}
		r.keys = append(r.keys, Key{ID: name, bytes: raw})
	}
	if len(r.keys) == 0 {
		return nil, errors.New("no key; want id:base64 with 32 bytes, as from: openssl rand -base64 32")
	}
	return r, nil
}

func decodeKey(encoded string) ([]byte, error) {
	encoded = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(encoded, "="))
	raw, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("not base64")
	}
	if len(raw) != keySize {
		return nil, fmt.Errorf("want %d bytes, got %d", keySize, len(raw))
	}
	return raw, nil
}

// LoadRing reads a ring from a file, or makes the file with one fresh key,
// readable by its owner alone. It refuses a file that others may read.
func LoadRing(path string) (*Ring, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := makeKeyFile(path); err != nil {
			return nil, fmt.Errorf("make key file %s: %w", path, err)
		}
		info, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("find key file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s may be read by others; run: chmod 600 %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	r, err := ParseRing(string(text))
	if err != nil {
		return nil, fmt.Errorf("read key file %s: %w", path, err)
	}
	return r, nil
}

// makeKeyFile writes a complete file beside path and links it into place, so
// that two starting programs agree on one key and a crash leaves no half key.
func makeKeyFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // the linked file keeps its other name
	_, werr := f.WriteString("k1:" + base64.StdEncoding.EncodeToString(raw) + "\n")
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// IDs lists the keys' names, the sealing one first.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.keys))
	for i, k := range r.keys {
		ids[i] = k.ID
	}
	return ids
}

// DeriveKey returns the key for a purpose, made from the first key of the ring.
// It is the same on every node with the same ring and tells nothing of other
// purposes' keys.
func (r *Ring) DeriveKey(purpose string) Key { return r.keys[0].derive(purpose) }

// DeriveKeys returns one key for a purpose per key of the ring, in its order:
// sign with the first, verify with the one whose ID was noted.
func (r *Ring) DeriveKeys(purpose string) []Key {
	keys := make([]Key, len(r.keys))
	for i, k := range r.keys {
		keys[i] = k.derive(purpose)
	}
	return keys
}

func (k Key) derive(purpose string) Key {
	raw, err := hkdf.Key(sha256.New, k.bytes, nil, "strato:"+purpose, keySize)
	if err != nil {
		panic("secret: " + err.Error()) // only for lengths beyond 8160 bytes
	}
	return Key{ID: k.ID, bytes: raw}
}

// seal encrypts under the first key and returns its id.
func (r *Ring) seal(plain, aad []byte) (keyID string, sealed []byte) {
	k := r.keys[0].derive("seal")
	return k.ID, k.seal(plain, aad)
}

// open decrypts what the named key sealed.
func (r *Ring) open(keyID string, sealed, aad []byte) ([]byte, error) {
	for _, k := range r.keys {
		if k.ID == keyID {
			return k.derive("seal").open(sealed, aad)
		}
	}
	return nil, fmt.Errorf("%w: key %q is not in STRATO_SECRET_KEYS", ErrOpen, keyID)
}

// seal returns a fresh nonce and the AES-256-GCM ciphertext.
func (k Key) seal(plain, aad []byte) []byte {
	return k.aead().Seal(nil, nil, plain, aad) //nolint:gosec // the cipher draws the nonce itself and takes none
}

func (k Key) open(sealed, aad []byte) ([]byte, error) {
	plain, err := k.aead().Open(nil, nil, sealed, aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

func (k Key) aead() cipher.AEAD {
	block, err := aes.NewCipher(k.bytes)
	if err != nil {
		panic("secret: " + err.Error()) // only for a wrong key size
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("secret: " + err.Error()) // only for a block size other than AES's
	}
	return gcm
}
