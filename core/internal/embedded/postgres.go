package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Pauses between attempts to restart a server that died.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
	steadyAfter  = time.Minute // a server that ran this long starts the pauses anew
)

// Postgres is a server that runs as a child of this process and is started again
// when it dies. Its methods may be called concurrently.
type Postgres struct {
	o    Options
	bin  binaries
	at   place
	lock *folderLock
	port int
	pass string

	endLife context.CancelFunc // called when Stop begins; bounds restarts
	watched chan struct{}      // closed when the watcher has ended

	mu   sync.Mutex
	proc *Process // the current one; may have ended

	stopOnce sync.Once
	stopErr  error
}

// StartPostgres makes the cluster when there is none, starts the server and
// returns when it accepts connections. From then on the server is restarted on
// the same port whenever it dies, until Stop. A server that an earlier, killed
// run left behind on the same data is stopped first.
//
// ctx bounds the start only. The error says what is wrong and what to do; it
// wraps [ErrNoBinaries], [ErrVersion], [ErrLocked], [ErrPortTaken] or
// [ErrDiskFull] where one of them is the reason.
func StartPostgres(ctx context.Context, o Options) (_ *Postgres, err error) {
	o = o.withDefaults()
	folder, err := openFolder(o.Data)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	p := &Postgres{o: o, lock: lock, watched: make(chan struct{})}
	if err := p.prepare(ctx, folder); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	proc, err := p.startFirst(ctx)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	p.proc = proc
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	p.endLife = end
	go p.watch(life)
	return p, nil
}

// prepare finds the binaries and makes the cluster.
func (p *Postgres) prepare(ctx context.Context, folder string) error {
	user, err := unprivileged()
	if err != nil {
		return err
	}
	if p.at, err = choosePlace(folder, user, p.o.Progress); err != nil {
		return err
	}
	major, err := p.at.major()
	if err != nil {
		return err
	}
	if p.bin, err = findBinaries(ctx, p.o, major); err != nil {
		return err
	}
	if p.bin, err = p.bin.forAccount(user, p.o.Progress); err != nil {
		return spaceless(err)
	}
	if err := ensureCluster(ctx, p.bin, p.at, p.o); err != nil {
		return err
	}
	pass, err := os.ReadFile(p.at.password())
	if err != nil {
		return fmt.Errorf("read the cluster's password: %w", err)
	}
	p.pass = strings.TrimSpace(string(pass))
	return nil
}

// URL is the address of a database for the cluster's superuser.
func (p *Postgres) URL(database string) string { return adminURL(p.pass, p.port, database) }

// Port is the loopback port, the same for as long as p runs.
func (p *Postgres) Port() int { return p.port }

// Home is the folder of the cluster and its log.
func (p *Postgres) Home() string { return p.at.home }

// Major is the server's major version.
func (p *Postgres) Major() int { return p.bin.major }

// Pid is the server's process id at the moment.
func (p *Postgres) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proc.Pid()
}

// Stop shuts the server down in an orderly way and gives the data folder back.
// When ctx ends first, the server is stopped at once, and recovers at its next
// start. Calls after the first return the same.
func (p *Postgres) Stop(ctx context.Context) error {
	p.stopOnce.Do(func() {
		p.endLife()
		<-p.watched
		err := shutdown(ctx, p.proc)
		p.stopErr = errors.Join(err, p.lock.release())
	})
	return p.stopErr
}

// watch restarts the server when it dies, until life ends.
func (p *Postgres) watch(life context.Context) {
	defer close(p.watched)
	pause := firstPause
	for {
		proc, started := p.proc, time.Now()
		select {
		case <-life.Done():
			return
		case <-proc.Done():
		}
		if time.Since(started) > steadyAfter {
			pause = firstPause
		}
		p.o.Log.Error("postgres died; restarting", "exit", proc.Err(), "log", p.at.log())
		if !p.restart(life, &pause) {
			return
		}
		p.o.Log.Info("postgres restarted", "port", p.port)
	}
}

// restart tries until it works, and reports false when Stop came first.
func (p *Postgres) restart(life context.Context, pause *time.Duration) bool {
	for {
		select {
		case <-life.Done():
			return false
		case <-time.After(*pause):
		}
		*pause = min(2**pause, longestPause)
		proc, err := p.launch(life)
		if err == nil {
			p.mu.Lock()
			p.proc = proc
			p.mu.Unlock()
			return true
		}
		if life.Err() != nil {
			return false
		}
		p.o.Log.Error("postgres cannot be restarted; trying again", "err", err)
	}
}

// Running returns the address of the server that another process runs on the
// data folder, as the superuser, and false when none does. It lets a command
// work beside a running Strato.
func Running(data, database string) (string, bool, error) {
	folder, err := filepath.Abs(filepath.Join(data, "postgres"))
	if err != nil {
		return "", false, fmt.Errorf("find data folder: %w", err)
	}
	lock, err := lockFolder(folder)
	if err == nil {
		return "", false, lock.release()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil // nothing was ever kept there
	}
	if !errors.Is(err, ErrLocked) {
		return "", false, err
	}
	at := place{folder: folder, home: findHome(folder)}
	pass, err := os.ReadFile(at.password())
	if err != nil {
		return "", false, fmt.Errorf("read the cluster's password: %w", err)
	}
	port, err := readPort(at.port())
	if err != nil {
		return "", false, fmt.Errorf("read the server's port: %w", err)
	}
	return adminURL(strings.TrimSpace(string(pass)), port, database), true, nil
}

func adminURL(pass string, port int, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(User, pass),
		Host:     loopback(port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
