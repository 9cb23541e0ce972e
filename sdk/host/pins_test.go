package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// shelf is a store with releases of the test plugin, and the pin.
type shelf struct {
	store string

	mu  sync.Mutex
	pin host.Pin
}

func (s *shelf) pins() map[string]host.Pin {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]host.Pin{"echo": s.pin}
}

func (s *shelf) set(p host.Pin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pin = p
}

// add puts a release into the store and returns its digest.
func (s *shelf) add(t *testing.T, mode string, edits ...string) string {
	t.Helper()
	work := t.TempDir()
	install(t, work, "echo", mode, edits...)
	r := host.Look(filepath.Join(work, "echo"), "echo")
	require.Empty(t, r.Problem)
	require.NoError(t, os.MkdirAll(filepath.Join(s.store, "echo"), 0o755))
	require.NoError(t, os.Rename(filepath.Join(work, "echo"), filepath.Join(s.store, "echo", r.SHA256)))
	return r.SHA256
}

// incidents collects what OnExit hears.
type incidents struct {
	mu   sync.Mutex
	list []host.Incident
}

func (i *incidents) add(one host.Incident) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.list = append(i.list, one)
}

func (i *incidents) all() []host.Incident {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]host.Incident(nil), i.list...)
}

// pinned is a host with the first release of the test plugin pinned.
func pinned(t *testing.T, timing host.Timing, onExit func(host.Incident)) (h *host.Host, s *shelf, first string) {
	t.Helper()
	s = &shelf{store: t.TempDir()}
	first = s.add(t, "")
	s.set(host.Pin{SHA256: first})
	h = start(t, host.Config{Dir: t.TempDir(), Store: s.store, Pins: s.pins, Timing: timing, OnExit: onExit})
	return h, s, first
}

// v2 edits the manifest as mode v2 has it.
var v2 = []string{`"version": "1.2.3"`, `"version": "2.0.0"`}

func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()

	h, s, first := pinned(t, quick(), nil)
	second := s.add(t, "v2", v2...)
	require.NotEqual(t, first, second)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	_, err := send(ctx, h, installation("i", 1, "a", "token-1234"), "hello")
	require.NoError(t, err)
	require.Equal(t, "1.2.3", status(t, h).Version)

	// A stream is under way while the process below it is replaced.
	stream, err := func() (pluginv1.ChannelService_FetchMediaClient, error) {
		c, release, err := h.Acquire(ctx, "echo")
		if err != nil {
			return nil, err
		}
		t.Cleanup(release)
		return c.Channel.FetchMedia(ctx, &pluginv1.FetchMediaRequest{
			Installation: installation("i", 1, "a", "token-1234"), MaxBytes: 5_000_000,
			Ref: &pluginv1.MediaRef{Source: &pluginv1.MediaRef_ProviderMediaId{ProviderMediaId: "4000000"}},
		})
	}()
	require.NoError(t, err)

	var done, failed atomic.Int64
	var first16 sync.WaitGroup
	first16.Add(16)
	over := make(chan struct{})
	var workers sync.WaitGroup
	for n := range 16 {
		workers.Go(func() {
			i := installation(fmt.Sprint(n), 1, "a", "token-1234")
			begun := sync.OnceFunc(first16.Done)
			for {
				select {
				case <-over:
					return
				default:
				}
				if _, err := send(ctx, h, i, "hello"); err != nil {
					t.Log(err)
					failed.Add(1)
				}
				done.Add(1)
				begun()
			}
		})
	}
	first16.Wait()
	for range 5 { // forth and back
		for version, sum := range map[string]string{"2.0.0": second, "1.2.3": first} {
			s.set(host.Pin{SHA256: sum})
			require.NoError(t, h.Upgrade(ctx))
			require.Equal(t, version, status(t, h).Version)
			require.Equal(t, sum, status(t, h).SHA256)
		}
	}
	close(over)
	workers.Wait()
	require.Zero(t, failed.Load(), "of %d calls", done.Load())
	t.Logf("%d calls over 10 upgrades, none failed", done.Load())
	require.Equal(t, 4000000, size(t, stream), "the stream was not let finish")
}

// size of what a stream of media brings.
func size(t *testing.T, stream pluginv1.ChannelService_FetchMediaClient) int {
	t.Helper()
	n := 0
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return n
		}
		require.NoError(t, err)
		n += len(m.GetChunk())
	}
}

// Calls get Drain, streams DrainStreams; then the old process is ended anyway.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()

	timing := quick()
	timing.Drain, timing.DrainStreams = 50*time.Millisecond, time.Minute
	h, s, _ := pinned(t, timing, nil)
	second := s.add(t, "v2", v2...)
	c, release, err := h.Acquire(t.Context(), "echo")
	require.NoError(t, err)
	defer release()
	mark := filepath.Join(t.TempDir(), "mark")
	ended := make(chan error, 1)
	go func() {
		_, err := c.Channel.Send(context.Background(), text(installation("i", 1, "a", "token-1234"), "wait "+mark))
		ended <- err
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(mark); return err == nil }, 10*time.Second, time.Millisecond)

	s.set(host.Pin{SHA256: second})
	require.NoError(t, h.Upgrade(t.Context()))
	require.Error(t, <-ended, "a call that never ends held the old process up")
	gone(t, c.PID)
}

// A release that does not come up leaves the one before in place.
func TestUpgradeThatFails(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		mode  string
		cause host.Cause
	}{"it ends at once": {"exit", host.CauseStart}, "it is another than its manifest": {"other", host.CauseRefused}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			seen := &incidents{}
			h, s, first := pinned(t, quick(), seen.add)
			_, err := send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
			require.NoError(t, err)
			bad := s.add(t, tt.mode)
			s.set(host.Pin{SHA256: bad})
			require.ErrorContains(t, h.Upgrade(t.Context()), "the old one stays")
			require.True(t, h.Outdated())
			require.Equal(t, first, status(t, h).SHA256)
			_, err = send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
			require.NoError(t, err)
			require.Eventually(t, func() bool { return len(seen.all()) == 1 }, 10*time.Second, time.Millisecond)
			i := seen.all()[0]
			require.Equal(t, tt.cause, i.Cause)
			require.Equal(t, bad, i.SHA256)
			require.Equal(t, host.StateReady, i.Next)
		})
	}
}

func TestPinnedReleaseThatIsNotThere(t *testing.T) {
	t.Parallel()

	h, s, first := pinned(t, quick(), nil)
	_, err := send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
	require.NoError(t, err)
	s.set(host.Pin{SHA256: strings.Repeat("ab", 32)})
	require.ErrorContains(t, h.Upgrade(t.Context()), "not in this node's plugin store")
	require.Equal(t, first, status(t, h).SHA256)

	path := filepath.Join(s.store, "echo", first, "echo")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	writeExecutable(t, path+".new", append(bytes.Clone(content), 0))
	require.NoError(t, os.Rename(path+".new", path))
	require.Contains(t, host.ReadRelease(s.store, "echo", first).Problem, "install it anew")
}

func TestCanary(t *testing.T) {
	t.Parallel()

	h, s, first := pinned(t, quick(), nil)
	second := s.add(t, "v2", v2...)
	version := func(tenant string) string {
		t.Helper()
		c, release, err := h.AcquireFor(t.Context(), "echo", tenant)
		require.NoError(t, err)
		defer release()
		return c.Version
	}
	s.set(host.Pin{SHA256: first, Canary: second, CanaryTenants: []string{"brave"}})
	require.Equal(t, "1.2.3", version("brave"), "not before the canary has come up")
	require.True(t, h.Outdated())
	require.NoError(t, h.Upgrade(t.Context()))
	require.False(t, h.Outdated())
	require.Equal(t, "2.0.0", version("brave"))
	require.Equal(t, "1.2.3", version("other"))
	require.Equal(t, "1.2.3", version(""))
	all := h.Statuses()
	require.Len(t, all, 2)
	require.False(t, all[0].Canary)
	require.True(t, all[1].Canary)
	canary := all[1].PID

	s.set(host.Pin{SHA256: first, Canary: second, CanaryTenants: []string{"brave", "other"}})
	require.NoError(t, h.Upgrade(t.Context()))
	require.Equal(t, "2.0.0", version("other"))
	require.Equal(t, canary, h.Statuses()[1].PID, "another tenant is no reason for another process")

	// For all: no call of the brave fails meanwhile.
	over, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-over:
				failed <- nil
				return
			default:
			}
			c, release, err := h.AcquireFor(context.Background(), "echo", "brave")
			if err == nil {
				_, err = c.Channel.Send(context.Background(), text(installation("i", 1, "a", "token-1234"), "hello"))
				release()
			}
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	s.set(host.Pin{SHA256: second})
	require.NoError(t, h.Upgrade(t.Context()))
	require.Equal(t, "2.0.0", version("nobody"))
	gone(t, canary)
	close(over)
	require.NoError(t, <-failed)
	require.Len(t, h.Statuses(), 1)

	// A canary that does not come up takes nobody along.
	s.set(host.Pin{SHA256: second, Canary: s.add(t, "exit"), CanaryTenants: []string{"brave"}})
	require.ErrorContains(t, h.Upgrade(t.Context()), "start the canary")
	require.Equal(t, "2.0.0", version("brave"))
}

func TestHistory(t *testing.T) {
	t.Parallel()

	timing := quick()
	timing.QuarantineExits = 3
	now := time.Now()

	t.Run("exits elsewhere count", func(t *testing.T) {
		t.Parallel()

		h, _, sum := pinned(t, timing, nil)
		h.Remember(host.History{Plugin: "echo", SHA256: sum, Exits: []time.Time{now, now, now.Add(-time.Hour)}})
		_, err := send(t.Context(), h, installation("i", 1, "a", "token-1234"), "exit")
		require.Error(t, err)
		reaches(t, h, host.StateQuarantined)
	})
	t.Run("a quarantine outlives the host", func(t *testing.T) {
		t.Parallel()

		h, s, sum := pinned(t, timing, nil)
		h.Remember(host.History{Plugin: "echo", SHA256: "another", Until: now.Add(time.Hour), Reason: "it kept ending"})
		require.Equal(t, host.StateStopped, status(t, h).State)
		h.Remember(host.History{Plugin: "echo", SHA256: sum, Until: now.Add(time.Hour), Reason: "it kept ending"})
		_, err := send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
		require.ErrorContains(t, err, "quarantined until")

		s.set(host.Pin{SHA256: s.add(t, "v2", v2...)})
		require.NoError(t, h.Upgrade(t.Context()))
		_, err = send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
		require.NoError(t, err, "another release is not to blame")
	})
	t.Run("a quarantine that is over leaves one try", func(t *testing.T) {
		t.Parallel()

		h, _, sum := pinned(t, timing, nil)
		h.Remember(host.History{Plugin: "echo", SHA256: sum, Until: now.Add(-time.Minute), Reason: "it kept ending"})
		_, err := send(t.Context(), h, installation("i", 1, "a", "token-1234"), "exit")
		require.Error(t, err)
		reaches(t, h, host.StateQuarantined)
	})
}
