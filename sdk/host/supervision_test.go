package host_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk/host"
)

// A plugin never outlives its host, however that ends.
func TestNoOrphans(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		signal syscall.Signal
		// stopped plugins cannot see the end of their lifeline.
		stopped bool
	}{
		"kill": {syscall.SIGKILL, false}, "terminate": {syscall.SIGTERM, false}, "kill with a hung plugin": {syscall.SIGKILL, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			dir, runtimeDir := t.TempDir(), t.TempDir()
			install(t, dir, "echo", "")
			cmd := exec.Command(os.Args[0], dir, runtimeDir)
			cmd.Env = append(os.Environ(), helperEnv+"=hold")
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			line, err := bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			require.NoError(t, err)
			require.True(t, alive(pid))

			if tt.stopped {
				halt(t, pid)
			}
			require.NoError(t, cmd.Process.Signal(tt.signal))
			_ = cmd.Wait()
			require.Eventually(t, func() bool { return !alive(pid) }, time.Second, time.Millisecond, "the plugin outlived its host")

			// The next host of the same folder tidies up.
			left, err := filepath.Glob(filepath.Join(runtimeDir, "*", "*"))
			require.NoError(t, err)
			require.NotEmpty(t, left)
			start(t, host.Config{Dir: dir, RuntimeDir: runtimeDir})
			require.Empty(t, remains(t, runtimeDir))
		})
	}
}

// remains lists what is left in a runtime folder but for its own structure.
func remains(t *testing.T, runtimeDir string) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"strato-*", "processes/*"} {
		found, err := filepath.Glob(filepath.Join(runtimeDir, pattern))
		require.NoError(t, err)
		out = append(out, found...)
	}
	return out
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()

	dir, runtimeDir := t.TempDir(), t.TempDir()
	install(t, dir, "echo", "")
	cmd := exec.Command(os.Args[0], dir, runtimeDir)
	cmd.Env = append(os.Environ(), helperEnv+"=leak")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, remains(t, runtimeDir))
}

// The sweep ends only what is surely a plugin of an earlier run.
func TestSweep(t *testing.T) {
	t.Parallel()

	sleeper := func() *exec.Cmd {
		cmd := exec.Command("sleep", "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	left, stranger := sleeper(), sleeper()
	runtimeDir := t.TempDir()
	sockets := filepath.Join(runtimeDir, "strato-left")
	require.NoError(t, os.MkdirAll(filepath.Join(runtimeDir, "processes"), 0o700))
	require.NoError(t, os.MkdirAll(sockets, 0o700))
	elsewhere := filepath.Join(t.TempDir(), "precious")
	require.NoError(t, os.MkdirAll(elsewhere, 0o700))
	host.WriteRecord(runtimeDir, left.Process.Pid, sockets, "")
	host.WriteRecord(runtimeDir, stranger.Process.Pid, elsewhere, "an identity of long ago")

	start(t, host.Config{Dir: t.TempDir(), RuntimeDir: runtimeDir})
	require.ErrorContains(t, left.Wait(), "killed")
	require.True(t, alive(stranger.Process.Pid), "a process that only has the number was ended")
	require.DirExists(t, elsewhere, "a folder that is not of sockets was removed")
	require.Empty(t, remains(t, runtimeDir))
}

func TestHungPluginIsReplaced(t *testing.T) {
	t.Parallel()

	incidents := make(chan host.Incident, 10)
	timing := quick()
	timing.HealthDeadline, timing.HealthMisses = 200*time.Millisecond, 2
	h := echo(t, host.Config{Timing: timing, OnExit: func(i host.Incident) { incidents <- i }})
	i := installation("i", 1, "a", "token-1234")
	_, err := send(t.Context(), h, i, "hello")
	require.NoError(t, err)
	pid := status(t, h).PID
	halt(t, pid)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = send(ctx, h, i, "hello")
	require.Error(t, err)
	require.Less(t, time.Since(began), 5*time.Second, "the call did not end with its deadline")

	incident := <-incidents
	require.Equal(t, host.CauseHung, incident.Cause)
	require.Equal(t, pid, incident.PID)
	gone(t, pid)
	require.NotEqual(t, pid, reaches(t, h, host.StateReady).PID)
	_, err = send(t.Context(), h, i, "hello")
	require.NoError(t, err)
}

func TestCallersHearOfACrashInOneWay(t *testing.T) {
	t.Parallel()

	closing := grpcstatus.Error(codes.Canceled, "the client connection is closing")
	ctx, cancel := context.WithCancel(t.Context())
	require.Equal(t, codes.Unavailable, grpcstatus.Code(host.AsLost(ctx.Done(), closing)))
	require.NoError(t, host.AsLost(ctx.Done(), nil))
	cancel()
	require.Equal(t, codes.Canceled, grpcstatus.Code(host.AsLost(ctx.Done(), closing)), "the caller's own doing")
	other := grpcstatus.Error(codes.DeadlineExceeded, "late")
	require.Equal(t, other, host.AsLost(t.Context().Done(), other))
}

func TestCrashIsToldAndMended(t *testing.T) {
	t.Parallel()

	incidents := make(chan host.Incident, 10)
	h := echo(t, host.Config{OnExit: func(i host.Incident) { incidents <- i }})
	i := installation("i", 1, "a", "token-1234")
	_, err := send(t.Context(), h, i, "crash")
	require.Equal(t, codes.Unavailable, grpcstatus.Code(err))

	incident := <-incidents
	require.Equal(t, host.CauseCrash, incident.Cause)
	require.Equal(t, 2, incident.ExitCode)
	require.Equal(t, 1, incident.RecentExits)
	require.Equal(t, host.StateBackoff, incident.Next)
	require.Positive(t, incident.MaxRSS)
	require.Len(t, incident.InFlight, 1)
	require.Equal(t, "Send", incident.InFlight[0].Method)
	require.Equal(t, "i", incident.InFlight[0].Installation)
	require.Contains(t, strings.Join(incident.Stderr, "\n"), "panic: crash with [secret]")

	reaches(t, h, host.StateReady)
	_, err = send(t.Context(), h, i, "hello")
	require.NoError(t, err)
	require.Equal(t, 2, status(t, h).Starts)
	require.Equal(t, 1, status(t, h).Exits)
}

// A panic in a call is that call's, not the process's.
func TestPanicIsAnError(t *testing.T) {
	t.Parallel()

	l := &log{}
	h := echo(t, host.Config{Logger: l.logger()})
	i := installation("i", 1, "a", "token-1234")
	_, err := send(t.Context(), h, i, "panic")
	require.Equal(t, codes.Internal, grpcstatus.Code(err))
	require.NotContains(t, err.Error(), "token-1234")
	_, err = send(t.Context(), h, i, "hello")
	require.NoError(t, err)
	require.Equal(t, 1, status(t, h).Starts)
	require.Eventually(t, func() bool { return strings.Contains(l.String(), "main.(*echo).obey") }, 5*time.Second, time.Millisecond)
	require.NotContains(t, l.String(), "token-1234")
}

func TestMemoryLimitEndsThePluginAlone(t *testing.T) {
	t.Parallel()

	incidents := make(chan host.Incident, 10)
	timing := quick()
	timing.HealthEvery = time.Hour // a process short of memory may be slow to answer
	h := echo(t, host.Config{Timing: timing, OnExit: func(i host.Incident) { incidents <- i }})
	_, err := send(t.Context(), h, installation("i", 1, "a", "token-1234"), "eat")
	require.Error(t, err)
	incident := <-incidents
	require.Equal(t, host.CauseMemory, incident.Cause, "%s", incident.Stderr[:min(len(incident.Stderr), 5)])
}

func TestCrashLoopIsQuarantined(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	install(t, dir, "echo", "exit")
	var mu sync.Mutex
	var states []host.State
	timing := quick()
	timing.ProbeEvery = time.Hour
	h := start(t, host.Config{Dir: dir, Timing: timing, OnState: func(s host.Status) {
		mu.Lock()
		defer mu.Unlock()
		states = append(states, s.State)
	}})
	_, _, err := h.Acquire(t.Context(), "echo")
	require.Error(t, err)
	s := reaches(t, h, host.StateQuarantined)
	require.Equal(t, 5, s.Exits)
	require.Greater(t, time.Until(s.Until), 50*time.Minute)

	began := time.Now()
	_, _, err = h.Acquire(t.Context(), "echo")
	var u *host.ErrUnavailable
	require.ErrorAs(t, err, &u)
	require.Equal(t, host.StateQuarantined, u.State)
	require.Equal(t, s.Until, u.Until)
	require.Less(t, time.Since(began), time.Second)
	require.Equal(t, 5, status(t, h).Exits, "it was started again")

	var want []host.State
	for range 4 {
		want = append(want, host.StateStarting, host.StateBackoff)
	}
	want = append(want, host.StateStarting, host.StateQuarantined)
	told := func() []host.State {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(states)
	}
	require.Eventually(t, func() bool { return len(told()) >= len(want) }, 10*time.Second, time.Millisecond)
	require.Equal(t, want, told())
}

// The probe of a quarantined plugin brings it back once it is mended; one
// failed probe is one exit, not five more.
func TestQuarantineProbes(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	install(t, dir, "echo", "exit")
	timing := quick()
	timing.QuarantineExits, timing.ProbeEvery = 2, 300*time.Millisecond
	h := start(t, host.Config{Dir: dir, Timing: timing})
	_, _, err := h.Acquire(t.Context(), "echo")
	require.Error(t, err)
	reaches(t, h, host.StateQuarantined)
	require.Eventually(t, func() bool { return status(t, h).Exits >= 4 }, 30*time.Second, time.Millisecond)
	reaches(t, h, host.StateQuarantined)

	require.NoError(t, os.Remove(filepath.Join(dir, "echo", "echo")))
	install(t, dir, "echo", "")
	require.NoError(t, h.Scan())
	_, err = send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
	require.NoError(t, err)
}

// During the pause before a restart, callers are told at once and until when.
func TestBackoffIsTold(t *testing.T) {
	t.Parallel()

	timing := quick()
	timing.BackoffMin, timing.BackoffMax = 1000*time.Hour, 1000*time.Hour
	h := echo(t, host.Config{Timing: timing})
	i := installation("i", 1, "a", "token-1234")
	_, err := send(t.Context(), h, i, "exit")
	require.Error(t, err)
	s := reaches(t, h, host.StateBackoff)
	_, err = send(t.Context(), h, i, "hello")
	var u *host.ErrUnavailable
	require.ErrorAs(t, err, &u)
	require.Equal(t, host.StateBackoff, u.State)
	require.Equal(t, s.Until, u.Until)
	require.Contains(t, u.Reason, "exit code 9")

	// An operator who cannot wait replaces it.
	require.NoError(t, h.Replace(t.Context(), "echo"))
	_, err = send(t.Context(), h, i, "hello")
	require.NoError(t, err)
}

func TestStopWaitsForCalls(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	i := installation("i", 1, "a", "token-1234")
	flag := filepath.Join(t.TempDir(), "waiting")
	answer := make(chan error, 1)
	go func() {
		_, err := send(context.Background(), h, i, "wait "+flag)
		answer <- err
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(flag); return err == nil }, 10*time.Second, time.Millisecond)
	pid := status(t, h).PID
	stopped := make(chan error, 1)
	go func() { stopped <- h.Stop(context.Background()) }()
	// New calls are refused while the old one goes on.
	require.Eventually(t, func() bool { _, err := send(t.Context(), h, i, "hello"); return err != nil }, 10*time.Second, time.Millisecond)
	require.True(t, alive(pid))
	require.Empty(t, answer)
	require.NoError(t, os.Remove(flag))
	require.NoError(t, <-answer)
	require.NoError(t, <-stopped)
	require.False(t, alive(pid))
}

// Stop does not wait longer than it may.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()

	timing := quick()
	timing.Kill, timing.HealthEvery = 50*time.Millisecond, time.Hour
	dir := t.TempDir()
	install(t, dir, "echo", "")
	h, err := host.New(host.Config{Dir: dir, RuntimeDir: t.TempDir(), Timing: timing})
	require.NoError(t, err)
	_, release, err := h.Acquire(t.Context(), "echo")
	require.NoError(t, err)
	defer release() // only after Stop: it has to give up on us
	pid := status(t, h).PID
	halt(t, pid)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, h.Stop(ctx), context.DeadlineExceeded)
	require.False(t, alive(pid))
}

// Calls go on while processes are replaced under them: none fails.
func TestReplaceUnderLoad(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	i := installation("i", 1, "a", "token-1234")
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := send(t.Context(), h, i, "hello"); err != nil {
					t.Errorf("a call failed: %v", err)
					return
				}
			}
		})
	}
	for range 3 {
		require.NoError(t, h.Replace(t.Context(), "echo"))
	}
	close(done)
	wg.Wait()
	require.Zero(t, status(t, h).Exits)
}

// A parked plugin leaves by itself when its lifeline is closed: here nobody
// would kill it.
func TestPark(t *testing.T) {
	t.Parallel()

	timing := quick()
	timing.Kill = time.Hour
	h := echo(t, host.Config{Timing: timing})
	i := installation("i", 1, "a", "token-1234")
	_, err := send(t.Context(), h, i, "hello")
	require.NoError(t, err)
	pid := status(t, h).PID
	require.NoError(t, h.Park(t.Context(), "echo"))
	require.False(t, alive(pid))
	reaches(t, h, host.StateStopped)
	require.Zero(t, status(t, h).Exits)
	_, err = send(t.Context(), h, i, "hello")
	require.NoError(t, err)
}

// What a plugin logs reaches the core's log with its level and whose it is,
// and no secret that passed through the host does.
func TestLogsAndIncidentsHoldNoSecrets(t *testing.T) {
	t.Parallel()

	l := &log{}
	incidents := make(chan host.Incident, 10)
	h := echo(t, host.Config{
		Logger: l.logger(), OnExit: func(i host.Incident) { incidents <- i },
		OperatorSettings: func(string) map[string]string {
			return map[string]string{"app_secret": "operators-app-secret", "base_url": "http://127.0.0.1:1"}
		},
	})
	i := installation("i", 1, "a", `tok"en&with<odd>-1234`)
	_, err := send(t.Context(), h, i, "log something happened")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return strings.Contains(l.String(), "something happened") && strings.Contains(l.String(), "stray [secret]")
	}, 10*time.Second, time.Millisecond)
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, "something happened") {
			require.Contains(t, line, `"level":"WARN"`)
			require.Contains(t, line, `"plugin":"echo"`)
			require.Contains(t, line, `"version":"1.2.3"`)
			require.Contains(t, line, `"installation":"i"`)
			require.Contains(t, line, `"token":"[secret]"`)
		}
	}
	_, err = send(t.Context(), h, i, "fail")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "1234")
	_, err = send(t.Context(), h, i, "exit")
	require.Error(t, err)
	incident := <-incidents
	require.Equal(t, host.CauseExit, incident.Cause)
	require.Equal(t, 9, incident.ExitCode)
	require.NotEmpty(t, incident.Stderr)
	for _, text := range []string{l.String(), strings.Join(incident.Stderr, "\n"), incident.Summary()} {
		require.NotContains(t, text, "odd>-1234")
		require.NotContains(t, text, "-1234")
		require.NotContains(t, text, "operators-app-secret")
	}
}

// An empty folder, or none, is a host without plugins.
func TestNoFolder(t *testing.T) {
	t.Parallel()

	h := start(t, host.Config{Dir: filepath.Join(t.TempDir(), "absent")})
	require.Empty(t, h.Catalogue())
	require.Empty(t, h.Statuses())
}
