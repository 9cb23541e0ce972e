// Package team knows an agency's people and to whom the next enquiry goes.
package team

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/tenant"
)

// listLimit bounds an agency's people in a list.
const listLimit = 1000

// Agents returns the people of a tenant who take enquiries: active members with
// the role agent or, when there is none, team leads, then admins, then owners.
// The order is stable.
func Agents(ctx context.Context, p *tenant.Pool, t tenant.ID) ([]uuid.UUID, error) {
	rows := []struct {
		UserID uuid.UUID
		Role   string
	}{}
	err := p.Control().NewSelect().TableExpr("control.memberships AS m").ColumnExpr("m.user_id, m.role").
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
