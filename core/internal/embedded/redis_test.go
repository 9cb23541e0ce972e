package embedded_test

import (
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/embedded"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r, err := embedded.StartRedis()
	require.NoError(t, err)
	o, err := redis.ParseURL(r.URL())
	require.NoError(t, err)
	c := redis.NewClient(o)
	defer func() { require.NoError(t, c.Close()) }()

	require.NoError(t, c.Set(ctx, "k", "v", 30*time.Millisecond).Err())
	require.Eventually(t, func() bool { return c.Get(ctx, "k").Err() == redis.Nil }, 5*time.Second, 5*time.Millisecond, "keys expire by themselves") //nolint:errorlint // go-redis' own sentinel

	sub := c.Subscribe(ctx, "news")
	_, err = sub.Receive(ctx)
	require.NoError(t, err)
	require.NoError(t, c.Publish(ctx, "news", "hi").Err())
	msg, err := sub.ReceiveMessage(ctx)
	require.NoError(t, err)
	require.Equal(t, "hi", msg.Payload)
	require.NoError(t, sub.Close())

	limit := redis_rate.NewLimiter(c)
	for i := range 3 {
		res, err := limit.Allow(ctx, "x", redis_rate.PerMinute(2))
		require.NoError(t, err)
		require.Equal(t, i < 2, res.Allowed == 1)
	}

	stranger := redis.NewClient(&redis.Options{Addr: o.Addr})
	defer func() { require.NoError(t, stranger.Close()) }()
	require.ErrorContains(t, stranger.Get(ctx, "k").Err(), "NOAUTH")

	r.Stop()
	require.Error(t, c.Ping(ctx).Err())
}
