// Package cache is Strato's use of Redis: values that may be lost, rate limits,
// and word from node to node. Losing Redis makes Strato slower and loses
// nothing, so no function here returns an error that a user could see: a value
// is not there, a limit is kept by this node alone, word is delivered on this
// node only and made up for later.
//
// Values are not encrypted. Never store a secret.
package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// deadline bounds each exchange with Redis. A healthy one answers in well under
// a millisecond.
const deadline = 250 * time.Millisecond

// pause is how long Redis is left alone after it failed.
const pause = time.Second

// Key names a value, a limit or a channel. Make one with [TenantKey] or
// [GlobalKey], so that no tenant can reach another's.
type Key struct{ name string }

// TenantKey is a key of one tenant.
func TenantKey(tenant uuid.UUID, parts ...string) Key {
	return Key{"t:{" + tenant.String() + "}:" + join(parts)}
}

// GlobalKey is a key outside every tenant.
func GlobalKey(parts ...string) Key { return Key{"g:" + join(parts)} }

// join escapes the separator, so that different parts never make one key.
func join(parts []string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = strings.NewReplacer("%", "%25", ":", "%3A").Replace(p)
	}
	return strings.Join(escaped, ":")
}

// String is the key as Redis knows it.
func (k Key) String() string { return k.name }

// Cache talks to one Redis. It is safe for concurrent use. Make one with
// [Open].
type Cache struct {
	client *redis.Client
	log    *slog.Logger
	health health
}

// Open prepares a client for a URL such as redis://host:6379/0. It does not
// connect: Redis may come later.
func Open(url string, log *slog.Logger) (*Cache, error) {
	quiet()
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("the Redis URL cannot be read; want redis://[user:password@]host:port/number") // it may hold a password
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = deadline, deadline, deadline, deadline
	o.MaxRetries, o.DialerRetries = -1, 1
	o.ContextTimeoutEnabled = true
	o.DisableIdentity = true // spares a round trip on each new connection
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &Cache{client: redis.NewClient(o), log: log}, nil
}

// quiet silences the client's own logger, which writes to standard error what
// this package reports by itself.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Close ends all connections.
func (c *Cache) Close() error { return c.client.Close() }

// Ping returns why Redis cannot be used, or nil. It is for readiness checks and
// asks even while Redis is left alone.
func (c *Cache) Ping(ctx context.Context) error {
	err := c.client.Ping(ctx).Err()
	if ctx.Err() == nil {
		c.note(err)
	}
	if err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	return nil
}

// Up reports whether the last exchange with Redis worked.
func (c *Cache) Up() bool { return !c.health.down() }

// Get returns a value, or false if there is none or Redis is down.
func (c *Cache) Get(ctx context.Context, k Key) ([]byte, bool) {
	var value []byte
	err := c.try(ctx, func(ctx context.Context) (err error) {
		value, err = c.client.Get(ctx, k.name).Bytes()
		return err
	})
	return value, err == nil
}

// Set stores a value for a while. ttl must be positive.
func (c *Cache) Set(ctx context.Context, k Key, value []byte, ttl time.Duration) {
	_ = c.try(ctx, func(ctx context.Context) error { return c.client.Set(ctx, k.name, value, ttl).Err() })
}

// Drop removes values.
func (c *Cache) Drop(ctx context.Context, keys ...Key) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	_ = c.try(ctx, func(ctx context.Context) error { return c.client.Unlink(ctx, names...).Err() })
}

// put stores a version unless a newer one is known, even one without a value.
var put = redis.NewScript(`
local known = redis.call('HGET', KEYS[1], 'v')
if known and tonumber(known) > tonumber(ARGV[1]) then return 0 end
if known and tonumber(known) == tonumber(ARGV[1]) and ARGV[2] == '0' then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'v', ARGV[1])
if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'd', ARGV[3]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`)

// GetVersion returns a value and its version, or false if there is none.
func (c *Cache) GetVersion(ctx context.Context, k Key) (value []byte, version int64, ok bool) {
	var row struct {
		Version int64   `redis:"v"`
		Value   *string `redis:"d"`
	}
	err := c.try(ctx, func(ctx context.Context) error { return c.client.HGetAll(ctx, k.name).Scan(&row) })
	if err != nil || row.Value == nil {
		return nil, 0, false
	}
	return []byte(*row.Value), row.Version, true
}

// SetVersion stores a value unless a newer version is known, so that a slow
// writer cannot restore what has been replaced. Versions must be below 2^53.
func (c *Cache) SetVersion(ctx context.Context, k Key, version int64, value []byte, ttl time.Duration) {
	_ = c.try(ctx, func(ctx context.Context) error {
		return put.Run(ctx, c.client, []string{k.name}, version, 1, value, ttl.Milliseconds()).Err()
	})
}

// Outdate removes values older than a version and remembers it for a while, so
// that none of them comes back.
func (c *Cache) Outdate(ctx context.Context, k Key, version int64, ttl time.Duration) {
	_ = c.try(ctx, func(ctx context.Context) error {
		return put.Run(ctx, c.client, []string{k.name}, version, 0, "", ttl.Milliseconds()).Err()
	})
}

// errResting is returned while Redis is left alone.
var errResting = errors.New("cache: redis is down")

// try runs f unless Redis failed a moment ago, so that a dead Redis costs a
// request nothing but now and then one deadline.
func (c *Cache) try(ctx context.Context, f func(context.Context) error) error {
	if c.health.resting(time.Now()) {
		return errResting
	}
	within, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	err := f(within)
	if err != nil && ctx.Err() != nil {
		return err // the caller gave up; that says nothing about Redis
	}
	c.note(err)
	return err
}

// note remembers how an exchange ended and logs when that changes.
func (c *Cache) note(err error) {
	if err == nil || !broken(err) {
		if c.health.rise() {
			c.log.Info("redis is back")
		}
		return
	}
	if c.health.fall(time.Now().Add(pause)) {
		c.log.Warn("redis is down; going on without it", slog.String("error", err.Error()))
	}
}

// broken tells a failure of Redis from an answer such as "no such key".
func broken(err error) bool {
	if errors.Is(err, redis.Nil) {
		return false
	}
	if answer, ok := errors.AsType[redis.Error](err); ok {
		// Still loading, or out of memory: it answers but cannot serve.
		text := answer.Error()
		return strings.HasPrefix(text, "LOADING") || strings.HasPrefix(text, "OOM") || strings.HasPrefix(text, "MISCONF") ||
			strings.HasPrefix(text, "READONLY") || strings.HasPrefix(text, "NOAUTH") || strings.HasPrefix(text, "WRONGPASS")
	}
	return true
}

// health is whether Redis worked last, and until when it is left alone.
type health struct {
	mu     sync.Mutex
	failed bool
	until  time.Time
}

func (h *health) down() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

// resting reports whether to leave Redis alone now. After the pause one caller
// gets through and the others go on waiting for its verdict.
func (h *health) resting(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.failed {
		return false
	}
	if now.Before(h.until) {
		return true
	}
	h.until = now.Add(pause)
	return false
}

func (h *health) rise() (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed, h.failed = h.failed, false
	return changed
}

func (h *health) fall(until time.Time) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed, h.failed, h.until = !h.failed, true, until
	return changed
}
