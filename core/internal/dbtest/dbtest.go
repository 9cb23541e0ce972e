// Package dbtest gives tests a real PostgreSQL, Redis and PgBouncer.
//
// Each test binary has one PostgreSQL cluster, started when the first test asks
// and stopped by [Main]. It lives in memory where possible and is copied from a
// template that initdb made once, so that it is there in a fraction of a second.
// A test binary that is killed takes its processes with it; the next one clears
// up its files.
package dbtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/embedded"
)

const (
	startTimeout = 2 * time.Minute // a cold machine under load
	stopTimeout  = 10 * time.Second
	leastSpace   = 1 << 30 // bytes free in memory, or the disk is taken
	staleAfter   = time.Minute
)

// harness is what the tests of one binary share. It is the package's only state.
var harness struct {
	mu      sync.Mutex
	managed bool // Main runs
	cluster *Cluster
	folder  string
	err     error
	bases   bases
}

// Main runs a package's tests and stops what they started. Every package that
// uses dbtest has it:
//
//	func TestMain(m *testing.M) { dbtest.Main(m) }
func Main(m *testing.M) {
	harness.mu.Lock()
	harness.managed = true
	harness.mu.Unlock()
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "dbtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// TenantID returns a fresh tenant's identifier.
func TenantID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// Cluster is the test binary's own PostgreSQL server.
type Cluster struct{ server *embedded.Postgres }

// StartedCluster returns the cluster, starting it when no test has before. It
// fails the test when PostgreSQL cannot be had: there is no skipping.
func StartedCluster(t testing.TB) *Cluster {
	t.Helper()
	harness.mu.Lock()
	defer harness.mu.Unlock()
	if !harness.managed {
		t.Fatal("dbtest: the package needs func TestMain(m *testing.M) { dbtest.Main(m) }")
	}
	if harness.cluster == nil && harness.err == nil {
		harness.cluster, harness.folder, harness.err = start()
	}
	if harness.err != nil {
		t.Fatalf("dbtest: %v", harness.err)
	}
	return harness.cluster
}

// OwnCluster returns a server that only this test has, for what changes a whole
// server, such as its roles. It has no database but postgres, and ends with the
// test. It takes a good half second: prefer [Fresh].
func OwnCluster(t testing.TB) *Cluster {
	t.Helper()
	c, folder, err := start()
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := errors.Join(c.server.Stop(ctx), os.RemoveAll(folder)); err != nil {
			t.Errorf("dbtest: %v", err)
		}
	})
	return c
}

// AdminURL is the superuser's address of the database postgres.
func (c *Cluster) AdminURL() string { return c.server.URL("postgres") }

// DatabaseURL is the superuser's address of a database.
func (c *Cluster) DatabaseURL(name string) string { return c.server.URL(name) }

func start() (*Cluster, string, error) {
	root, err := openRoot()
	if err != nil {
		return nil, "", err
	}
	folder, err := os.MkdirTemp(root, "run-"+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return nil, "", fmt.Errorf("make folder for the cluster: %w", err)
	}
	if err := os.Chmod(folder, 0o711); err != nil { //nolint:gosec // PostgreSQL's user has to pass through
		return nil, "", fmt.Errorf("open folder for the cluster: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	server, err := embedded.StartPostgres(ctx, embedded.Options{
		Data:           folder,
		Binaries:       os.Getenv("STRATO_POSTGRES_BIN"),
		Packages:       os.Getenv("STRATO_POSTGRES_PACKAGES"),
		MaxConnections: 400,
		Template:       filepath.Join(root, templateName()),
		InitArgs:       []string{"--no-sync", "--wal-segsize=4"},
		Settings: map[string]string{
			"fsync":              "off",
			"synchronous_commit": "off",
			"full_page_writes":   "off",
			"max_wal_size":       "256MB",
			"autovacuum":         "off",
		},
	})
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("start PostgreSQL for the tests: %w", err), os.RemoveAll(folder))
	}
	return &Cluster{server: server}, folder, nil
}

// templateName keeps the templates of different PostgreSQLs apart.
func templateName() string {
	sum := sha256.Sum256([]byte(os.Getenv("STRATO_POSTGRES_BIN") + "\n" + os.Getenv("STRATO_POSTGRES_PACKAGES")))
	return "template-" + hex.EncodeToString(sum[:4])
}

func stop() error {
	harness.mu.Lock()
	defer harness.mu.Unlock()
	if harness.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := harness.cluster.server.Stop(ctx)
	return errors.Join(err, os.RemoveAll(harness.folder))
}

// openRoot returns the folder that all test runs of this user share, rid of what
// killed runs left.
func openRoot() (string, error) {
	parent := os.TempDir()
	if roomy("/dev/shm") {
		parent = "/dev/shm"
	}
	root := filepath.Join(parent, "strato-test-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(root, 0o711); err != nil { //nolint:gosec // PostgreSQL's user has to pass through
		return "", fmt.Errorf("make folder for test clusters: %w", err)
	}
	runs, err := filepath.Glob(filepath.Join(root, "run-*"))
	if err != nil {
		return "", err
	}
	for _, run := range runs {
		if abandoned(run) {
			_ = os.RemoveAll(run) // the next run tries again
		}
	}
	return root, nil
}

// roomy reports whether a folder can be written and has space.
func roomy(folder string) bool {
	var st syscall.Statfs_t
	if err := syscall.Statfs(folder, &st); err != nil || st.Bavail*uint64(st.Bsize) < leastSpace { //nolint:gosec // block sizes are positive
		return false
	}
	f, err := os.CreateTemp(folder, "strato-test-*")
	if err != nil {
		return false
	}
	return f.Close() == nil && os.Remove(f.Name()) == nil
}

// abandoned reports whether a run's folder is old enough to be started and its
// lock is free.
func abandoned(run string) bool {
	info, err := os.Stat(run)
	if err != nil || time.Since(info.ModTime()) < staleAfter {
		return false
	}
	f, err := os.Open(filepath.Join(run, "postgres", "lock"))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer func() { _ = f.Close() }() // lets go of the lock
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
