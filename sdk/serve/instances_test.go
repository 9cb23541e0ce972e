package serve

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk"
)

// thing is an instance that tells when it was closed, and whether it was in use.
type thing struct {
	revision uint64
	using    atomic.Int32
	closed   atomic.Int32
	misused  atomic.Bool
}

func (t *thing) Close() error {
	if t.using.Load() > 0 {
		t.misused.Store(true)
	}
	t.closed.Add(1)
	return nil
}

func at(revision uint64) sdk.Installation { return sdk.Installation{ID: "i", Revision: revision} }

func cache(build func(context.Context, sdk.Installation) (*thing, error)) *instances[*thing] {
	if build == nil {
		build = func(_ context.Context, i sdk.Installation) (*thing, error) { return &thing{revision: i.Revision}, nil }
	}
	return newInstances(build, slog.New(slog.DiscardHandler))
}

func TestInstanceIsBuiltOnce(t *testing.T) {
	t.Parallel()

	var built atomic.Int32
	gate := make(chan struct{})
	c := cache(func(_ context.Context, i sdk.Installation) (*thing, error) {
		built.Add(1)
		<-gate
		return &thing{revision: i.Revision}, nil
	})
	var wg sync.WaitGroup
	values := make([]*thing, 16)
	for n := range values {
		wg.Go(func() {
			v, release, err := c.acquire(t.Context(), at(1))
			if err == nil {
				values[n] = v
				release()
			}
		})
	}
	close(gate)
	wg.Wait()
	require.Equal(t, int32(1), built.Load())
	for _, v := range values {
		require.Same(t, values[0], v)
	}
}

func TestNewerRevisionSwapsAndOldIsClosedAfterItsLastCall(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		c := cache(nil)
		one, releaseOne, err := c.acquire(t.Context(), at(1))
		require.NoError(t, err)
		again, releaseAgain, err := c.acquire(t.Context(), at(1))
		require.NoError(t, err)
		require.Same(t, one, again)

		two, releaseTwo, err := c.acquire(t.Context(), at(2))
		require.NoError(t, err)
		require.NotSame(t, one, two)
		releaseOne()
		releaseOne() // a second release of the same use counts for nothing
		synctest.Wait()
		require.Zero(t, one.closed.Load(), "closed with a call under way")
		late, releaseLate, err := c.acquire(t.Context(), at(1))
		require.NoError(t, err)
		require.Same(t, two, late, "an older revision must get the newer instance")
		releaseAgain()
		synctest.Wait()
		require.Equal(t, int32(1), one.closed.Load())
		_, stats := c.size()
		require.Equal(t, uint64(1), stats.Late)

		releaseTwo()
		releaseLate()
		synctest.Wait()
		require.Zero(t, two.closed.Load(), "the instance in force was closed")
		c.close(t.Context())
		require.Equal(t, int32(1), two.closed.Load())
		_, _, err = c.acquire(t.Context(), at(2))
		require.ErrorIs(t, err, errStopping)
	})
}

func TestFailureIsRememberedForASecond(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		var built atomic.Int32
		c := cache(func(_ context.Context, i sdk.Installation) (*thing, error) {
			if built.Add(1); i.Revision == 1 {
				return nil, errors.New("broken")
			}
			return &thing{}, nil
		})
		for range 5 {
			_, _, err := c.acquire(t.Context(), at(1))
			require.EqualError(t, err, "broken")
		}
		require.Equal(t, int32(1), built.Load())
		_, release, err := c.acquire(t.Context(), at(2))
		require.NoError(t, err, "another revision must be tried at once")
		release()
		c.forget("i")
		_, _, err = c.acquire(t.Context(), at(1))
		require.Error(t, err)
		before := built.Load()
		time.Sleep(failureTTL) //nolint:forbidigo // the bubble's clock jumps; nothing waits
		_, _, err = c.acquire(t.Context(), at(1))
		require.Error(t, err)
		require.Equal(t, before+1, built.Load())
		c.close(t.Context())
	})
}

func TestCallerThatLeavesDoesNotFailOthers(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		c := cache(func(ctx context.Context, _ sdk.Installation) (*thing, error) {
			select {
			case <-gate:
				return &thing{}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		gone, leave := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		ask := func(ctx context.Context, to chan error) {
			_, release, err := c.acquire(ctx, at(1))
			if err == nil {
				release()
			}
			to <- err
		}
		go ask(gone, first)
		synctest.Wait()
		go ask(t.Context(), second)
		synctest.Wait()
		leave()
		require.ErrorIs(t, <-first, context.Canceled)
		close(gate)
		require.NoError(t, <-second)
		c.close(t.Context())
	})
}

func TestSlowBuildIsCutOff(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		c := cache(func(ctx context.Context, _ sdk.Installation) (*thing, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		began := time.Now()
		_, _, err := c.acquire(t.Context(), at(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, buildTimeout, time.Since(began))
		c.close(t.Context())
	})
}

func TestPanicInNewIsAFailure(t *testing.T) {
	t.Parallel()

	c := cache(func(context.Context, sdk.Installation) (*thing, error) { panic("boom") })
	_, _, err := c.acquire(t.Context(), at(1))
	require.ErrorIs(t, err, errCrashed)
}

func TestIdleAndLeastUsedAreDropped(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		c := cache(nil)
		c.limit, c.ttl = 2, time.Minute
		get := func(id string) (*thing, func()) {
			v, release, err := c.acquire(t.Context(), sdk.Installation{ID: id, Revision: 1})
			require.NoError(t, err)
			return v, release
		}
		a, releaseA := get("a")
		b, releaseB := get("b")
		releaseB()
		_, touchA := get("a")
		touchA()
		d, releaseD := get("d") // b was not used for longest
		synctest.Wait()
		require.Equal(t, int32(1), b.closed.Load())
		require.Zero(t, a.closed.Load())
		releaseD()

		time.Sleep(2 * time.Minute) //nolint:forbidigo // the bubble's clock jumps; nothing waits
		c.sweep()
		synctest.Wait()
		require.Zero(t, a.closed.Load(), "in use")
		releaseA()
		c.sweep()
		synctest.Wait()
		require.Equal(t, int32(1), a.closed.Load())
		require.Equal(t, int32(1), d.closed.Load())
		n, _ := c.size()
		require.Zero(t, n)
		c.close(t.Context())
	})
}

// Many calls, revisions and forgets at once: every instance is closed once, and
// never while a call uses it.
func TestInstancesUnderLoad(t *testing.T) {
	t.Parallel()

	var mu sync.Mutex
	var all []*thing
	c := cache(func(_ context.Context, i sdk.Installation) (*thing, error) {
		v := &thing{revision: i.Revision}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, v)
		return v, nil
	})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for k := range 500 {
				v, release, err := c.acquire(t.Context(), at(uint64(1+k/20)))
				if err != nil {
					t.Error(err)
					return
				}
				v.using.Add(1)
				if v.closed.Load() > 0 {
					t.Error("closed while in use")
				}
				v.using.Add(-1)
				release()
				if n == 0 && k%50 == 0 {
					c.forget("i")
				}
			}
		})
	}
	wg.Wait()
	c.close(t.Context())
	for _, v := range all {
		require.Equal(t, int32(1), v.closed.Load())
		require.False(t, v.misused.Load())
	}
}
