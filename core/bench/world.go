package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stratohub/strato/core/internal/app"
	"github.com/stratohub/strato/core/internal/embedded"
	"github.com/stratohub/strato/core/internal/postgres"
	"github.com/stratohub/strato/core/internal/secret"
	"github.com/stratohub/strato/core/internal/tenant"
)

// floorDatabase has the schema of a tenants' database and no server on it: there
// pgbench works.
const floorDatabase = "floor"

// world is what all measures share: one PostgreSQL, in a folder of its own, with
// Strato's database and the floor's.
type world struct {
	settings
	progress   func(string)
	folder     string
	loadBefore string

	server   *embedded.Postgres
	admin    *pgxpool.Pool // on Strato's database, as superuser
	adminURL string
	floorURL string
	keys     string // STRATO_SECRET_KEYS
	roleKey  []byte
	pgbench  string
	account  *account // nil before the first start of Strato
}

func openWorld(ctx context.Context, s settings, progress func(string)) (_ *world, err error) {
	w := &world{settings: s, progress: progress}
	w.loadBefore, _, _ = strings.Cut(firstLine("/proc/loadavg", ""), " ")
	if s.bin, err = filepath.Abs(s.bin); err != nil {
		return nil, err
	}
	w.bin = s.bin
	if w.pgbench, err = findPgbench(); err != nil {
		return nil, err
	}
	if w.folder, err = os.MkdirTemp("", "strato-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	// PostgreSQL may run as another user, who has to pass through.
	if err = os.Chmod(w.folder, 0o711); err != nil { //nolint:gosec // see above
		return nil, err
	}
	progress("starting PostgreSQL in " + w.folder)
	w.server, err = embedded.StartPostgres(ctx, embedded.Options{Data: w.folder, Binaries: filepath.Dir(w.pgbench)})
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	w.keys = "bench:" + base64.StdEncoding.EncodeToString(key)
	ring, err := secret.ParseRing(w.keys)
	if err != nil {
		return nil, err
	}
	w.roleKey = app.RoleKey(ring)
	return w, w.databases(ctx)
}

func (w *world) databases(ctx context.Context) (err error) {
	if w.adminURL, err = embedded.EnsureDatabase(ctx, w.server.URL("postgres"), app.ControlDatabase); err != nil {
		return err
	}
	if w.floorURL, err = embedded.EnsureDatabase(ctx, w.adminURL, floorDatabase); err != nil {
		return err
	}
	for url, sets := range map[string][]postgres.Set{
		w.adminURL: {postgres.SetControl, postgres.SetTenant},
		w.floorURL: {postgres.SetTenant},
	} {
		if err := app.Migrate(ctx, url, w.roleKey, w.progress, sets...); err != nil {
			return err
		}
	}
	if w.admin, err = postgres.NewPool(ctx, w.adminURL, postgres.PoolConfig{MaxConns: 4}); err != nil {
		return err
	}
	var durable bool
	err = w.admin.QueryRow(ctx, "select current_setting('fsync') = 'on' and current_setting('synchronous_commit') = 'on'").Scan(&durable)
	if err == nil && !durable {
		err = errors.New("the server is not durable: fsync or synchronous_commit is off")
	}
	return err
}

func (w *world) close() error {
	if w.admin != nil {
		w.admin.Close()
	}
	var err error
	if w.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err = w.server.Stop(ctx)
	}
	return errors.Join(err, os.RemoveAll(w.folder))
}

// tenants opens the router on Strato's databases, as the server does.
func (w *world) tenants(ctx context.Context) (*tenant.Pool, error) {
	return tenant.Open(ctx, tenant.Config{AdminURL: w.adminURL, RoleKey: w.roleKey})
}

// freePort returns a loopback address that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
