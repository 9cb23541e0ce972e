package host

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"
)

// grantLife is how long a call's token opens the host's services.
const grantLife = 5 * time.Minute

// Caller is on whose behalf a plugin asks for a service of the host.
type Caller struct {
	Plugin, Version, Tenant, Installation string
}

type callerKey struct{}

// CallerOf returns who a service of the host works for. It is false outside of
// a call of [Config.Services].
func CallerOf(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// grants gives out tokens and knows them again. The key is the process's own,
// so a token is worth nothing to another process, the next of the same plugin
// included, and nothing needs to be remembered of calls that ended.
type grants struct{ key [32]byte }

func newGrants() *grants {
	g := &grants{}
	_, _ = rand.Read(g.key[:])
	return g
}

// grant is what a token says. It is no secret: only who can make one is.
type grant struct {
	Tenant       string `json:"t"`
	Installation string `json:"i"`
	Until        int64  `json:"u"` // Unix seconds
	Nonce        []byte `json:"n"`
}

// issue makes a token for a call that begins now.
func (g *grants) issue(tenant, installation string, now time.Time) string {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	body, err := json.Marshal(grant{tenant, installation, now.Add(grantLife).Unix(), nonce})
	if err != nil {
		return "" // strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(append(g.sign(body), body...))
}

// verify returns what a token is good for.
func (g *grants) verify(token string, now time.Time) (grant, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < sha256.Size || !hmac.Equal(raw[:sha256.Size], g.sign(raw[sha256.Size:])) {
		return grant{}, false
	}
	var out grant
	if json.Unmarshal(raw[sha256.Size:], &out) != nil || out.Installation == "" {
		return grant{}, false
	}
	return out, now.Unix() < out.Until
}

func (g *grants) sign(body []byte) []byte {
	m := hmac.New(sha256.New, g.key[:])
	_, _ = m.Write(body)
	return m.Sum(nil)
}
