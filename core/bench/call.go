package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// loopbackWord makes this program the HTTP server that a plugin is compared
// with: like a plugin, a process of its own.
const loopbackWord = "serve-loopback"

// callsPerRound is enough for a steady median.
const callsPerRound = 3000

// call measures a webhook handled by the plugin's process, signature checked and
// translated, against the same bytes posted to an HTTP server that drops them.
func (w *world) call(ctx context.Context) (row, error) {
	r := row{what: "plugin call: one webhook verified and translated", unit: "µs", aim: 2.5, floorIs: "HTTP on loopback, the same bytes"}
	if err := w.warm(ctx); err != nil {
		return r, err
	}
	base, stop, err := startLoopback()
	if err != nil {
		return r, err
	}
	defer stop()
	h, err := host.New(host.Config{Dir: filepath.Join(w.bin, "plugins"), RuntimeDir: filepath.Join(w.folder, "plugins")})
	if err != nil {
		return r, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = h.Stop(ctx)
	}()
	clients, release, err := h.Acquire(ctx, plugin)
	if err != nil {
		return r, err
	}
	defer release()
	body := w.account.message(1, "wamid.call")
	request, err := w.account.delivery(body)
	if err != nil {
		return r, err
	}
	for range w.rounds {
		floor, err := typical(func() error { return post(ctx, base, body) })
		if err != nil {
			return r, err
		}
		ours, err := typical(func() error {
			answer, err := clients.Webhook.HandleWebhooks(ctx, request)
			if err == nil && len(answer.GetResults()[0].GetEvents()) != 1 {
				err = errors.New("the plugin made no event of the webhook")
			}
			return err
		})
		if err != nil {
			return r, err
		}
		r.floor, r.strato = append(r.floor, floor), append(r.strato, ours)
	}
	return r, nil
}

// delivery is what the core would hand to the plugin.
func (a *account) delivery(body []byte) (*pluginv1.HandleWebhooksRequest, error) {
	public, secrets := map[string]string{}, map[string]string{}
	for name, value := range a.settings {
		if name == "app_secret" || name == "access_token" || name == "verify_token" {
			secrets["/"+name] = value
			continue
		}
		public[name] = value
	}
	document, err := json.Marshal(public)
	if err != nil {
		return nil, err
	}
	return &pluginv1.HandleWebhooksRequest{
		Installation: &pluginv1.Installation{
			TenantId: a.tenant, InstallationId: a.installation, Revision: 1, SettingsVersion: 1, SettingsJson: document, Secrets: secrets,
		},
		Deliveries: []*pluginv1.WebhookDelivery{{
			Request: &pluginv1.HttpRequest{
				Method: http.MethodPost, Path: a.webhook.Path, Body: body, ReceivedAt: timestamppb.Now(),
				Headers: []*pluginv1.Header{{Name: "X-Hub-Signature-256", Value: a.sign(body)}},
			},
			MatchedKeys: []*pluginv1.RouteKey{{Kind: "phone_number_id", Value: a.settings["phone_number_id"]}},
		}},
	}, nil
}

// typical runs f again and again and returns the median of its times in µs.
func typical(f func() error) (float64, error) {
	times := make(side, 0, callsPerRound)
	for range callsPerRound {
		start := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(start).Nanoseconds())/1e3)
	}
	return times.median(), nil
}

func post(ctx context.Context, base string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := loopbackClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

var loopbackClient = &http.Client{Timeout: 5 * time.Second}

// startLoopback runs this program as the HTTP server. It ends when its input
// closes.
func startLoopback() (base string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(self, loopbackWord) //nolint:noctx // stop ends it
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start the HTTP server: %w", err)
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("the HTTP server did not start: %w", err)
	}
	return strings.TrimSpace(line), stop, nil
}

func serveLoopback(in io.Reader, out io.Writer) error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	})}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		_ = s.Close()
	}()
	fmt.Fprintf(out, "http://%s\n", l.Addr())
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
