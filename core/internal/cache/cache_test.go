package cache_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/cache"
	"github.com/stratohub/strato/core/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func open(t *testing.T, url string) *cache.Cache {
	t.Helper()
	c, err := cache.Open(url, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// mini is a Redis in the process, which a test can break.
func mini(t *testing.T) (*miniredis.Miniredis, *cache.Cache) {
	t.Helper()
	m := miniredis.RunT(t)
	return m, open(t, "redis://"+m.Addr())
}

// servers runs f on a real Redis and on the one that Strato embeds.
func servers(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()

		f(t, dbtest.Redis(t))
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()

		f(t, "redis://"+miniredis.RunT(t).Addr())
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()

	acme, norte := uuid.New(), uuid.New()
	require.Equal(t, "t:{"+acme.String()+"}:a:b", cache.TenantKey(acme, "a", "b").String())
	require.NotEqual(t, cache.TenantKey(acme, "a"), cache.TenantKey(norte, "a"))
	require.NotEqual(t, cache.TenantKey(acme, "a:b"), cache.TenantKey(acme, "a", "b"))
	require.NotEqual(t, cache.GlobalKey("a%3Ab"), cache.GlobalKey("a:b"))
}

func TestOpenRefusesWithoutShowingThePassword(t *testing.T) {
	t.Parallel()

	_, err := cache.Open("redis://:hunter2@host:port:/x", slog.New(slog.DiscardHandler))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestValues(t *testing.T) {
	t.Parallel()

	servers(t, func(t *testing.T, url string) {
		t.Helper()
		c, k := open(t, url), cache.TenantKey(uuid.New(), "x")
		_, ok := c.Get(t.Context(), k)
		require.False(t, ok)

		c.Set(t.Context(), k, []byte("v"), time.Minute)
		v, ok := c.Get(t.Context(), k)
		require.True(t, ok)
		require.Equal(t, "v", string(v))

		c.Drop(t.Context(), k)
		_, ok = c.Get(t.Context(), k)
		require.False(t, ok)
		require.True(t, c.Up())
		require.NoError(t, c.Ping(t.Context()))
	})
}

func TestLateWriteCannotRestore(t *testing.T) {
	t.Parallel()

	servers(t, func(t *testing.T, url string) {
		t.Helper()
		ctx, c, k := t.Context(), open(t, url), cache.TenantKey(uuid.New(), "settings")
		have := func(want string, version int64) {
			t.Helper()
			v, n, ok := c.GetVersion(ctx, k)
			require.Equal(t, want != "", ok)
			require.Equal(t, want, string(v))
			if ok {
				require.Equal(t, version, n)
			}
		}

		have("", 0)
		c.SetVersion(ctx, k, 2, []byte("two"), time.Minute)
		c.SetVersion(ctx, k, 1, []byte("one"), time.Minute)
		have("two", 2)

		c.Outdate(ctx, k, 3, time.Minute)
		have("", 0)
		c.SetVersion(ctx, k, 2, []byte("two"), time.Minute)
		have("", 0)
		c.SetVersion(ctx, k, 3, []byte("three"), time.Minute)
		have("three", 3)
		c.Outdate(ctx, k, 3, time.Minute)
		have("three", 3)
	})
}

func TestWithoutRedis(t *testing.T) {
	t.Parallel()

	m, c := mini(t)
	ctx, k := t.Context(), cache.GlobalKey("x")
	c.Set(ctx, k, []byte("v"), time.Minute)
	m.Close()

	began := time.Now()
	for range 1000 {
		_, ok := c.Get(ctx, k)
		require.False(t, ok)
	}
	require.Less(t, time.Since(began), 2*time.Second, "a dead Redis must not slow every request")
	require.False(t, c.Up())
	require.Error(t, c.Ping(ctx))

	require.NoError(t, m.Restart())
	require.Eventually(t, func() bool {
		_, ok := c.Get(ctx, k)
		return ok
	}, 5*time.Second, 20*time.Millisecond)
	require.True(t, c.Up())
}

func TestRedisThatAnswersButCannotServe(t *testing.T) {
	t.Parallel()

	m, c := mini(t)
	m.SetError("LOADING Redis is loading the dataset in memory")
	_, ok := c.Get(t.Context(), cache.GlobalKey("x"))
	require.False(t, ok)
	require.False(t, c.Up())
}

func TestCallerWhoGivesUpIsNotRedisFailing(t *testing.T) {
	t.Parallel()

	_, c := mini(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok := c.Get(ctx, cache.GlobalKey("x"))
	require.False(t, ok)
	require.True(t, c.Up())
}

func TestLimiter(t *testing.T) {
	t.Parallel()

	limit := cache.Limit{Rate: 1, Per: time.Minute, Burst: 3}
	check := func(t *testing.T, l *cache.Limiter) {
		t.Helper()
		ctx, k, other := t.Context(), cache.GlobalKey("login", uuid.NewString()), cache.GlobalKey("login", "other")
		for range 5 {
			_, ok := l.Look(ctx, k, limit)
			require.True(t, ok, "looking counts nothing")
		}
		for range 3 {
			_, ok := l.Take(ctx, k, limit)
			require.True(t, ok)
		}
		wait, ok := l.Look(ctx, k, limit)
		require.False(t, ok)
		require.InDelta(t, time.Minute, wait, float64(2*time.Second))
		wait, ok = l.Take(ctx, k, limit)
		require.False(t, ok)
		require.InDelta(t, time.Minute, wait, float64(2*time.Second))
		_, ok = l.Take(ctx, other, limit)
		require.True(t, ok)
		l.Reset(ctx, k)
		_, ok = l.Take(ctx, k, limit)
		require.True(t, ok)
	}
	servers(t, func(t *testing.T, url string) {
		t.Helper()
		check(t, cache.NewLimiter(open(t, url)))
	})
	t.Run("without redis", func(t *testing.T) {
		t.Parallel()

		m, c := mini(t)
		m.Close()
		check(t, cache.NewLimiter(c))
	})
}

func TestLimitIsShared(t *testing.T) {
	t.Parallel()

	url := dbtest.Redis(t)
	limit, k := cache.Limit{Rate: 1, Per: time.Hour, Burst: 10}, cache.GlobalKey("x")
	var mu sync.Mutex
	taken := 0
	var group sync.WaitGroup
	for range 4 {
		l := cache.NewLimiter(open(t, url))
		group.Go(func() {
			for range 10 {
				if _, ok := l.Take(context.WithoutCancel(t.Context()), k, limit); ok {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	require.Equal(t, 10, taken)
}

// inbox collects what a subscriber gets.
type inbox struct {
	mu   sync.Mutex
	got  []string
	lost int
}

func (i *inbox) take(m cache.Message) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if m.Lost {
		i.lost++
		return
	}
	i.got = append(i.got, string(m.Payload))
}

func (i *inbox) all() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string{}, i.got...)
}

func (i *inbox) losses() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.lost
}

func bus(t *testing.T, c *cache.Cache) *cache.Bus {
	t.Helper()
	b := cache.NewBus(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return b
}

func TestBus(t *testing.T) {
	t.Parallel()

	servers(t, func(t *testing.T, url string) {
		t.Helper()
		ctx := t.Context()
		one, two := bus(t, open(t, url)), bus(t, open(t, url))
		acme, norte := cache.TenantKey(uuid.New(), "live"), cache.TenantKey(uuid.New(), "live")
		var a, b, other inbox
		one.Subscribe(ctx, acme, a.take)
		sub := two.Subscribe(ctx, acme, b.take)
		two.Subscribe(ctx, norte, other.take)

		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint(i))
			one.Publish(ctx, acme, []byte(want[i]))
		}
		for _, box := range []*inbox{&a, &b} {
			require.Eventually(t, func() bool { return len(box.all()) == 100 }, 5*time.Second, 5*time.Millisecond)
			require.Equal(t, want, box.all(), "once each, in order, on the sender's node too")
		}
		require.Empty(t, other.all())

		sub.Close()
		sub.Close()
		one.Publish(ctx, acme, []byte("late"))
		require.Eventually(t, func() bool { return len(a.all()) == 101 }, 5*time.Second, 5*time.Millisecond)
		require.Len(t, b.all(), 100)
	})
}

func TestBusWithoutRedis(t *testing.T) {
	t.Parallel()

	m, c := mini(t)
	b := bus(t, c)
	ctx, k := t.Context(), cache.GlobalKey("x")
	var box inbox
	b.Subscribe(ctx, k, box.take)
	b.Publish(ctx, k, []byte("before"))
	require.Eventually(t, func() bool { return len(box.all()) == 1 }, 5*time.Second, 5*time.Millisecond)

	m.Close()
	b.Publish(ctx, k, []byte("meanwhile"))
	require.Equal(t, []string{"before", "meanwhile"}, box.all(), "this node's subscribers get it at once")
	require.Zero(t, box.losses())

	require.NoError(t, m.Restart())
	require.Eventually(t, func() bool { return box.losses() == 1 }, 10*time.Second, 10*time.Millisecond,
		"others may have sent meanwhile: say that something may be lost")
	require.Eventually(t, func() bool {
		b.Publish(ctx, k, []byte("after"))
		_, ok := c.Get(ctx, cache.GlobalKey("none"))
		return !ok && c.Up()
	}, 5*time.Second, 20*time.Millisecond)
	require.Contains(t, box.all(), "after")
}

func TestSubscribeWhileRedisIsDown(t *testing.T) {
	t.Parallel()

	m, c := mini(t)
	m.Close()
	b := bus(t, c)
	var box inbox
	b.Subscribe(t.Context(), cache.GlobalKey("x"), box.take)
	require.NoError(t, m.Restart())
	require.Eventually(t, func() bool { return box.losses() == 1 }, 10*time.Second, 10*time.Millisecond)
}
