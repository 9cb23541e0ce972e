package auth

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
	"github.com/stratohub/strato/core/internal/tenant"
)

// grace is how long a refresh token may be used once more after it was renewed:
// browser tabs renew at the same moment, and answers get lost.
const grace = 30 * time.Second

// session is a sign-in. All refresh tokens that came from it are one family.
type session struct {
	bun.BaseModel `bun:"table:control.sessions,alias:s"`

	ID           rbac.SessionID `bun:",pk"`
	UserID       rbac.UserID
	TenantID     tenant.ID `bun:",nullzero"` // zero for an operator outside every agency
	TokenHash    []byte
	PreviousHash []byte
	RotatedAt    time.Time `bun:",nullzero"`
	UserAgent    string
	Address      string
	CreatedAt    time.Time
	LastSeenAt   time.Time
	ExpiresAt    time.Time
	RevokedAt    time.Time `bun:",nullzero"`
	RevokedFor   string
}

// open stores a new session and returns its first refresh token.
func (s *Service) open(ctx context.Context, user rbac.UserID, t tenant.ID, c rest.Client) (session, refreshToken, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	token := newRefresh(rbac.NewSessionID())
	row := session{
		ID: token.session, UserID: user, TenantID: t, TokenHash: token.hash(), UserAgent: clean(c.UserAgent),
		CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(refreshLife),
	}
	if c.Address.IsValid() {
		row.Address = c.Address.String()
	}
	if _, err := s.db.NewInsert().Model(&row).Exec(ctx); err != nil {
		return session{}, refreshToken{}, explain(fmt.Errorf("open a session: %w", err))
	}
	return row, token, nil
}

// clean drops what PostgreSQL cannot store.
func clean(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "") }

// rotate renews a refresh token. A token that was renewed before, beyond the
// grace, has been stolen from somebody: the session ends. An address that names
// an agency must name the session's.
func (s *Service) rotate(ctx context.Context, presented refreshToken, byAddress tenant.ID) (session, refreshToken, error) {
	var row session
	var renewed refreshToken
	reused := false
	err := s.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		err := tx.NewSelect().Model(&row).Where("s.id = ?", presented.session).For("UPDATE").Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrSession
		}
		if err != nil {
			return fmt.Errorf("lock session: %w", err)
		}
		now := time.Now().UTC().Truncate(time.Microsecond)
		if !row.RevokedAt.IsZero() || now.After(row.ExpiresAt) {
			return ErrSession
		}
		if !byAddress.IsZero() && byAddress != row.TenantID {
			return ErrNotMember
		}
		hash := presented.hash()
		switch {
		case bytes.Equal(hash, row.TokenHash):
			renewed = s.signer.next(presented, 0)
			row.PreviousHash, row.TokenHash, row.RotatedAt = hash, renewed.hash(), now
		case bytes.Equal(hash, row.PreviousHash) && now.Sub(row.RotatedAt) < grace:
			for i := range s.signer.refresh {
				if t := s.signer.next(presented, i); bytes.Equal(t.hash(), row.TokenHash) {
					renewed = t
					return nil
				}
			}
			return ErrSession
		default:
			reused = true
			return ErrSession
		}
		row.LastSeenAt, row.ExpiresAt = now, now.Add(refreshLife)
		_, err = tx.NewUpdate().Model(&row).Column("token_hash", "previous_hash", "rotated_at", "last_seen_at", "expires_at").WherePK().Exec(ctx)
		if err != nil {
			return fmt.Errorf("renew session: %w", err)
		}
		return nil
	})
	if reused {
		s.log.WarnContext(ctx, "a refresh token was used again; its session is ended", "session", row.ID.String(), "user", row.UserID.String())
		if err := s.endSession(ctx, row.ID, "refresh token reused"); err != nil {
			return session{}, refreshToken{}, err
		}
	}
	if err != nil {
		return session{}, refreshToken{}, explain(err)
	}
	return row, renewed, nil
}

func (s *Service) endSession(ctx context.Context, id rbac.SessionID, why string) error {
	return s.endWhere(ctx, why, "id = ?", id)
}

// PruneSessions deletes sessions that ended a while ago, a thousand at most, and
// returns how many.
func (a *Accounts) PruneSessions(ctx context.Context, before time.Time) (int64, error) {
	res, err := a.db.ExecContext(ctx, `DELETE FROM control.sessions WHERE id IN
		(SELECT id FROM control.sessions WHERE expires_at < ? ORDER BY expires_at LIMIT 1000)`, before)
	if err != nil {
		return 0, explain(fmt.Errorf("prune sessions: %w", err))
	}
	return res.RowsAffected()
}
