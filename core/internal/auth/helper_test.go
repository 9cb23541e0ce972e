package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/auth"
	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
	"github.com/stratohub/strato/core/internal/secret"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const password = "strato-demo"

// bundle is a service with two agencies.
type bundle struct {
	*auth.Service

	pool        *tenant.Pool
	redis       *miniredis.Miniredis
	acme, norte tenant.Tenant
	client      rest.Client
}

func keyRing(t *testing.T, ids ...string) *secret.Ring {
	t.Helper()
	text := ""
	for _, id := range ids {
		text += id + ":" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(id[:1]), 32)) + ","
	}
	r, err := secret.ParseRing(text)
	require.NoError(t, err)
	return r
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{redis: miniredis.RunT(t)}
	b.pool, b.acme = tenanttest.New(t)
	b.norte = tenanttest.Create(t, b.pool, dbtest.Database(t).Name)
	b.client = rest.Client{Address: netip.MustParseAddr("203.0.113.7"), UserAgent: "test"}
	b.Service = b.node(t, keyRing(t, "a"))
	return b
}

// node is a service on a node of its own.
func (b *bundle) node(t *testing.T, ring *secret.Ring) *auth.Service {
	t.Helper()
	policy, err := rbac.New()
	require.NoError(t, err)
	c, err := cache.Open("redis://"+b.redis.Addr(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	bus := cache.NewBus(c)
	s := auth.New(auth.Options{
		DB: b.pool.Control(), Ring: ring, Limits: cache.NewLimiter(c), Bus: bus, Policy: policy, Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	for _, run := range []func(context.Context){bus.Run, s.Run} {
		go func() {
			run(ctx)
			done <- struct{}{}
		}()
	}
	t.Cleanup(func() {
		stop()
		<-done
		<-done
		require.NoError(t, c.Close())
	})
	return s
}

// user makes a user with a password and memberships.
func (b *bundle) user(t *testing.T, operator bool, roles map[tenant.ID]rbac.Role) auth.User {
	t.Helper()
	u, err := b.CreateUser(t.Context(), auth.NewUser{
		Email: uuid.NewString() + "@acme.example", Name: "Ana", Password: password, Operator: operator,
	})
	require.NoError(t, err)
	for id, role := range roles {
		require.NoError(t, b.SetMembership(t.Context(), u.ID, id, role))
	}
	return u
}

func (b *bundle) login(t *testing.T, email, password, slug string) (*auth.Session, error) {
	t.Helper()
	in := &auth.LoginInput{}
	in.Body.Email, in.Body.Password, in.Body.Tenant = email, password, slug
	return b.Login(t.Context(), b.client, in)
}

// cookie is the value that an answer sets.
func cookie(t *testing.T, s *auth.Session, name string) string {
	t.Helper()
	for _, c := range s.Cookies() {
		if c.Name == name {
			return c.Value
		}
	}
	t.Fatalf("no cookie %s", name)
	return ""
}

func refresh(t *testing.T, s *auth.Service, c rest.Client, token string) (*auth.Session, error) {
	t.Helper()
	return s.Refresh(t.Context(), c, &auth.RefreshInput{Refresh: token})
}
