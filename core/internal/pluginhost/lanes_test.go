package pluginhost_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/core/internal/pluginhost"
)

// gate is what lanes call. Calls wait in it until they are let through.
type gate struct {
	entered chan []int
	pass    chan error
}

func newGate() *gate { return &gate{entered: make(chan []int, 100), pass: make(chan error)} }

func (g *gate) do(_ string, items []int) ([]int, error) {
	g.entered <- slices.Clone(items)
	err := <-g.pass
	out := make([]int, len(items))
	for i, n := range items {
		out[i] = -n
	}
	return out, err
}

func weightless(int) int { return 1 }

// result is what a submitted item got.
type result struct {
	in, out int
	err     error
}

// submit hands items in, one after another, and returns where results come.
func submit(ctx context.Context, t *testing.T, l *pluginhost.Lanes, items ...int) <-chan result {
	t.Helper()
	results := make(chan result, len(items))
	for _, n := range items {
		before, _ := l.Waiting("k")
		go func() {
			out, err := l.Submit(ctx, "k", n)
			results <- result{n, out, err}
		}()
		require.Eventually(t, func() bool {
			now, _ := l.Waiting("k")
			return now == before+1
		}, 5*time.Second, 50*time.Microsecond)
	}
	return results
}

// busy has as many calls under way as a lane makes at once.
func busy(t *testing.T, l *pluginhost.Lanes, g *gate) *sync.WaitGroup {
	t.Helper()
	var wait sync.WaitGroup
	for n := range pluginhost.LaneCalls {
		wait.Go(func() { _, _ = l.Submit(context.Background(), "k", n) })
		require.Equal(t, []int{n}, <-g.entered)
	}
	return &wait
}

func TestLanes(t *testing.T) {
	t.Parallel()

	t.Run("alone an item goes at once", func(t *testing.T) {
		t.Parallel()

		g := newGate()
		l := pluginhost.NewLanes(g.do, weightless)
		go func() { g.pass <- nil }()
		out, err := l.Submit(t.Context(), "k", 7)
		require.NoError(t, err)
		require.Equal(t, -7, out)
		require.Equal(t, []int{7}, <-g.entered)
		l.Close()
		_, keys := l.Waiting("k")
		require.Zero(t, keys, "an idle lane is kept")
	})

	t.Run("what waits travels together, in order, and each gets its own", func(t *testing.T) {
		t.Parallel()

		g := newGate()
		l := pluginhost.NewLanes(g.do, weightless)
		first := busy(t, l, g)
		results := submit(t.Context(), t, l, 11, 12, 13, 14)
		g.pass <- nil
		require.Equal(t, []int{11, 12, 13, 14}, <-g.entered)
		g.pass <- nil
		g.pass <- nil
		for range 4 {
			r := <-results
			require.NoError(t, r.err)
			require.Equal(t, -r.in, r.out)
		}
		first.Wait()
		l.Close()
	})

	t.Run("a batch is bounded by number", func(t *testing.T) {
		t.Parallel()

		g := newGate()
		l := pluginhost.NewLanes(g.do, weightless)
		busy(t, l, g)
		submit(t.Context(), t, l, make([]int, pluginhost.BatchItems+5)...)
		g.pass <- nil
		require.Len(t, <-g.entered, pluginhost.BatchItems)
		g.pass <- nil
		require.Len(t, <-g.entered, 5)
		g.pass <- nil
		g.pass <- nil
		l.Close()
	})

	t.Run("and by size, but one item always goes", func(t *testing.T) {
		t.Parallel()

		g := newGate()
		l := pluginhost.NewLanes(g.do, func(n int) int { return n })
		busy(t, l, g)
		submit(t.Context(), t, l, pluginhost.BatchBytes+1, pluginhost.BatchBytes/2, pluginhost.BatchBytes/2, 1)
		for _, want := range [][]int{{pluginhost.BatchBytes + 1}, {pluginhost.BatchBytes / 2, pluginhost.BatchBytes / 2}, {1}} {
			g.pass <- nil
			require.Equal(t, want, <-g.entered)
		}
		g.pass <- nil
		g.pass <- nil
		l.Close()
	})

	t.Run("too many are refused", func(t *testing.T) {
		t.Parallel()

		g := newGate()
		l := pluginhost.NewLanes(g.do, weightless)
		busy(t, l, g)
		ctx, cancel := context.WithCancel(t.Context())
		results := submit(ctx, t, l, make([]int, pluginhost.LaneWaiting)...)
		_, err := l.Submit(t.Context(), "k", 1)
		require.ErrorIs(t, err, pluginhost.ErrBusy)
		require.True(t, pluginhost.NeverLeft(err))
		cancel()
		for range pluginhost.LaneWaiting {
			require.ErrorIs(t, (<-results).err, pluginhost.ErrBusy)
		}
		close(g.pass)
		l.Close()
	})

	t.Run("who stops waiting in the queue never leaves", func(t *testing.T) {
		t.Parallel()

		g := newGate()
		l := pluginhost.NewLanes(g.do, weightless)
		busy(t, l, g)
		ctx, cancel := context.WithCancel(t.Context())
		gone := submit(ctx, t, l, 11)
		stays := submit(t.Context(), t, l, 12)
		cancel()
		r := <-gone
		require.ErrorIs(t, r.err, pluginhost.ErrBusy)
		require.True(t, pluginhost.NeverLeft(r.err))
		g.pass <- nil
		require.Equal(t, []int{12}, <-g.entered)
		close(g.pass)
		require.NoError(t, (<-stays).err)
		l.Close()
	})

	t.Run("who stops waiting for an answer may have been served", func(t *testing.T) {
		t.Parallel()

		g := newGate()
		l := pluginhost.NewLanes(g.do, weightless)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := l.Submit(ctx, "k", 1)
			done <- err
		}()
		<-g.entered
		cancel()
		err := <-done
		require.ErrorIs(t, err, pluginhost.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, pluginhost.NeverLeft(err))
		close(g.pass)
		l.Close()
	})

	t.Run("a failed call fails all that were in it", func(t *testing.T) {
		t.Parallel()

		g := newGate()
		l := pluginhost.NewLanes(g.do, weightless)
		busy(t, l, g)
		results := submit(t.Context(), t, l, 11, 12)
		g.pass <- nil
		<-g.entered
		broken := errors.New("broken")
		g.pass <- broken
		g.pass <- broken
		for range 2 {
			require.ErrorIs(t, (<-results).err, broken)
		}
		l.Close()
	})

	t.Run("keys do not wait for each other", func(t *testing.T) {
		t.Parallel()

		g := newGate()
		l := pluginhost.NewLanes(g.do, weightless)
		busy(t, l, g)
		submit(t.Context(), t, l, 11)
		go func() { _, _ = l.Submit(context.Background(), "other", 99) }()
		require.Equal(t, []int{99}, <-g.entered)
		close(g.pass)
		l.Close()
	})

	t.Run("close ends what waits first, and refuses more", func(t *testing.T) {
		t.Parallel()

		g := newGate()
		l := pluginhost.NewLanes(g.do, weightless)
		busy(t, l, g)
		results := submit(t.Context(), t, l, 11)
		closed := make(chan struct{})
		go func() {
			l.Close()
			close(closed)
		}()
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := l.Submit(ctx, "k", 1)
			return errors.Is(err, pluginhost.ErrUnavailable)
		}, 5*time.Second, time.Millisecond)
		select {
		case <-closed:
			t.Fatal("closed with a call under way")
		default:
		}
		close(g.pass)
		require.NoError(t, (<-results).err)
		<-closed
	})
}
