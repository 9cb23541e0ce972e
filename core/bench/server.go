package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stratohub/strato/core/internal/simulation"
	"github.com/stratohub/strato/sdk/simulator"
)

const (
	startDeadline = 90 * time.Second
	stopDeadline  = 45 * time.Second
	// plugin and agency are whom the customers write to.
	plugin = "whatsapp"
	agency = "acme"
)

// account is the agency's account at the provider.
type account struct {
	tenant, installation string
	webhook              *url.URL
	settings             map[string]string
}

// strato is a running server with the demo's agencies.
type strato struct {
	cmd  *exec.Cmd
	done chan struct{}
	addr string
	end  error
}

// start runs the server in the given roles on the world's database.
func (w *world) start(ctx context.Context, roles string) (_ *strato, err error) {
	w.progress("starting Strato as " + roles)
	s := &strato{done: make(chan struct{})}
	if s.addr, err = freePort(ctx); err != nil {
		return nil, err
	}
	data := filepath.Join(w.folder, "strato")
	s.cmd = exec.Command(filepath.Join(w.bin, "strato"), "demo") //nolint:noctx // stop ends it in order
	s.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "STRATO_DATABASE_URL=" + w.adminURL, "STRATO_SECRET_KEYS=" + w.keys, "STRATO_DATA=" + data,
		"STRATO_ADDR=" + s.addr, "STRATO_METRICS_ADDR=", "STRATO_ROLES=" + roles, "STRATO_NODE_ID=bench",
	}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start bin/strato (make build): %w", err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(s.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "Strato serves at") {
				close(ready)
			}
		}
		s.end = s.cmd.Wait()
	}()
	select {
	case <-ready:
	case <-s.done:
		return nil, fmt.Errorf("the server did not start: %w", s.end)
	case <-time.After(startDeadline):
		err = errors.New("the server does not start")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		err = w.findAccount(ctx, s, data)
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// stop ends the server in order.
func (s *strato) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.done:
		return s.end
	case <-time.After(stopDeadline):
		_ = s.cmd.Process.Kill()
		<-s.done
		return errors.New("the server did not stop")
	}
}

// findAccount asks the simulator for the agency's account.
func (w *world) findAccount(ctx context.Context, s *strato, data string) error {
	a := &account{}
	var hook string
	err := w.admin.QueryRow(ctx, `
		select t.id::text, i.id::text, i.webhook_url from control.tenants t join crm.installations i on i.tenant_id = t.id
		where t.slug = $1 and i.plugin = $2`, agency, plugin).Scan(&a.tenant, &a.installation, &hook)
	if err != nil {
		return fmt.Errorf("find the agency's installation: %w", err)
	}
	if a.webhook, err = url.Parse(hook); err != nil {
		return fmt.Errorf("read the webhook's address: %w", err)
	}
	a.webhook.Host = s.addr
	client, err := simulator.FindClient(simulation.File(data, plugin))
	if err != nil {
		return err
	}
	answer, err := client.Account(ctx, simulator.AccountRequest{Label: agency})
	if err != nil {
		return err
	}
	a.settings = answer.Settings
	w.account = a
	return nil
}
