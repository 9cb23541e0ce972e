// Package rbac decides who may do what. A role may do actions on objects; the
// policy is one embedded file for all tenants, read by Casbin once and kept as
// decided answers. Which rows an actor sees is not decided here: tenants are
// kept apart by package tenant.
package rbac

import (
	"strings"
	"time"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// UserID identifies a person who signs in, whatever the tenant.
type UserID = id.Of[userMark]

// SessionID identifies one sign-in.
type SessionID = id.Of[sessionMark]

type (
	userMark    struct{}
	sessionMark struct{}
)

// NewUserID returns a fresh identifier.
func NewUserID() UserID { return id.New[userMark]() }

// NewSessionID returns a fresh identifier.
func NewSessionID() SessionID { return id.New[sessionMark]() }

// Role is what a member is in a tenant.
type Role string

// The built-in roles. RoleOperator belongs to the platform, outside every
// tenant; a membership never has it.
const (
	RoleOwner    Role = "owner"
	RoleAdmin    Role = "admin"
	RoleTeamLead Role = "team_lead"
	RoleAgent    Role = "agent"
	RoleAnalyst  Role = "analyst"
	RoleViewer   Role = "viewer"
	RoleOperator Role = "operator"
)

// Roles lists the roles a membership may have, the most powerful first.
func Roles() []Role {
	return []Role{RoleOwner, RoleAdmin, RoleTeamLead, RoleAgent, RoleAnalyst, RoleViewer}
}

// Actor is who asks. The zero Actor may do nothing.
type Actor struct {
	User     UserID
	Tenant   tenant.ID // zero outside every tenant, as for an operator
	Role     Role      // in Tenant; empty outside every tenant
	Operator bool      // may act on the platform
	Session  SessionID
	Version  int       // of the membership when the actor signed in or refreshed
	Expires  time.Time // when the proof of who the actor is ends; zero is never
}

// Permission is an action on a kind of object, both in lower case. The zero
// Permission is granted to nobody.
type Permission struct {
	Object string
	Action string
}

// String returns "object:action".
func (p Permission) String() string { return p.Object + ":" + p.Action }

// Read is the permission to see objects of a kind.
func Read(object string) Permission { return Permission{object, "read"} }

// Write is the permission to create and change objects of a kind.
func Write(object string) Permission { return Permission{object, "write"} }

// Send is the permission to send something out to customers.
func Send(object string) Permission { return Permission{object, "send"} }

// Manage is the permission to set up objects of a kind for the whole tenant.
func Manage(object string) Permission { return Permission{object, "manage"} }

// Platform turns a permission into the operator's over all tenants, such as
// Platform(Manage("tenant")).
func Platform(p Permission) Permission { return Permission{platformPrefix + p.Object, p.Action} }

const platformPrefix = "platform."

// OfPlatform reports whether the permission lies outside every tenant.
func (p Permission) OfPlatform() bool { return strings.HasPrefix(p.Object, platformPrefix) }
