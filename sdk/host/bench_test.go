package host_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// BenchmarkCall is a webhook of 1 KiB through a plugin's process; compare it
// with BenchmarkLoopback, the same bytes through HTTP on loopback.
func BenchmarkCall(b *testing.B) {
	dir := b.TempDir()
	install(b, dir, "echo", "")
	h, err := host.New(host.Config{Dir: dir, RuntimeDir: b.TempDir()})
	require.NoError(b, err)
	defer func() { require.NoError(b, h.Stop(context.Background())) }()
	r := &pluginv1.HandleWebhooksRequest{
		Installation: installation("i", 1, "a", "token-1234"),
		Deliveries:   []*pluginv1.WebhookDelivery{{Request: &pluginv1.HttpRequest{Body: []byte(strings.Repeat("x", 1024))}}},
	}
	for b.Loop() {
		c, release, err := h.Acquire(b.Context(), "echo")
		require.NoError(b, err)
		_, err = c.Webhook.HandleWebhooks(b.Context(), r)
		release()
		require.NoError(b, err)
	}
}

// BenchmarkLoopback is the measure of BenchmarkCall: a server in a process of
// its own, as a plugin is one.
func BenchmarkLoopback(b *testing.B) {
	cmd := exec.Command(os.Args[0], "", "")
	cmd.Env = append(os.Environ(), helperEnv+"=loopback")
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	url, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	body := strings.Repeat("x", 1024)
	for b.Loop() {
		r, err := http.Post(strings.TrimSpace(url), "text/plain", strings.NewReader(body))
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, r.Body)
		require.NoError(b, err)
		require.NoError(b, r.Body.Close())
	}
}
