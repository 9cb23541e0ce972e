package rbac

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	stringadapter "github.com/casbin/casbin/v2/persist/string-adapter"
)

//go:embed model.conf
var modelText string

//go:embed policy.csv
var policyText string

// decision is the key of a decided question.
type decision struct {
	role       Role
	permission Permission
}

// Policy answers what roles may do. It is immutable, so any number of
// goroutines may ask without a lock. Make one with [New].
type Policy struct {
	decided     map[decision]bool
	permissions []Permission
}

// New reads the embedded policy and decides every question it can raise: an
// Enforce walks all lines, which is too slow for each request.
func New() (*Policy, error) { return parse(modelText, policyText) }

func parse(modelText, policyText string) (*Policy, error) {
	m, err := model.NewModelFromString(modelText)
	if err != nil {
		return nil, fmt.Errorf("read the permission model: %w", err)
	}
	e, err := casbin.NewEnforcer(m, stringadapter.NewAdapter(clean(policyText)))
	if err != nil {
		return nil, fmt.Errorf("read the permission policy: %w", err)
	}
	lines, err := e.GetPolicy()
	if err != nil {
		return nil, fmt.Errorf("list the permission policy: %w", err)
	}
	p := &Policy{decided: map[decision]bool{}}
	for _, line := range lines {
		if need := (Permission{line[1], line[2]}); !slices.Contains(p.permissions, need) {
			p.permissions = append(p.permissions, need)
		}
	}
	for _, role := range append(Roles(), RoleOperator) {
		for _, need := range p.permissions {
			ok, err := e.Enforce(string(role), need.Object, need.Action)
			if err != nil {
				return nil, fmt.Errorf("decide whether %s may %s: %w", role, need, err)
			}
			p.decided[decision{role, need}] = ok
		}
	}
	return p, nil
}

// clean drops comments and blank lines, which Casbin's adapter takes for rules.
func clean(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// Can reports whether the actor holds the permission. What the policy does not
// know is denied: an unknown role, object or action. A permission of the
// platform needs an operator, any other a role in a tenant.
func (p *Policy) Can(a Actor, need Permission) bool {
	if need.OfPlatform() {
		return a.Operator && p.decided[decision{RoleOperator, need}]
	}
	if a.Tenant.IsZero() || a.Role == RoleOperator {
		return false
	}
	return p.decided[decision{a.Role, need}]
}

// Permissions lists what the actor may do, in the policy's order.
func (p *Policy) Permissions(a Actor) []Permission {
	held := []Permission{}
	for _, need := range p.permissions {
		if p.Can(a, need) {
			held = append(held, need)
		}
	}
	return held
}

// Knows reports whether the policy speaks of the permission at all. A route
// that needs an unknown one would be closed to everybody.
func (p *Policy) Knows(need Permission) bool { return slices.Contains(p.permissions, need) }
