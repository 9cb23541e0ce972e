package rbac_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

// granted is the whole matrix, written down a second time on purpose: a change
// of policy.csv must be meant.
var granted = map[rbac.Permission]string{
	rbac.Read("lead"):           "owner admin team_lead agent analyst viewer",
	rbac.Write("lead"):          "owner admin team_lead agent",
	rbac.Read("contact"):        "owner admin team_lead agent analyst viewer",
	rbac.Write("contact"):       "owner admin team_lead agent",
	rbac.Read("event"):          "owner admin team_lead agent analyst viewer",
	rbac.Read("conversation"):   "owner admin team_lead agent analyst viewer",
	rbac.Write("conversation"):  "owner admin team_lead agent",
	rbac.Read("message"):        "owner admin team_lead agent analyst viewer",
	rbac.Send("message"):        "owner admin team_lead agent",
	rbac.Read("assistant"):      "owner admin team_lead agent analyst",
	rbac.Manage("assistant"):    "owner admin",
	rbac.Read("automation"):     "owner admin team_lead analyst",
	rbac.Manage("automation"):   "owner admin",
	rbac.Read("plugin"):         "owner admin team_lead",
	rbac.Read("installation"):   "owner admin team_lead",
	rbac.Manage("installation"): "owner admin",
	rbac.Read("user"):           "owner admin team_lead agent analyst",
	rbac.Manage("user"):         "owner admin",
	rbac.Read("tenant"):         "owner admin team_lead agent analyst viewer",
	rbac.Manage("tenant"):       "owner",

	rbac.Platform(rbac.Read("tenant")):   "operator",
	rbac.Platform(rbac.Manage("tenant")): "operator",
	rbac.Platform(rbac.Read("plugin")):   "operator",
	rbac.Platform(rbac.Manage("plugin")): "operator",
	rbac.Platform(rbac.Manage("user")):   "operator",
	rbac.Platform(rbac.Read("queue")):    "operator",
	rbac.Platform(rbac.Manage("queue")):  "operator",
}

func TestEveryRoleAndPermission(t *testing.T) {
	t.Parallel()

	policy, err := rbac.New()
	require.NoError(t, err)
	someone := id.New[tenant.Tenant]()

	actors := map[string]rbac.Actor{"operator": {Operator: true}}
	for _, role := range rbac.Roles() {
		actors[string(role)] = rbac.Actor{Tenant: someone, Role: role}
	}
	for need, roles := range granted {
		for name, actor := range actors {
			t.Run(need.String()+" by "+name, func(t *testing.T) {
				t.Parallel()

				want := slices.Contains(strings.Fields(roles), name)
				require.Equal(t, want, policy.Can(actor, need))
				if want {
					require.Contains(t, policy.Permissions(actor), need)
				} else {
					require.NotContains(t, policy.Permissions(actor), need)
				}
			})
		}
		require.True(t, policy.Knows(need), need)
	}
	for _, actor := range actors {
		for _, held := range policy.Permissions(actor) {
			require.Contains(t, granted, held, "policy.csv grants what this table does not know")
		}
	}
}

func TestDeniesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()

	policy, err := rbac.New()
	require.NoError(t, err)
	someone := id.New[tenant.Tenant]()

	for name, tt := range map[string]struct {
		actor rbac.Actor
		need  rbac.Permission
	}{
		"nobody":                      {rbac.Actor{}, rbac.Read("lead")},
		"no permission":               {rbac.Actor{Tenant: someone, Role: rbac.RoleOwner}, rbac.Permission{}},
		"unknown object":              {rbac.Actor{Tenant: someone, Role: rbac.RoleOwner}, rbac.Read("moon")},
		"unknown action":              {rbac.Actor{Tenant: someone, Role: rbac.RoleOwner}, rbac.Permission{Object: "lead", Action: "fry"}},
		"unknown role":                {rbac.Actor{Tenant: someone, Role: "king"}, rbac.Read("lead")},
		"role without a tenant":       {rbac.Actor{Role: rbac.RoleOwner}, rbac.Read("lead")},
		"operator as a tenant's role": {rbac.Actor{Tenant: someone, Role: rbac.RoleOperator}, rbac.Platform(rbac.Read("tenant"))},
		"operator inside a tenant":    {rbac.Actor{Tenant: someone, Operator: true}, rbac.Read("lead")},
		"owner on the platform":       {rbac.Actor{Tenant: someone, Role: rbac.RoleOwner}, rbac.Platform(rbac.Read("tenant"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			require.False(t, policy.Can(tt.actor, tt.need))
		})
	}
}

func TestOperatorWhoIsAlsoAMember(t *testing.T) {
	t.Parallel()

	policy, err := rbac.New()
	require.NoError(t, err)
	both := rbac.Actor{Tenant: id.New[tenant.Tenant](), Role: rbac.RoleViewer, Operator: true}

	require.True(t, policy.Can(both, rbac.Read("lead")))
	require.False(t, policy.Can(both, rbac.Write("lead")))
	require.True(t, policy.Can(both, rbac.Platform(rbac.Manage("tenant"))))
}

func BenchmarkCan(b *testing.B) {
	policy, err := rbac.New()
	require.NoError(b, err)
	actor := rbac.Actor{Tenant: id.New[tenant.Tenant](), Role: rbac.RoleAgent}
	need := rbac.Write("lead")

	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if !policy.Can(actor, need) {
				b.Fail()
			}
		}
	})
}
