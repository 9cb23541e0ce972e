package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/secret"
	"github.com/stratohub/strato/core/internal/tenant"
)

const (
	accessLife  = 10 * time.Minute
	refreshLife = 30 * 24 * time.Hour
	issuer      = "strato"
)

// signer makes and reads tokens. The first key signs, all verify.
type signer struct {
	access  []secret.Key
	refresh []secret.Key
}

func newSigner(ring *secret.Ring) *signer {
	return &signer{access: ring.DeriveKeys("access-token"), refresh: ring.DeriveKeys("refresh-token")}
}

// claims are what an access token says. They name the role, not what it may do.
type claims struct {
	jwt.RegisteredClaims
	Tenant   string `json:"tid,omitempty"`
	Role     string `json:"role,omitempty"`
	Version  int    `json:"rv,omitempty"`
	Session  string `json:"sid"`
	Operator bool   `json:"op,omitempty"`
}

// signAccess returns a token for an actor and when it ends.
func (s *signer) signAccess(a rbac.Actor, now time.Time) (token string, expires time.Time, err error) {
	expires = now.Add(accessLife)
	c := claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: a.User.String(), IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
		},
		Role: string(a.Role), Version: a.Version, Session: a.Session.String(), Operator: a.Operator,
	}
	if !a.Tenant.IsZero() {
		c.Tenant = a.Tenant.String()
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	t.Header["kid"] = s.access[0].ID
	token, err = t.SignedString(s.access[0].Bytes())
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign an access token: %w", err)
	}
	return token, expires, nil
}

// readAccess returns who holds a token, if it is ours and has not ended.
func (s *signer) readAccess(token string, now time.Time) (rbac.Actor, error) {
	var c claims
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(2*time.Second), jwt.WithTimeFunc(func() time.Time { return now }),
	)
	_, err := parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		for _, k := range s.access {
			if k.ID == kid {
				return k.Bytes(), nil
			}
		}
		return nil, errors.New("its key is unknown")
	})
	if err != nil {
		return rbac.Actor{}, err
	}
	a := rbac.Actor{Role: rbac.Role(c.Role), Version: c.Version, Operator: c.Operator, Expires: c.ExpiresAt.Time}
	if a.User.UUID, err = uuid.Parse(c.Subject); err != nil {
		return rbac.Actor{}, fmt.Errorf("read the subject: %w", err)
	}
	if a.Session.UUID, err = uuid.Parse(c.Session); err != nil {
		return rbac.Actor{}, fmt.Errorf("read the session: %w", err)
	}
	if c.Tenant != "" {
		if a.Tenant, err = id.Parse[tenant.Tenant](c.Tenant); err != nil {
			return rbac.Actor{}, fmt.Errorf("read the tenant: %w", err)
		}
	}
	return a, nil
}

// refreshToken is the text "session.secret.mac". The mac tells ours from
// forgeries, so that only a token that was really given out can end a session by
// being used again.
type refreshToken struct {
	session rbac.SessionID
	secret  []byte
}

const secretSize = 32

func newRefresh(session rbac.SessionID) refreshToken {
	raw := make([]byte, secretSize)
	_, _ = rand.Read(raw) // never fails
	return refreshToken{session, raw}
}

// hash is what is stored of the token.
func (t refreshToken) hash() []byte {
	sum := sha256.Sum256(t.secret)
	return sum[:]
}

// next is the token that replaces t. Two tabs that renew the same token at the
// same time get the same one.
func (s *signer) next(t refreshToken, key int) refreshToken {
	return refreshToken{t.session, mac(s.refresh[key], "next", t)}
}

func (s *signer) encode(t refreshToken) string {
	b := base64.RawURLEncoding
	return strings.Join([]string{t.session.String(), b.EncodeToString(t.secret), b.EncodeToString(mac(s.refresh[0], "own", t)[:16])}, ".")
}

var errForged = errors.New("not a refresh token of ours")

func (s *signer) decode(text string) (refreshToken, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return refreshToken{}, errForged
	}
	var t refreshToken
	var err error
	if t.session.UUID, err = uuid.Parse(parts[0]); err != nil {
		return refreshToken{}, errForged
	}
	b := base64.RawURLEncoding.Strict()
	if t.secret, err = b.DecodeString(parts[1]); err != nil || len(t.secret) != secretSize {
		return refreshToken{}, errForged
	}
	sum, err := b.DecodeString(parts[2])
	if err != nil {
		return refreshToken{}, errForged
	}
	for _, k := range s.refresh {
		if hmac.Equal(sum, mac(k, "own", t)[:16]) {
			return t, nil
		}
	}
	return refreshToken{}, errForged
}

func mac(k secret.Key, use string, t refreshToken) []byte {
	h := hmac.New(sha256.New, k.Bytes())
	h.Write([]byte(use))
	h.Write(t.session.UUID[:])
	h.Write(t.secret)
	return h.Sum(nil)
}
