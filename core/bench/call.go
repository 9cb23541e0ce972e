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

// A round is enough calls for a steady median, in blocks that are over before
// the machine's mood changes.
const (
	blocksPerRound = 40
	callsPerBlock  = 50
)

// call measures a webhook of 1 KiB at the plugin's process: once with nothing in
// it to translate, which is the price of the boundary and the signature, once
// with a message. The measure of both is the same number of bytes posted to an
// HTTP server that sends them back.
func (w *world) call(ctx context.Context) ([]row, error) {
	boundary := row{what: "plugin call: 1 KiB webhook, signature checked", unit: "µs", aim: 2.5, floorIs: "HTTP on loopback, the same bytes there and back"}
	message := row{what: "plugin call: the same with a message, translated", unit: "µs", floorIs: boundary.floorIs}
	if err := w.warm(ctx); err != nil {
		return nil, err
	}
	base, stop, err := startLoopback()
	if err != nil {
		return nil, err
	}
	defer stop()
	h, err := host.New(host.Config{Dir: filepath.Join(w.bin, "plugins"), RuntimeDir: filepath.Join(w.folder, "plugins")})
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = h.Stop(ctx)
	}()
	clients, release, err := h.Acquire(ctx, plugin)
	if err != nil {
		return nil, err
	}
	defer release()
	handle := func(body []byte, events int) (func() error, error) {
		request, err := w.account.delivery(body)
		return func() error {
			answer, err := clients.Webhook.HandleWebhooks(ctx, request)
			if err != nil {
				return err
			}
			if r := answer.GetResults()[0]; !r.GetVerified() || len(r.GetEvents()) != events {
				return fmt.Errorf("the plugin made %d events of the webhook, want %d", len(r.GetEvents()), events)
			}
			return nil
		}, err
	}
	empty := pad([]byte(`{"object":"whatsapp_business_account","entry":[]}`))
	nothing, err := handle(empty, 0)
	if err != nil {
		return nil, err
	}
	something, err := handle(pad(w.account.message(1, "wamid.call")), 1)
	if err != nil {
		return nil, err
	}
	for range w.rounds {
		t, err := alternate(func() error { return post(ctx, base, empty) }, nothing, something)
		if err != nil {
			return nil, err
		}
		boundary.floor, boundary.strato = append(boundary.floor, t[0]), append(boundary.strato, t[1])
		message.floor, message.strato = append(message.floor, t[0]), append(message.strato, t[2])
	}
	return []row{boundary, message}, nil
}

// pad lengthens a JSON document to 1 KiB, with space at its end.
func pad(body []byte) []byte {
	return append(body, bytes.Repeat([]byte(" "), max(0, 1024-len(body)))...)
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

// alternate runs functions in turns, a block of calls each, so that all see the
// machine alike, and returns the medians of their times in µs.
func alternate(functions ...func() error) ([]float64, error) {
	times := make([]side, len(functions))
	for range blocksPerRound {
		for n, f := range functions {
			for range callsPerBlock {
				start := time.Now()
				if err := f(); err != nil {
					return nil, err
				}
				times[n] = append(times[n], float64(time.Since(start).Nanoseconds())/1e3)
			}
		}
	}
	medians := make([]float64, len(functions))
	for n := range times {
		medians[n] = times[n].median()
	}
	return medians, nil
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
		_, _ = io.Copy(w, r.Body)
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
