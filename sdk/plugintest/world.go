package plugintest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/simulator"
)

// world is one check's own: the plugin under a host, its simulator, the provider's
// front between them, and the address to which webhooks come.
type world struct {
	*subject
	host     *host.Host
	provider *provider
	front    *httptest.Server // of the provider
	inlet    *inlet
	sim      *simulator.Client
	log      *transcript

	mu        sync.Mutex
	incidents []host.Incident

	closers []func() error
}

// world starts everything but the plugin, which starts with its first call.
func (s *subject) world(ctx context.Context, timing host.Timing) (_ *world, err error) {
	copied := *s // a check may change what it needs
	w := &world{subject: &copied, log: &transcript{}, inlet: newInlet()}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	dir, err := os.MkdirTemp("", "sk") // sockets have short paths
	if err != nil {
		return nil, err
	}
	w.later(func() error { return os.RemoveAll(dir) })
	base, err := w.startSimulator(ctx)
	if err != nil {
		return nil, err
	}
	w.sim = simulator.NewClient(base)
	if w.provider, err = newProvider(base); err != nil {
		return nil, err
	}
	w.front = httptest.NewServer(w.provider)
	w.later(func() error { w.provider.release(); w.front.Close(); return nil })
	hooks := httptest.NewServer(w.inlet)
	w.later(func() error { hooks.Close(); return nil })
	w.inlet.base = hooks.URL

	plugins := filepath.Join(dir, "plugins")
	served, err := w.install(plugins)
	if err != nil {
		return nil, err
	}
	w.host, err = host.New(host.Config{
		Dir: plugins, Dev: served != nil, Reattach: served, RuntimeDir: filepath.Join(dir, "run"), NodeID: "plugintest", HostVersion: "plugintest", LogLevel: "debug", Timing: timing,
		Logger: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnExit: func(i host.Incident) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.incidents = append(w.incidents, i)
		},
		OperatorSettings: func(string) map[string]string {
			o := map[string]string{"base_url": w.front.URL}
			maps.Copy(o, s.Operator)
			return o
		},
	})
	if err != nil {
		return nil, err
	}
	w.later(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return w.host.Stop(ctx)
	})
	return w, nil
}

// install puts the plugin where the host looks for it. In process it is served,
// and the host is told where.
func (w *world) install(plugins string) (map[string]host.Reattach, error) {
	folder := filepath.Join(plugins, w.manifest.ID)
	if w.Plugin == nil {
		if err := os.Mkdir(plugins, 0o700); err != nil {
			return nil, err
		}
		return nil, os.Symlink(w.Folder, folder)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	// The catalogue wants a program, which is not started.
	err := errors.Join(os.WriteFile(filepath.Join(folder, w.manifest.ID), nil, 0o700), //nolint:gosec // it must be executable
		os.WriteFile(filepath.Join(folder, "plugin.json"), w.document, 0o600))
	if err != nil {
		return nil, err
	}
	l, err := w.Plugin.Listen(w.log)
	if err != nil {
		return nil, fmt.Errorf("serve the plugin in this process: %w", err)
	}
	w.later(func() error { l.Close(); return nil })
	return host.ParseReattach(l.Reattach)
}

func (w *world) later(f func() error) { w.closers = append(w.closers, f) }

// close undoes what was started, the newest first.
func (w *world) close() error {
	var errs []error
	for _, f := range slices.Backward(w.closers) {
		errs = append(errs, f())
	}
	w.closers = nil
	return errors.Join(errs...)
}

// startSimulator runs the simulator, the program's own unless there is one in
// this process, and returns where it listens.
func (w *world) startSimulator(ctx context.Context) (string, error) {
	if w.Simulator != nil {
		p, err := w.Simulator()
		if err != nil {
			return "", fmt.Errorf("make the simulator: %w", err)
		}
		s, err := simulator.Start(ctx, p, "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		w.later(s.Stop)
		return s.BaseURL, nil
	}
	if !w.manifest.Simulator {
		return "", errors.New("the plugin has no simulator")
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), w.binary, "simulate", "serve", "--addr", "127.0.0.1:0")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	stdin, err := cmd.StdinPipe() // closing it tells the simulator to stop
	if err != nil {
		return "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start the simulator: %w", err)
	}
	var work sync.WaitGroup
	line := make(chan []byte, 1)
	work.Go(func() {
		text, _ := bufio.NewReader(out).ReadBytes('\n')
		line <- text
	})
	w.later(func() error {
		_ = stdin.Close() // it may have ended
		stop := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		defer stop.Stop()
		work.Wait()
		_ = cmd.Wait() // how it ended says nothing of the plugin
		return nil
	})
	select {
	case text := <-line:
		var a simulator.Announcement
		if json.Unmarshal(text, &a) != nil || a.BaseURL == "" {
			return "", fmt.Errorf("the simulator said %q instead of where it listens; its errors: %s", text, complaints.String())
		}
		return a.BaseURL, nil
	case <-ctx.Done():
		return "", fmt.Errorf("the simulator did not say where it listens: %w", ctx.Err())
	}
}

// call runs f with the plugin's clients.
func (w *world) call(ctx context.Context, f func(*host.Clients) error) error {
	c, done, err := w.host.Acquire(ctx, w.manifest.ID)
	if err != nil {
		return fmt.Errorf("start the plugin: %w%s", err, w.lastWords())
	}
	defer done()
	if err := f(c); err != nil {
		return fmt.Errorf("%w%s", err, w.lastWords())
	}
	return nil
}

// lastWords are what a process wrote that ended.
func (w *world) lastWords() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.incidents) == 0 {
		return ""
	}
	i := w.incidents[len(w.incidents)-1]
	return fmt.Sprintf("\nthe process ended: %s\n%s", i.Summary(), strings.Join(i.Stderr[:min(len(i.Stderr), 20)], "\n"))
}

// transcript is what the host and the plugin logged.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *transcript) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *transcript) has(secret string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text.Bytes(), []byte(secret))
}

// account is one at the simulated provider, with its installation.
type account struct {
	label        string
	settings     map[string]string
	installation *pluginv1.Installation
	keys         []*pluginv1.RouteKey
}

// secrets are the values that nobody else may see.
func (a *account) secrets() []string {
	var out []string
	for _, v := range a.installation.GetSecrets() {
		if len(v) >= 8 { // shorter words turn up by chance
			out = append(out, v)
		}
	}
	return out
}

// account opens an account whose webhooks come to the world's inlet.
func (w *world) account(ctx context.Context, label string) (*account, error) {
	opened, err := w.sim.Account(ctx, simulator.AccountRequest{Label: label, WebhookURL: w.inlet.url(label)})
	if err != nil {
		return nil, fmt.Errorf("open an account at the simulator: %w", err)
	}
	document, err := json.Marshal(opened.Settings)
	if err != nil {
		return nil, err
	}
	split, err := w.schema.Split(document)
	if err != nil {
		return nil, fmt.Errorf("the simulator's settings do not fit the schema: %w", err)
	}
	a := &account{label: label, settings: opened.Settings, installation: &pluginv1.Installation{
		TenantId: tenantOf(label), InstallationId: installationOf(label), Revision: 1, SettingsVersion: w.manifest.SettingsVersion,
		SettingsJson: split.Settings, Secrets: split.Secrets, WebhookUrl: w.inlet.url(label),
		Timezone: "America/Argentina/Buenos_Aires", Locale: "es-AR",
	}}
	return a, w.confirm(ctx, a)
}

// confirm asks for the account's routing keys, as the core does before it routes.
func (w *world) confirm(ctx context.Context, a *account) error {
	return w.call(ctx, func(c *host.Clients) error {
		r, err := c.Provider.CheckInstallation(ctx, &pluginv1.CheckInstallationRequest{Installation: a.installation, Deep: true})
		if err != nil {
			return fmt.Errorf("check the installation: %w", err)
		}
		a.keys = r.GetConfirmedRouteKeys()
		return nil
	})
}

func tenantOf(label string) string       { return "00000000-0000-7000-8000-" + digits(label) }
func installationOf(label string) string { return "00000000-0000-7000-9000-" + digits(label) }

// digits are twelve hexadecimal ones for a label.
func digits(label string) string {
	var sum uint64 = 14695981039346656037
	for _, b := range []byte(label) {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	return fmt.Sprintf("%012x", sum&0xffffffffffff)
}
