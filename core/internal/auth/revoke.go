package auth

import (
	"context"
	"encoding/json"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

// revocation says that access tokens no longer hold: those of a session, or
// those made under an older version of a membership.
type revocation struct {
	Session rbac.SessionID `json:"session,omitzero"`
	Tenant  tenant.ID      `json:"tenant,omitzero"`
	User    rbac.UserID    `json:"user,omitzero"`
	Version int            `json:"version,omitzero"`
}

// revocations remembers them for as long as an access token may live. A node
// that misses one honours the token until it ends, ten minutes at most.
type revocations struct {
	sessions    *otter.Cache[rbac.SessionID, struct{}]
	memberships *otter.Cache[member, int]
}

type member struct {
	tenant tenant.ID
	user   rbac.UserID
}

func newRevocations() *revocations {
	return &revocations{sessions: remembering[rbac.SessionID, struct{}](), memberships: remembering[member, int]()}
}

func remembering[K comparable, V any]() *otter.Cache[K, V] {
	return otter.Must(&otter.Options[K, V]{
		MaximumSize: 200_000, ExpiryCalculator: otter.ExpiryWriting[K, V](accessLife + time.Minute),
	})
}

func (r *revocations) note(v revocation) {
	if !v.Session.IsZero() {
		r.sessions.Set(v.Session, struct{}{})
		return
	}
	r.memberships.Set(member{v.Tenant, v.User}, v.Version)
}

func (r *revocations) holds(a rbac.Actor) bool {
	if _, ended := r.sessions.GetIfPresent(a.Session); ended {
		return false
	}
	least, known := r.memberships.GetIfPresent(member{a.Tenant, a.User})
	return !known || a.Version >= least
}

// channel carries revocations between nodes.
func channel() cache.Key { return cache.GlobalKey("auth", "revoked") }

// announce tells all nodes, this one before it returns.
func (s *Service) announce(ctx context.Context, r revocation) {
	s.revoked.note(r)
	if s.bus == nil {
		return
	}
	text, err := json.Marshal(r)
	if err != nil {
		s.log.ErrorContext(ctx, "cannot tell other nodes of a revocation", "error", err)
		return
	}
	s.bus.Publish(ctx, channel(), text)
}

// Run listens to what other nodes revoke until the context ends.
func (s *Service) Run(ctx context.Context) {
	if s.bus == nil {
		<-ctx.Done()
		return
	}
	sub := s.bus.Subscribe(ctx, channel(), func(m cache.Message) {
		var r revocation
		if m.Lost || json.Unmarshal(m.Payload, &r) != nil {
			return
		}
		s.revoked.note(r)
	})
	defer sub.Close()
	<-ctx.Done()
}
