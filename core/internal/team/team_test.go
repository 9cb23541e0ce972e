package team_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/dbtest"
	"github.com/stratohub/strato/core/internal/team"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/core/internal/tenanttest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// person is a member of an agency.
type person struct {
	role           string
	gone, switched bool // out of the agency; switched off everywhere
}

// join makes people members in the order given.
func join(t *testing.T, pool *tenant.Pool, agency tenant.Tenant, people ...person) []uuid.UUID {
	t.Helper()
	var ids []uuid.UUID
	at := time.Now().Add(-time.Hour)
	for n, p := range people {
		id := uuid.New()
		ids = append(ids, id)
		_, err := pool.Control().NewRaw(`insert into control.users (id, email, active) values (?, ?, ?)`,
			id, id.String()+"@example.com", !p.switched).Exec(t.Context())
		require.NoError(t, err)
		_, err = pool.Control().NewRaw(`insert into control.memberships (tenant_id, user_id, role, active, created_at) values (?, ?, ?, ?, ?)`,
			agency.ID, id, p.role, !p.gone, at.Add(time.Duration(n)*time.Minute)).Exec(t.Context())
		require.NoError(t, err)
	}
	return ids
}

func TestAgents(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		people []person
		want   []int
	}{
		"nobody":                {nil, nil},
		"agents, in order":      {[]person{{role: "owner"}, {role: "agent"}, {role: "team_lead"}, {role: "agent"}}, []int{1, 3}},
		"no agent":              {[]person{{role: "owner"}, {role: "admin"}, {role: "team_lead"}}, []int{2}},
		"only an owner":         {[]person{{role: "owner"}, {role: "viewer"}, {role: "analyst"}}, []int{0}},
		"only onlookers":        {[]person{{role: "viewer"}, {role: "analyst"}}, nil},
		"agents who are gone":   {[]person{{role: "agent", gone: true}, {role: "agent", switched: true}, {role: "admin"}}, []int{2}},
		"some agents are there": {[]person{{role: "agent", gone: true}, {role: "agent"}}, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			pool, agency := tenanttest.New(t)
			ids := join(t, pool, agency, tt.people...)
			other := tenanttest.Create(t, pool, dbtest.Database(t).Name)
			join(t, pool, other, person{role: "agent"})
			var want []uuid.UUID
			for _, n := range tt.want {
				want = append(want, ids[n])
			}
			got, err := team.NewRoster(pool).Agents(t.Context(), agency.ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestNext(t *testing.T) {
	t.Parallel()

	a, b, c := uuid.New(), uuid.New(), uuid.New()
	agents := []uuid.UUID{a, b, c}
	for name, tt := range map[string]struct {
		agents []uuid.UUID
		open   map[uuid.UUID]int
		want   uuid.UUID
	}{
		"nobody":               {nil, nil, uuid.Nil},
		"all free: the first":  {agents, nil, a},
		"the one with least":   {agents, map[uuid.UUID]int{a: 3, b: 1, c: 2}, b},
		"equals: the first":    {agents, map[uuid.UUID]int{a: 1, b: 0, c: 0}, b},
		"others' do not count": {agents, map[uuid.UUID]int{a: 1, uuid.New(): 0, b: 1, c: 1}, a},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			require.Equal(t, tt.want, team.Next(tt.agents, tt.open))
		})
	}

	t.Run("goes round", func(t *testing.T) {
		t.Parallel()

		open := map[uuid.UUID]int{}
		for range 30 {
			open[team.Next(agents, open)]++
		}
		require.Equal(t, map[uuid.UUID]int{a: 10, b: 10, c: 10}, open)
	})
}
