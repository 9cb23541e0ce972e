package secret_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/secret"
)

func key(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32))
}

func ring(t *testing.T, text string) *secret.Ring {
	t.Helper()
	r, err := secret.ParseRing(text)
	require.NoError(t, err)
	return r
}

// memory is a store without a database.
type memory struct {
	mu   sync.Mutex
	keys map[uuid.UUID]map[int]secret.DataKey
	adds int
}

func (m *memory) Keys(_ context.Context, tenant uuid.UUID) ([]secret.DataKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []secret.DataKey
	for _, k := range m.keys[tenant] {
		keys = append(keys, k)
	}
	return keys, nil
}

func (m *memory) Add(_ context.Context, tenant uuid.UUID, k secret.DataKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		m.keys = map[uuid.UUID]map[int]secret.DataKey{}
	}
	if m.keys[tenant] == nil {
		m.keys[tenant] = map[int]secret.DataKey{}
	}
	if _, ok := m.keys[tenant][k.Version]; !ok {
		m.keys[tenant][k.Version] = k
		m.adds++
	}
	return nil
}

func (m *memory) Replace(_ context.Context, tenant uuid.UUID, k secret.DataKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[tenant][k.Version] = k
	return nil
}

func TestStringDoesNotPrint(t *testing.T) {
	t.Parallel()

	s := secret.NewString("hunter2hunter2")
	encoded, err := json.Marshal(map[string]any{"s": s})
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "in", struct{ S secret.String }{s})

	for _, shown := range []string{
		s.String(), string(encoded), log.String(),
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s), fmt.Sprintf("%#v", struct{ S secret.String }{s}),
	} {
		require.NotContains(t, shown, "hunter2")
		require.NotContains(t, shown, fmt.Sprintf("%x", "hunter2"))
	}
	require.Equal(t, "hunter2hunter2", s.Reveal())
	require.Empty(t, secret.String{}.String())
}

func TestHint(t *testing.T) {
	t.Parallel()

	for value, want := range map[string]string{
		"": "", "1234567": "…", "12345678": "…5678", "EAAG-token-ñandú": "…andú",
	} {
		require.Equal(t, want, secret.Hint(value), value)
	}
}

func TestParseRing(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct{ text, want string }{
		"one":       {"a:" + key(1), ""},
		"two":       {"b:" + key(2) + ", a:" + key(1), ""},
		"url form":  {"a:" + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 32)), ""},
		"empty":     {" ", "no key"},
		"no id":     {key(1), "want id:base64"},
		"bad id":    {"A B:" + key(1), "want id:base64"},
		"shouting":  {"A:" + key(1), "the id must be"},
		"twice":     {"a:" + key(1) + ",a:" + key(2), "twice"},
		"short":     {"a:" + base64.StdEncoding.EncodeToString([]byte("short")), "want 32 bytes, got 5"},
		"not base6": {"a:%%%", "not base64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := secret.ParseRing(tt.text)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), key(1))
		})
	}
}

func TestLoadRing(t *testing.T) {
	t.Parallel()

	path := filepath.Join(t.TempDir(), "deep", "keys")
	var group sync.WaitGroup
	derived := make([]string, 8)
	for i := range derived {
		group.Go(func() {
			if r, err := secret.LoadRing(path); err == nil {
				derived[i] = string(r.DeriveKey("x").Bytes())
			}
		})
	}
	group.Wait()

	for _, d := range derived {
		require.Len(t, d, 32)
		require.Equal(t, derived[0], d, "all that start together must agree on the key")
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)

	require.NoError(t, os.Chmod(path, 0o640))
	_, err = secret.LoadRing(path)
	require.ErrorContains(t, err, "chmod 600")
}

func TestDeriveKey(t *testing.T) {
	t.Parallel()

	r := ring(t, "b:"+key(2)+",a:"+key(1))
	old := ring(t, "a:"+key(1))

	require.Equal(t, r.DeriveKey("jwt"), ring(t, "b:"+key(2)).DeriveKey("jwt"))
	require.NotEqual(t, r.DeriveKey("jwt"), r.DeriveKey("roles"))
	require.Equal(t, "b", r.DeriveKey("jwt").ID)
	require.Equal(t, old.DeriveKey("jwt"), r.DeriveKeys("jwt")[1])
	require.Equal(t, []string{"b", "a"}, r.IDs())
}

func TestBox(t *testing.T) {
	t.Parallel()

	ctx := t.Context()
	store := &memory{}
	box := secret.NewBox(ring(t, "a:"+key(1)), store)
	acme, norte := uuid.New(), uuid.New()

	sealed, err := box.Seal(ctx, acme, "installation/1/token", []byte("EAAG"))
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "EAAG")
	again, err := box.Seal(ctx, acme, "installation/1/token", []byte("EAAG"))
	require.NoError(t, err)
	require.NotEqual(t, sealed, again, "equal secrets must not look equal")

	plain, err := secret.NewBox(ring(t, "a:"+key(1)), store).Open(ctx, acme, "installation/1/token", sealed)
	require.NoError(t, err)
	require.Equal(t, "EAAG", string(plain))

	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another tenant":  func() ([]byte, error) { return box.Open(ctx, norte, "installation/1/token", sealed) },
		"another purpose": func() ([]byte, error) { return box.Open(ctx, acme, "installation/2/token", sealed) },
		"changed":         func() ([]byte, error) { return box.Open(ctx, acme, "installation/1/token", changed) },
		"cut":             func() ([]byte, error) { return box.Open(ctx, acme, "installation/1/token", sealed[:7]) },
		"empty":           func() ([]byte, error) { return box.Open(ctx, acme, "installation/1/token", nil) },
		"another format": func() ([]byte, error) {
			return box.Open(ctx, acme, "installation/1/token", append([]byte{9}, sealed[1:]...))
		},
		"unknown version": func() ([]byte, error) {
			return box.Open(ctx, acme, "installation/1/token", append([]byte{1, 0, 0, 0, 9}, sealed[5:]...))
		},
		"another ring": func() ([]byte, error) {
			return secret.NewBox(ring(t, "z:"+key(1)), store).Open(ctx, acme, "installation/1/token", sealed)
		},
		"a ring with another key of that name": func() ([]byte, error) {
			return secret.NewBox(ring(t, "a:"+key(7)), store).Open(ctx, acme, "installation/1/token", sealed)
		},
	} {
		_, err := open()
		require.ErrorIs(t, err, secret.ErrOpen, name)
	}
	_, err = box.Seal(ctx, uuid.Nil, "x", nil)
	require.ErrorContains(t, err, "no tenant")
}

func TestRotation(t *testing.T) {
	t.Parallel()

	ctx := t.Context()
	store := &memory{}
	acme := uuid.New()
	sealed, err := secret.NewBox(ring(t, "a:"+key(1)), store).Seal(ctx, acme, "p", []byte("EAAG"))
	require.NoError(t, err)

	both := secret.NewBox(ring(t, "b:"+key(2)+",a:"+key(1)), store)
	plain, err := both.Open(ctx, acme, "p", sealed)
	require.NoError(t, err)
	require.Equal(t, "EAAG", string(plain))

	n, err := both.Rewrap(ctx, acme)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	n, err = both.Rewrap(ctx, acme)
	require.NoError(t, err)
	require.Zero(t, n)

	plain, err = secret.NewBox(ring(t, "b:"+key(2)), store).Open(ctx, acme, "p", sealed)
	require.NoError(t, err)
	require.Equal(t, "EAAG", string(plain))
	_, err = secret.NewBox(ring(t, "a:"+key(1)), store).Open(ctx, acme, "p", sealed)
	require.ErrorIs(t, err, secret.ErrOpen)
}

func TestNodesAgreeOnTheFirstKey(t *testing.T) {
	t.Parallel()

	ctx := t.Context()
	store := &memory{}
	acme := uuid.New()
	var group sync.WaitGroup
	sealed := make([][]byte, 8)
	for i := range sealed {
		group.Go(func() {
			r, err := secret.ParseRing("a:" + key(1))
			if err == nil {
				sealed[i], _ = secret.NewBox(r, store).Seal(ctx, acme, "p", []byte(strings.Repeat("x", i)))
			}
		})
	}
	group.Wait()

	require.Equal(t, 1, store.adds)
	box := secret.NewBox(ring(t, "a:"+key(1)), store)
	for i, s := range sealed {
		plain, err := box.Open(ctx, acme, "p", s)
		require.NoError(t, err)
		require.Len(t, plain, i)
	}
}
