package main

import (
	"context"
	"errors"
	"time"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

// checksPerRound is enough that the clock does not matter.
const checksPerRound = 2_000_000

// check measures whether an actor may do something, against a look into a map
// with the same key.
func (w *world) check(context.Context) (row, error) {
	r := row{what: "permission check", unit: "ns", floorIs: "a map lookup by role, object and action"}
	policy, err := rbac.New()
	if err != nil {
		return r, err
	}
	actor := rbac.Actor{Tenant: id.New[tenant.Tenant](), Role: rbac.RoleAgent}
	need := rbac.Write("lead")
	type key struct {
		role rbac.Role
		need rbac.Permission
	}
	known := map[key]bool{}
	for _, role := range rbac.Roles() {
		known[key{role, need}] = policy.Can(rbac.Actor{Tenant: actor.Tenant, Role: role}, need)
	}
	for range w.rounds {
		floor, err := perCheck(func() bool { return known[key{actor.Role, need}] })
		if err != nil {
			return r, err
		}
		ours, err := perCheck(func() bool { return policy.Can(actor, need) })
		if err != nil {
			return r, err
		}
		r.floor, r.strato = append(r.floor, floor), append(r.strato, ours)
	}
	return r, nil
}

func perCheck(may func() bool) (float64, error) {
	start := time.Now()
	for range checksPerRound {
		if !may() {
			return 0, errors.New("an agent may not write a lead")
		}
	}
	return float64(time.Since(start).Nanoseconds()) / checksPerRound, nil
}
