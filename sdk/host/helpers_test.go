package host_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// helperEnv makes the test binary a host program instead; see helper_test.go.
const helperEnv = "STRATO_HOST_TEST_HELPER"

var (
	buildDir string
	builds   sync.Map // mode -> func() (string, error)
)

func TestMain(m *testing.M) {
	if role := os.Getenv(helperEnv); role != "" {
		helper(role, os.Args[1:])
		return
	}
	dir, err := os.MkdirTemp("", "strato-host-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// binary builds the test plugin in one of its modes, once.
func binary(t testing.TB, mode string) string {
	t.Helper()
	build, _ := builds.LoadOrStore(mode, sync.OnceValues(func() (string, error) {
		out := filepath.Join(buildDir, "echo-"+mode)
		cgo := "0" // as plugins are released
		if mode == "cgo" {
			cgo = "1"
		}
		cmd := exec.Command("go", "build", "-ldflags", "-s -w -X main.mode="+mode, "-o", out, "../internal/testplugin")
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if b, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, b)
		}
		return out, nil
	}))
	path, err := build.(func() (string, error))()
	require.NoError(t, err)
	return path
}

// install puts the test plugin under dir, with its manifest changed by edits:
// pairs of old and new text.
func install(t testing.TB, dir, name, mode string, edits ...string) string {
	t.Helper()
	folder := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	manifest, err := os.ReadFile("../internal/testplugin/plugin.json")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "plugin.json"), []byte(strings.NewReplacer(edits...).Replace(string(manifest))), 0o644))
	content, err := os.ReadFile(binary(t, mode))
	require.NoError(t, err)
	path := filepath.Join(folder, name)
	writeExecutable(t, path, content)
	return path
}

// writeExecutable writes through a second name, so that no process that some
// other test forks can hold the file open for writing while it is executed.
func writeExecutable(t testing.TB, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	require.NoError(t, os.WriteFile(path, content, 0o755))
}

// quick are timings for tests: prompt, but with room for a busy machine.
func quick() host.Timing {
	return host.Timing{
		Start: 30 * time.Second, HealthEvery: 50 * time.Millisecond, HealthDeadline: time.Second,
		BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond,
	}
}

// start makes a host that is stopped with the test.
func start(t *testing.T, c host.Config) *host.Host {
	t.Helper()
	if c.RuntimeDir == "" {
		c.RuntimeDir = t.TempDir()
	}
	h, err := host.New(c)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		require.NoError(t, h.Stop(ctx))
	})
	return h
}

// echo is a host of one sound plugin.
func echo(t *testing.T, c host.Config) *host.Host {
	t.Helper()
	c.Dir = t.TempDir()
	install(t, c.Dir, "echo", "")
	if c.Timing == (host.Timing{}) {
		c.Timing = quick()
	}
	return start(t, c)
}

func installation(id string, revision uint64, account, token string) *pluginv1.Installation {
	return &pluginv1.Installation{
		TenantId: "tenant-of-" + id, InstallationId: id, Revision: revision, SettingsVersion: 1,
		SettingsJson: []byte(`{"account":"` + account + `"}`), Secrets: map[string]string{"/token": token},
	}
}

func text(i *pluginv1.Installation, body string) *pluginv1.SendRequest {
	return &pluginv1.SendRequest{
		Installation: i, IdempotencyKey: "key", Attempt: 1,
		Content: &pluginv1.Content{Kind: &pluginv1.Content_Text{Text: &pluginv1.Text{Body: body}}},
	}
}

// send makes one call and returns the id that the plugin gave.
func send(ctx context.Context, h *host.Host, i *pluginv1.Installation, body string) (string, error) {
	c, release, err := h.Acquire(ctx, "echo")
	if err != nil {
		return "", err
	}
	defer release()
	r, err := c.Channel.Send(ctx, text(i, body))
	if err != nil {
		return "", err
	}
	if r.GetFailure() != nil {
		return "", fmt.Errorf("failure %s: %s", r.GetFailure().GetCode(), r.GetFailure().GetMessage())
	}
	return r.GetReceipts()[0].GetProviderMessageId(), nil
}

// webhook asks an endpoint of the test plugin.
func webhook(t *testing.T, h *host.Host, endpoint, body string) string {
	t.Helper()
	c, release, err := h.Acquire(t.Context(), "echo")
	require.NoError(t, err)
	defer release()
	r, err := c.Webhook.HandleWebhooks(t.Context(), &pluginv1.HandleWebhooksRequest{
		Installation: installation("i", 1, "a", "token-1234"),
		Deliveries:   []*pluginv1.WebhookDelivery{{Endpoint: endpoint, Request: &pluginv1.HttpRequest{Body: []byte(body)}}},
	})
	require.NoError(t, err)
	require.Nil(t, r.GetResults()[0].GetFailure())
	return string(r.GetResults()[0].GetResponse().GetBody())
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// halt stops a process like one that hangs, and waits until each of its threads has stopped.
func halt(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	require.Eventually(t, func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return false
		}
		for _, path := range threads {
			if b, err := os.ReadFile(path); err == nil && !strings.Contains(string(b), ") T ") {
				return false
			}
		}
		return true
	}, 10*time.Second, time.Millisecond)
}

// gone waits for the end of a process.
func gone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return !alive(pid) }, 10*time.Second, 2*time.Millisecond, "process %d is still there", pid)
}

// status of the test plugin.
func status(t *testing.T, h *host.Host) host.Status {
	t.Helper()
	s, err := h.Status("echo")
	require.NoError(t, err)
	return s
}

// reaches waits for a state.
func reaches(t *testing.T, h *host.Host, state host.State) host.Status {
	t.Helper()
	var last host.Status
	require.Eventually(t, func() bool { last = status(t, h); return last.State == state }, 30*time.Second, 2*time.Millisecond,
		"never reached %s", state)
	return last
}

// log is a logger whose lines a test can read while they are written.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *log) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
