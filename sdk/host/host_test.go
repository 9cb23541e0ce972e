package host_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

func TestCatalogueNeedsNoProcess(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	all := h.Catalogue()
	require.Len(t, all, 1)
	require.Empty(t, all[0].Problem)
	require.Equal(t, "1.2.3", all[0].Manifest.Version)
	require.Len(t, all[0].SHA256, 64)
	s := status(t, h)
	require.Equal(t, host.StateStopped, s.State)
	require.Zero(t, s.PID)
	require.Zero(t, s.Starts)
}

func TestStartsWhenNeeded(t *testing.T) {
	t.Parallel()

	var calls []host.Call
	var mu sync.Mutex
	h := echo(t, host.Config{OnCall: func(c host.Call) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, c)
	}})
	id, err := send(t.Context(), h, installation("i", 1, "norte", "token-1234"), "hello")
	require.NoError(t, err)
	require.Equal(t, "norte/1234/hello", id)
	s := status(t, h)
	require.Equal(t, host.StateReady, s.State)
	require.True(t, alive(s.PID))
	require.Positive(t, s.RSS)
	require.Equal(t, 1, s.Starts)
	require.Equal(t, "1.2.3", s.Version)
	mu.Lock()
	defer mu.Unlock()
	i := slices.IndexFunc(calls, func(c host.Call) bool { return c.Method == "Send" })
	require.GreaterOrEqual(t, i, 0)
	require.Equal(t, "tenant-of-i", calls[i].Tenant)
	require.Zero(t, calls[i].Code)
}

func TestOneStartForMany(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for n := range errs {
		wg.Go(func() { _, errs[n] = send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello") })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, 1, status(t, h).Starts)
}

// Each plugin that cannot run says why, and the sound one works.
func TestBadPluginsAreNamed(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	install(t, dir, "echo", "")
	install(t, dir, "wrongsum", "", `"id": "echo"`, `"id": "wrongsum"`)
	install(t, dir, "nobinary", "", `"id": "echo"`, `"id": "nobinary"`)
	require.NoError(t, os.Remove(filepath.Join(dir, "nobinary", "nobinary")))
	install(t, dir, "noexec", "", `"id": "echo"`, `"id": "noexec"`)
	require.NoError(t, os.Chmod(filepath.Join(dir, "noexec", "noexec"), 0o644))
	install(t, dir, "future", "", `"id": "echo"`, `"id": "future"`, `"protocol": 1`, `"protocol": 2`)
	install(t, dir, "broken", "", `"id": "echo"`, `"id": `)
	install(t, dir, "renamed", "")
	install(t, dir, "unsafe", "", `"id": "echo"`, `"id": "unsafe"`, `"properties": {`, `"anyOf": [], "properties": {`)
	install(t, dir, "impostor", "", `"id": "echo"`, `"id": "impostor"`)
	install(t, dir, "garbage", "", `"id": "echo"`, `"id": "garbage"`)
	writeExecutable(t, filepath.Join(dir, "garbage", "garbage"), []byte("not a program"))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "empty"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), []byte("not a plugin"), 0o644))
	h := start(t, host.Config{Dir: dir, Timing: quick(), Pin: func(p string) string {
		if p == "wrongsum" {
			return strings.Repeat("00", 32)
		}
		return ""
	}})

	for name, want := range map[string]string{
		"wrongsum": "checksum",
		"nobinary": "binary is missing",
		"noexec":   "not an executable",
		"future":   "speaks protocol 2, this core speaks 1",
		"broken":   "plugin.json is not valid",
		"renamed":  "its manifest's id is echo",
		"unsafe":   "cannot be shown in a form",
		"impostor": `its binary says it is "echo"`,
		"garbage":  "does not run on this machine",
		"empty":    "plugin.json cannot be read",
		"absent":   "no such plugin",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, _, err := h.Acquire(t.Context(), name)
			var u *host.ErrUnavailable
			require.ErrorAs(t, err, &u)
			require.Equal(t, host.StateRefused, u.State)
			require.Contains(t, u.Reason, want)
			// Asking again is answered at once and starts nothing.
			_, _, again := h.Acquire(t.Context(), name)
			require.EqualError(t, again, err.Error())
		})
	}
	t.Run("echo", func(t *testing.T) {
		t.Parallel()

		_, err := send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
		require.NoError(t, err)
	})
}

// What only the process itself can show is found when it starts.
func TestBadStartsAreNamed(t *testing.T) {
	t.Parallel()

	for mode, tt := range map[string]struct {
		state host.State
		want  string
	}{
		"v7":      {host.StateRefused, "another version of the plugin protocol"},
		"other":   {host.StateRefused, "built with another manifest"},
		"exit":    {host.StateBackoff, "it did not start"},
		"nostart": {host.StateBackoff, "no licence for echo"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()

			dir := t.TempDir()
			install(t, dir, "echo", mode)
			incidents := make(chan host.Incident, 100)
			timing := quick()
			timing.BackoffMin, timing.BackoffMax = time.Hour, time.Hour
			h := start(t, host.Config{Dir: dir, Timing: timing, OnExit: func(i host.Incident) { incidents <- i }})
			_, _, err := h.Acquire(t.Context(), "echo")
			var u *host.ErrUnavailable
			require.ErrorAs(t, err, &u)
			require.Equal(t, tt.state, u.State)
			require.Contains(t, u.Reason, tt.want)
			if tt.state == host.StateBackoff {
				i := <-incidents
				require.Equal(t, host.CauseStart, i.Cause)
				if mode == "exit" {
					require.Contains(t, i.Stderr, "cannot go on")
				}
			}
		})
	}
}

// A binary that changes after it was looked at does not run, whoever changed it.
func TestChangedBinaryIsRefusedUntilScanned(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	path := h.Catalogue()[0].Path
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	writeExecutable(t, path, append(content, 0))

	_, _, err = h.Acquire(t.Context(), "echo")
	var u *host.ErrUnavailable
	require.ErrorAs(t, err, &u)
	require.Equal(t, host.StateRefused, u.State)
	require.Contains(t, u.Reason, "checksum")

	require.NoError(t, h.Scan())
	_, err = send(t.Context(), h, installation("i", 1, "a", "token-1234"), "hello")
	require.NoError(t, err)
}

func TestEnvironmentIsScrubbed(t *testing.T) {
	t.Setenv("STRATO_DATABASE_URL", "postgres://secret")
	t.Setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
	t.Setenv("TZ", "America/Argentina/Buenos_Aires")

	h := echo(t, host.Config{})
	var names []string
	for v := range strings.SplitSeq(webhook(t, h, "environment", ""), "\x00") {
		name, _, _ := strings.Cut(v, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	allowed := []string{
		"GOMAXPROCS", "GOMEMLIMIT", "PLUGIN_CLIENT_CERT", "PLUGIN_MAX_PORT", "PLUGIN_MIN_PORT", "PLUGIN_PROTOCOL_VERSIONS",
		"PLUGIN_UNIX_SOCKET_DIR", "SSL_CERT_FILE", "STRATO_LIFELINE_FD", "STRATO_PLUGIN", "TZ",
	}
	if _, set := os.LookupEnv("TMPDIR"); set {
		allowed = append(allowed, "TMPDIR")
	}
	if _, set := os.LookupEnv("SSL_CERT_DIR"); set {
		allowed = append(allowed, "SSL_CERT_DIR")
	}
	slices.Sort(allowed)
	require.Equal(t, allowed, names)
}

// A plugin has its pipes, its binary and its socket; nothing that the host has open.
func TestDescriptorsAreNotInherited(t *testing.T) {
	t.Parallel()

	secret := filepath.Join(t.TempDir(), "secret-of-the-host")
	f, err := os.Create(secret)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	h := echo(t, host.Config{})
	open := webhook(t, h, "descriptors", "")
	require.NotContains(t, open, "secret-of-the-host")
	require.Contains(t, open, "0 /dev/null")
	require.Contains(t, open, "3 "+h.Catalogue()[0].Path)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", status(t, h).PID))
	require.NoError(t, err)
	require.Regexp(t, `Max open files\s+1024\s+1024`, string(limits))
	require.Regexp(t, `Max data size\s+268435456`, string(limits))
	require.Regexp(t, `Max core file size\s+0`, string(limits))
	score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", status(t, h).PID))
	require.NoError(t, err)
	require.Equal(t, "500\n", string(score))
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", status(t, h).PID))
	require.NoError(t, err)
	require.Equal(t, "echo\n", string(comm))
}

// Two installations called at once never see each other's settings.
func TestInstallationsDoNotCross(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			for k := range 50 {
				who := (n + k) % 2
				account, token := fmt.Sprintf("agency-%d", who), fmt.Sprintf("token-of-%04d", who)
				id, err := send(t.Context(), h, installation(fmt.Sprint("i", who), uint64(1+k/10), account, token), "hi")
				if err != nil || id != fmt.Sprintf("%s/%04d/hi", account, who) {
					t.Errorf("got %q, %v", id, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestNewerRevisionIsUsed(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	for _, step := range []struct {
		revision uint64
		token    string
		want     string
	}{
		{1, "token-0001", "a/0001/hi"}, {2, "token-0002", "a/0002/hi"},
		{1, "token-0001", "a/0002/hi"}, // late: the newer one is in force
		{3, "token-0003", "a/0003/hi"},
	} {
		id, err := send(t.Context(), h, installation("i", step.revision, "a", step.token), "hi")
		require.NoError(t, err)
		require.Equal(t, step.want, id)
	}
}

func TestFailuresTravelInTheAnswer(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	c, release, err := h.Acquire(t.Context(), "echo")
	require.NoError(t, err)
	defer release()
	i := installation("i", 1, "a", "token-1234")
	r, err := c.Channel.Send(t.Context(), text(i, "refuse"))
	require.NoError(t, err)
	require.Equal(t, pluginv1.FailureCode_FAILURE_CODE_RATE_LIMITED, r.GetFailure().GetCode())
	require.Equal(t, pluginv1.Outcome_OUTCOME_NOT_SENT, r.GetFailure().GetOutcome())
	require.Equal(t, time.Second, r.GetFailure().GetRetryAfter().AsDuration())

	r, err = c.Channel.Send(t.Context(), text(i, "fail"))
	require.NoError(t, err)
	require.Equal(t, pluginv1.Outcome_OUTCOME_UNKNOWN, r.GetFailure().GetOutcome())
	require.Equal(t, pluginv1.Blame_BLAME_PLUGIN, r.GetFailure().GetBlame())
	require.NotContains(t, r.GetFailure().GetMessage(), "token-1234")
}

func TestMedia(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	c, release, err := h.Acquire(t.Context(), "echo")
	require.NoError(t, err)
	defer release()
	fetch := func(size, limit int) (head *pluginv1.MediaRef, n int, f *pluginv1.Failure) {
		s, err := c.Channel.FetchMedia(t.Context(), &pluginv1.FetchMediaRequest{
			Installation: installation("i", 1, "a", "token-1234"), MaxBytes: uint64(limit),
			Ref: &pluginv1.MediaRef{Source: &pluginv1.MediaRef_ProviderMediaId{ProviderMediaId: fmt.Sprint(size)}},
		})
		require.NoError(t, err)
		for {
			m, err := s.Recv()
			if err != nil {
				return head, n, f
			}
			switch p := m.GetPart().(type) {
			case *pluginv1.FetchMediaResponse_Head:
				head = p.Head
			case *pluginv1.FetchMediaResponse_Chunk:
				n += len(p.Chunk)
			case *pluginv1.FetchMediaResponse_Failure:
				f = p.Failure
			}
		}
	}
	head, n, f := fetch(100_000, 200_000)
	require.Nil(t, f)
	require.Equal(t, uint64(100_000), head.GetSizeBytes())
	require.Equal(t, 100_000, n)
	_, _, f = fetch(100_000, 50_000)
	require.Equal(t, pluginv1.FailureCode_FAILURE_CODE_MEDIA, f.GetCode())
	require.Eventually(t, func() bool { return status(t, h).InFlight == 0 }, 5*time.Second, time.Millisecond)
}

// A message beyond the limit is refused by the sender and harms nothing.
func TestMessageLimit(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	i := installation("i", 1, "a", "token-1234")
	_, err := send(t.Context(), h, i, strings.Repeat("x", 9<<20))
	require.ErrorContains(t, err, "ResourceExhausted")
	_, err = send(t.Context(), h, i, "hello")
	require.NoError(t, err)
}

func TestOperatorSettings(t *testing.T) {
	t.Parallel()

	var mu sync.Mutex
	secret := "first-app-secret"
	h := echo(t, host.Config{OperatorSettings: func(plugin string) map[string]string {
		mu.Lock()
		defer mu.Unlock()
		return map[string]string{"app_secret": secret + " of " + plugin}
	}})
	require.Equal(t, "first-app-secret of echo", webhook(t, h, "operator", ""))
	mu.Lock()
	secret = "second-app-secret"
	mu.Unlock()
	before := status(t, h).PID
	require.NoError(t, h.Replace(t.Context(), "echo"))
	require.Equal(t, "second-app-secret of echo", webhook(t, h, "operator", ""))
	require.NotEqual(t, before, status(t, h).PID)
	gone(t, before)
}

// A caller without a deadline of its own gets the method's.
func TestMethodsHaveDeadlines(t *testing.T) {
	t.Parallel()

	h := echo(t, host.Config{})
	c, release, err := h.Acquire(t.Context(), "echo")
	require.NoError(t, err)
	defer release()
	began := time.Now()
	_, err = c.Webhook.HandleWebhooks(t.Context(), &pluginv1.HandleWebhooksRequest{
		Installation: installation("i", 1, "a", "token-1234"),
		Deliveries:   []*pluginv1.WebhookDelivery{{Request: &pluginv1.HttpRequest{Body: []byte("wait " + filepath.Join(t.TempDir(), "f"))}}},
	})
	require.Equal(t, codes.DeadlineExceeded, grpcstatus.Code(err))
	require.GreaterOrEqual(t, time.Since(began), 2500*time.Millisecond)
}
