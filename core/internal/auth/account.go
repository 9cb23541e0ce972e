package auth

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Faults about users and memberships.
var (
	ErrUserNotFound = fault.New(fault.NotFound, "user.not_found", "There is no such user.")
	ErrEmail        = fault.New(fault.Invalid, "user.email", "That is not an e-mail address.")
	ErrEmailTaken   = fault.New(fault.Conflict, "user.email_taken", "There is a user with that e-mail address already.")
	ErrRole         = fault.New(fault.Invalid, "user.role", "There is no such role.")
	ErrUnavailable  = fault.New(fault.Unavailable, "session.unavailable", "Sign-in is not possible at the moment. Try again shortly.")
)

// User is a person who may sign in, whatever the agencies they belong to.
type User struct {
	bun.BaseModel `bun:"table:control.users,alias:u"`

	ID           rbac.UserID `bun:",pk"`
	Email        string      // lower case, unique
	Name         string
	PasswordHash string `bun:"password_hash"` // empty if they cannot sign in by password
	Locale       string // BCP 47
	Operator     bool   // may act on the platform
	Active       bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Membership is what a user is in an agency.
type Membership struct {
	Tenant  tenant.ID
	Slug    string
	Name    string // the agency's
	Role    rbac.Role
	Version int // grows with each change
}

// Accounts keeps users and their memberships in the control plane. It is safe
// for concurrent use.
type Accounts struct {
	db      *bun.DB
	revoked func(ctx context.Context, r revocation) // nil tells nobody
}

// NewAccounts returns the accounts in a control database. Changes made through
// it reach nodes that serve when their access tokens are renewed; those made
// through [Service.Accounts] reach them at once.
func NewAccounts(db *bun.DB) *Accounts { return &Accounts{db: db} }

// NewUser describes a user to be.
type NewUser struct {
	Email    string
	Name     string
	Password string // empty makes a user who cannot sign in by password
	Locale   string // empty is es-AR
	Operator bool
}

// CreateUser makes a user. It returns ErrEmail, ErrPassword or ErrEmailTaken.
func (a *Accounts) CreateUser(ctx context.Context, in NewUser) (User, error) {
	email, err := normalizeEmail(in.Email)
	if err != nil {
		return User{}, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	u := User{
		ID: rbac.NewUserID(), Email: email, Name: strings.TrimSpace(in.Name), Locale: in.Locale,
		Operator: in.Operator, Active: true, CreatedAt: now, UpdatedAt: now,
	}
	if u.Locale == "" {
		u.Locale = "es-AR"
	}
	if in.Password != "" {
		if err := checkPassword(in.Password, email); err != nil {
			return User{}, err
		}
		u.PasswordHash = hash(in.Password)
	}
	_, err = a.db.NewInsert().Model(&u).Exec(ctx)
	if postgres.IsUnique(err, "users_email_key") {
		return User{}, ErrEmailTaken.At("/email", "belongs to a user already")
	}
	if err != nil {
		return User{}, explain(fmt.Errorf("create user: %w", err))
	}
	return u, nil
}

// UserByEmail returns a user, active or not, or ErrUserNotFound.
func (a *Accounts) UserByEmail(ctx context.Context, email string) (User, error) {
	return a.userWhere(ctx, "u.email = ?", strings.ToLower(strings.TrimSpace(email)))
}

func (a *Accounts) userWhere(ctx context.Context, where string, arg any) (User, error) {
	var u User
	err := a.db.NewSelect().Model(&u).Where(where, arg).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, ErrUserNotFound
	}
	if err != nil {
		return User{}, explain(fmt.Errorf("look up user: %w", err))
	}
	return u, nil
}

// SetPassword changes a user's password and ends all their sessions.
func (a *Accounts) SetPassword(ctx context.Context, user rbac.UserID, password string) error {
	u, err := a.userWhere(ctx, "u.id = ?", user)
	if err != nil {
		return err
	}
	if err := checkPassword(password, u.Email); err != nil {
		return err
	}
	if err := a.storeHash(ctx, user, hash(password)); err != nil {
		return err
	}
	return a.EndSessions(ctx, user, "password changed")
}

func (a *Accounts) storeHash(ctx context.Context, user rbac.UserID, hash string) error {
	_, err := a.db.ExecContext(ctx, "UPDATE control.users SET password_hash = ?, updated_at = now() WHERE id = ?", hash, user)
	if err != nil {
		return explain(fmt.Errorf("store the password of user %s: %w", user, err))
	}
	return nil
}

// SetActive lets a user sign in or not. Whoever is switched off is signed out.
func (a *Accounts) SetActive(ctx context.Context, user rbac.UserID, active bool) error {
	_, err := a.db.ExecContext(ctx, "UPDATE control.users SET active = ?, updated_at = now() WHERE id = ?", active, user)
	if err != nil {
		return explain(fmt.Errorf("switch user %s: %w", user, err))
	}
	if active {
		return nil
	}
	return a.EndSessions(ctx, user, "user switched off")
}

// SetMembership makes a user a member of an agency, or changes the role of one.
// A new role holds at once where it can be told, else when access tokens are
// renewed.
func (a *Accounts) SetMembership(ctx context.Context, user rbac.UserID, t tenant.ID, role rbac.Role) error {
	if !slices.Contains(rbac.Roles(), role) {
		return ErrRole.At("/role", "want one of owner, admin, team_lead, agent, analyst, viewer")
	}
	var version int
	err := a.db.QueryRowContext(ctx, `
		INSERT INTO control.memberships AS m (tenant_id, user_id, role) VALUES (?, ?, ?)
		ON CONFLICT (tenant_id, user_id) DO UPDATE SET
			role = excluded.role, active = true, updated_at = now(),
			version = m.version + CASE WHEN m.role <> excluded.role OR NOT m.active THEN 1 ELSE 0 END
		RETURNING version`, t, user, role).Scan(&version)
	if err != nil {
		return explain(fmt.Errorf("make user %s a member of %s: %w", user, t, err))
	}
	a.tell(ctx, revocation{Tenant: t, User: user, Version: version})
	return nil
}

// EndMembership takes a user out of an agency and ends their sessions there.
func (a *Accounts) EndMembership(ctx context.Context, user rbac.UserID, t tenant.ID) error {
	var version int
	err := a.db.QueryRowContext(ctx, `
		UPDATE control.memberships SET active = false, version = version + 1, updated_at = now()
		WHERE tenant_id = ? AND user_id = ? AND active RETURNING version`, t, user).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrUserNotFound
	}
	if err != nil {
		return explain(fmt.Errorf("end the membership of user %s in %s: %w", user, t, err))
	}
	a.tell(ctx, revocation{Tenant: t, User: user, Version: version})
	return nil
}

// Memberships lists the active agencies that a user is an active member of, by
// name.
func (a *Accounts) Memberships(ctx context.Context, user rbac.UserID) ([]Membership, error) {
	rows, err := a.db.QueryContext(ctx, `
		SELECT t.id, t.slug, t.name, m.role, m.version
		FROM control.memberships m JOIN control.tenants t ON t.id = m.tenant_id
		WHERE m.user_id = ? AND m.active AND t.active ORDER BY t.name, t.id LIMIT 1000`, user)
	if err != nil {
		return nil, explain(fmt.Errorf("list memberships of user %s: %w", user, err))
	}
	defer rows.Close()
	list := []Membership{}
	for rows.Next() {
		var m Membership
		if err := rows.Scan(&m.Tenant, &m.Slug, &m.Name, &m.Role, &m.Version); err != nil {
			return nil, fmt.Errorf("scan membership: %w", err)
		}
		list = append(list, m)
	}
	if err := rows.Err(); err != nil {
		return nil, explain(fmt.Errorf("list memberships of user %s: %w", user, err))
	}
	return list, nil
}

// EndSessions signs a user out everywhere. why is kept for support.
func (a *Accounts) EndSessions(ctx context.Context, user rbac.UserID, why string) error {
	return a.endWhere(ctx, why, "user_id = ?", user)
}

func (a *Accounts) endWhere(ctx context.Context, why, where string, arg any) error {
	rows, err := a.db.QueryContext(ctx, "UPDATE control.sessions SET revoked_at = now(), revoked_for = ? WHERE revoked_at IS NULL AND "+
		where+" RETURNING id", why, arg)
	if err != nil {
		return explain(fmt.Errorf("end sessions: %w", err))
	}
	defer rows.Close()
	for rows.Next() {
		var s rbac.SessionID
		if err := rows.Scan(&s); err != nil {
			return fmt.Errorf("scan session: %w", err)
		}
		a.tell(ctx, revocation{Session: s})
	}
	if err := rows.Err(); err != nil {
		return explain(fmt.Errorf("end sessions: %w", err))
	}
	return nil
}

func (a *Accounts) tell(ctx context.Context, r revocation) {
	if a.revoked != nil {
		a.revoked(ctx, r)
	}
}

func normalizeEmail(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || len(s) > 254 {
		return "", ErrEmail.At("/email", "is not an e-mail address")
	}
	return s, nil
}

// explain turns the loss of the control database into words for the user.
func explain(err error) error {
	if err != nil && postgres.IsUnavailable(err) {
		return ErrUnavailable.With(err)
	}
	return err
}
