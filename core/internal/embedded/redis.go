package embedded

import (
	"crypto/rand"
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// Redis is an imitation of Redis inside this process, on a loopback port of its
// own. What it holds is gone when it stops, which Strato is built to bear: a
// cache is filled again, and rate limits begin anew.
type Redis struct {
	server *miniredis.Miniredis
	pass   string
}

// StartRedis starts it with a password, so that other users of the machine stay
// out.
func StartRedis() (*Redis, error) {
	r := &Redis{server: miniredis.NewMiniRedis(), pass: rand.Text()}
	r.server.RequireAuth(r.pass)
	r.server.ClockTTL(true) // otherwise nothing would ever expire
	if err := r.server.StartAddr(loopback(0)); err != nil {
		return nil, fmt.Errorf("start embedded Redis: %w", err)
	}
	return r, nil
}

// URL is its address, with the password.
func (r *Redis) URL() string { return "redis://:" + r.pass + "@" + r.server.Addr() + "/0" }

// Stop ends it and all connections to it.
func (r *Redis) Stop() { r.server.Close() }
