package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	portTries  = 5        // for a free port that somebody else takes before us
	oldMemory  = 10       // tries while processes of a killed server still end
	logLimit   = 16 << 20 // a longer log is set aside at the next start
	readyPause = 20 * time.Millisecond
)

// startFirst starts the server on its port: the wished one, the last one, or any
// that is free.
func (p *Postgres) startFirst(ctx context.Context) (*Process, error) {
	for try := 1; ; try++ {
		port, err := p.choosePort(ctx, try)
		if err != nil {
			return nil, err
		}
		p.port = port
		proc, err := p.launch(ctx)
		if err == nil {
			return proc, writeFile(p.at.port(), strconv.Itoa(port))
		}
		if p.o.Port != 0 || try == portTries || !errors.Is(err, ErrPortTaken) {
			return nil, err
		}
	}
}

func (p *Postgres) choosePort(ctx context.Context, try int) (int, error) {
	if p.o.Port != 0 {
		if !free(ctx, p.o.Port) {
			return 0, fmt.Errorf("PostgreSQL cannot listen on %s: %w: stop the program that listens there, or choose another port",
				loopback(p.o.Port), ErrPortTaken)
		}
		return p.o.Port, nil
	}
	if last, err := readPort(p.at.port()); try == 1 && err == nil && free(ctx, last) {
		return last, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", loopback(0))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

func free(ctx context.Context, port int) bool {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func readPort(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("%s holds no port", file)
	}
	return port, nil
}

// launch starts the server and waits until it accepts connections.
func (p *Postgres) launch(ctx context.Context) (*Process, error) {
	for try := 1; ; try++ {
		proc, said, err := p.launchOnce(ctx)
		if err == nil {
			return proc, nil
		}
		if try == oldMemory || !strings.Contains(said, "shared memory block") {
			return nil, err
		}
		// Processes of a server that was killed are still ending.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (p *Postgres) launchOnce(ctx context.Context) (proc *Process, said string, err error) {
	if err := stopLeftover(ctx, p.at.cluster(), p.o.Progress); err != nil {
		return nil, "", err
	}
	log, size, err := openLog(p.at.log())
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = log.Close() }() // the server has its own

	cmd := exec.Command(filepath.Join(p.bin.folder, "postgres"), p.arguments()...) //nolint:noctx // it outlives the start
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = p.at.home
	cmd.Env = environment()
	cmd.SysProcAttr = p.at.user.attributes()
	proc, err = StartProcess(cmd, syscall.SIGINT)
	if err != nil {
		return nil, "", err
	}
	err = p.waitReady(ctx, proc)
	if err == nil {
		return proc, "", nil
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), immediateStop)
	defer cancel()
	_ = shutdown(stop, proc) // the reason below matters more
	said = readFrom(p.at.log(), size)
	if errors.Is(err, errEnded) {
		err = explain("start PostgreSQL on "+loopback(p.port), said)
	}
	return nil, said, fmt.Errorf("%w (log: %s)", err, p.at.log())
}

// arguments are the server's settings, given anew at each start, so that the
// cluster's own configuration files stay as initdb made them.
func (p *Postgres) arguments() []string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(p.port),
		"unix_socket_directories": "",
		"max_connections":         strconv.Itoa(p.o.MaxConnections),
		"shared_buffers":          "128MB",
		"fsync":                   "on",
		"wal_level":               "logical", // a tenant's move needs it
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"log_destination":         "stderr",
		"logging_collector":       "off",
		"log_checkpoints":         "off",
		"log_line_prefix":         "%m [%p] ",
		"cluster_name":            "strato",
	}
	maps.Copy(settings, p.o.Settings)
	args := []string{"-D", p.at.cluster()}
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", k+"="+settings[k])
	}
	return args
}

// openLog opens the server's log for appending and returns its size.
func openLog(path string) (*os.File, int64, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > logLimit {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, fmt.Errorf("set old log aside: %w", err)
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("look at log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, spaceless(fmt.Errorf("open log: %w", err))
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("look at log: %w", err), f.Close())
	}
	return f, info.Size(), nil
}

// errEnded means that the server ended before it was ready.
var errEnded = errors.New("the server ended")

// waitReady returns when the server lets the superuser in.
func (p *Postgres) waitReady(ctx context.Context, proc *Process) error {
	slow := time.NewTimer(5 * time.Second)
	defer slow.Stop()
	tick := time.NewTicker(readyPause)
	defer tick.Stop()
	for {
		err := knock(ctx, p.URL("postgres"))
		if err == nil {
			return nil
		}
		if pe, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(pe.Code, "28") {
			return fmt.Errorf("log in to PostgreSQL on %s: the password in %s is not the cluster's: %w",
				loopback(p.port), p.at.password(), err)
		}
		select {
		case <-proc.Done():
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", ctx.Err())
		case <-slow.C:
			p.o.Progress("PostgreSQL is still starting; after a crash it first repairs its files.")
		case <-tick.C:
		}
	}
}

func knock(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// shutdown stops a server: at once when ctx ends before it has stopped by itself.
func shutdown(ctx context.Context, proc *Process) error {
	polite, cancel := context.WithTimeout(ctx, fastStop)
	defer cancel()
	proc.Signal(syscall.SIGINT)
	select {
	case <-proc.Done():
		return nil
	case <-polite.Done():
	}
	proc.Signal(syscall.SIGQUIT)
	select {
	case <-proc.Done():
		return nil
	case <-time.After(immediateStop):
	}
	proc.Signal(syscall.SIGKILL)
	select {
	case <-proc.Done():
		return nil
	case <-time.After(immediateStop):
		return fmt.Errorf("PostgreSQL (process %d) does not stop", proc.Pid())
	}
}
