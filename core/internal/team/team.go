// Package team knows an agency's people and to whom the next enquiry goes.
package team

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"

	"github.com/stratohub/strato/core/internal/tenant"
)

// listLimit bounds an agency's people in a list.
const listLimit = 1000

// rosterTTL bounds how long a node may route by an old list of people.
const rosterTTL = 10 * time.Second

// Roster knows who takes enquiries. It remembers what it read for ten seconds and
// is safe for concurrent use.
type Roster struct {
	pool   *tenant.Pool
	agents *otter.Cache[tenant.ID, []uuid.UUID]
}

// NewRoster returns a roster that has read nothing yet.
func NewRoster(p *tenant.Pool) *Roster {
	return &Roster{pool: p, agents: otter.Must(&otter.Options[tenant.ID, []uuid.UUID]{
		MaximumSize: 10_000, ExpiryCalculator: otter.ExpiryWriting[tenant.ID, []uuid.UUID](rosterTTL),
	})}
}

// Agents returns the people of a tenant who take enquiries: active members with
// the role agent or, when there is none, team leads, then admins, then owners.
// The order is stable. The list is shared: do not change it.
func (r *Roster) Agents(ctx context.Context, t tenant.ID) ([]uuid.UUID, error) {
	return r.agents.Get(ctx, t, otter.LoaderFunc[tenant.ID, []uuid.UUID](r.read))
}

func (r *Roster) read(ctx context.Context, t tenant.ID) ([]uuid.UUID, error) {
	rows := []struct {
		UserID uuid.UUID
		Role   string
	}{}
	err := r.pool.Control().NewSelect().TableExpr("control.memberships AS m").ColumnExpr("m.user_id, m.role").
		Join("JOIN control.users u ON u.id = m.user_id").
		Where("m.tenant_id = ?", t).Where("m.active").Where("u.active").
		Order("m.created_at", "m.user_id").Limit(listLimit).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list the people of tenant %s: %w", t, err)
	}
	for _, role := range []string{"agent", "team_lead", "admin", "owner"} {
		agents := []uuid.UUID{}
		for _, r := range rows {
			if r.Role == role {
				agents = append(agents, r.UserID)
			}
		}
		if len(agents) > 0 {
			return agents, nil
		}
	}
	return nil, nil
}

// Next picks the agent with the fewest open leads; among equals the first. It
// returns the zero UUID when there is no agent.
func Next(agents []uuid.UUID, open map[uuid.UUID]int) uuid.UUID {
	var best uuid.UUID
	for _, a := range agents {
		if best == uuid.Nil || open[a] < open[best] {
			best = a
		}
	}
	return best
}
