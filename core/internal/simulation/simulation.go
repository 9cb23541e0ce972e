// Package simulation runs the simulators of plugins' providers for the demo. A
// plugin brings its own simulator; this package starts it, as a child that ends
// with this process, and tells where it listens.
package simulation

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/sdk/simulator"
)

// Variable names the file that tells a plugin's command line where its
// simulator listens.
const Variable = simulator.EnvSimulator

const (
	startDeadline = 10 * time.Second
	stopDeadline  = 5 * time.Second
)

// File is where the demo notes where a plugin's simulator listens.
func File(data, plugin string) string {
	return filepath.Join(data, "simulators", plugin+".json")
}

// Simulator is a running one.
type Simulator struct {
	Plugin string
	// BaseURL stands in for the provider's.
	BaseURL string
	*simulator.Client

	process *embedded.Process
	stdout  *os.File
	output  sync.WaitGroup
	file    string
}

// Start runs the simulator of a plugin's binary and waits until it listens. Its
// state is kept under data, so that a second run finds the customers' phones as
// they were.
func Start(ctx context.Context, plugin, binary, data string, log *slog.Logger) (_ *Simulator, err error) {
	s := &Simulator{Plugin: plugin, file: File(data, plugin)}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o700); err != nil {
		return nil, fmt.Errorf("make the simulators' folder: %w", err)
	}
	state := filepath.Join(filepath.Dir(s.file), plugin+"-state.json")
	// It outlives ctx, which is for the start; Stop ends it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), binary, "simulate", "serve", "--addr", "127.0.0.1:0", "--state", state)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TZ=" + os.Getenv("TZ")}
	cmd.Stderr = lines{log.With("component", "simulator", "plugin", plugin)}
	// A pipe of our own: that of exec is closed when the program ends, perhaps
	// before what it said was read.
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = in
	// Closing its input tells it to stop, also when this process is killed.
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, out.Close(), in.Close())
	}
	s.process, err = embedded.StartProcess(cmd, syscall.SIGKILL)
	_ = in.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the simulator of %s: %w", plugin, err), out.Close())
	}
	s.stdout = out
	line := make(chan []byte, 1)
	s.output.Go(func() {
		r := bufio.NewReader(out)
		text, _ := r.ReadBytes('\n')
		line <- text
		_, _ = io.Copy(io.Discard, r) // it must not block on what it says later
	})
	select {
	case text := <-line:
		err = s.announce(text)
	case <-time.After(startDeadline):
		err = errors.New("it did not say where it listens")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.Stop()
		return nil, fmt.Errorf("start the simulator of %s: %w", plugin, err)
	}
	return s, nil
}

// announce notes where the simulator says that it listens.
func (s *Simulator) announce(line []byte) error {
	var a simulator.Announcement
	if err := json.Unmarshal(line, &a); err != nil || a.BaseURL == "" {
		return fmt.Errorf("it said %q instead of where it listens", line)
	}
	s.BaseURL, s.Client = a.BaseURL, simulator.NewClient(a.BaseURL)
	return os.WriteFile(s.file, line, 0o600)
}

// Stop ends the simulator.
func (s *Simulator) Stop() {
	s.process.Signal(syscall.SIGTERM)
	select {
	case <-s.process.Done():
	case <-time.After(stopDeadline):
		s.process.Signal(syscall.SIGKILL)
		<-s.process.Done()
	}
	_ = s.stdout.Close() // a child of its own may hold the other end
	s.output.Wait()
	_ = os.Remove(s.file)
}

// lines logs what a program writes to its standard error.
type lines struct{ log *slog.Logger }

// Write logs one chunk.
func (l lines) Write(b []byte) (int, error) {
	l.log.Info("simulator", "line", string(b))
	return len(b), nil
}
