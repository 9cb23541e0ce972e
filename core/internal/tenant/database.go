package tenant

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/postgres"
)

// DatabaseID identifies a place where tenants can live.
type DatabaseID = id.Of[Database]

// Database is a PostgreSQL database in which tenants live: the shared one, or
// one dedicated to a tenant.
type Database struct {
	bun.BaseModel `bun:"table:control.databases,alias:d"`

	ID   DatabaseID `bun:",pk"`
	Name string     // unique, lower case
	Kind string     // "shared" or "dedicated"
	// DSNRef says how to reach it without holding a secret: "same:NAME" for a
	// database of the control plane's server, "file:PATH" for a file that holds
	// the URL of its admin role.
	DSNRef   string `bun:"dsn_ref"`
	MaxConns int32  // of the application's pool, per node
	State    string // "active", "draining" or "off"
}

// AdminURL resolves the database's DSNRef to the URL of its admin role, given
// that of the control plane.
func (d Database) AdminURL(controlURL string) (string, error) {
	scheme, rest, _ := strings.Cut(d.DSNRef, ":")
	switch scheme {
	case "same":
		u, err := url.Parse(controlURL)
		if err != nil {
			return "", fmt.Errorf("database %s: the control plane's URL cannot be read", d.Name)
		}
		u.Path = "/" + rest
		return u.String(), nil
	case "file":
		b, err := os.ReadFile(rest)
		if err != nil {
			return "", fmt.Errorf("database %s: read its URL: %w", d.Name, err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	return "", fmt.Errorf("database %s: dsn_ref must begin with \"same:\" or \"file:\"", d.Name)
}

// databases opens a handle per database when it is first asked for.
type databases struct {
	cfg     Config
	control *bun.DB

	mu     sync.Mutex
	open   map[DatabaseID]*handle
	closed bool
}

// handle is one database with its pools, each opened on first use.
type handle struct {
	Database
	admin string
	cfg   Config

	mu     sync.Mutex
	appDB  *bun.DB
	pools  map[postgres.Role]*pgxpool.Pool
	closed bool
}

func (d *databases) byID(ctx context.Context, i DatabaseID) (*handle, error) {
	d.mu.Lock()
	h, ok := d.open[i]
	d.mu.Unlock()
	if ok {
		return h, nil
	}
	var row Database
	if err := d.control.NewSelect().Model(&row).Where("id = ?", i).Scan(ctx); err != nil {
		return nil, fmt.Errorf("look up database %s: %w", i, err)
	}
	if row.State == "off" {
		return nil, ErrUnavailable.With(fmt.Errorf("database %s is switched off", row.Name))
	}
	admin, err := row.AdminURL(d.cfg.AdminURL)
	if err != nil {
		return nil, err
	}
	if err := d.gate(ctx, row.Name, admin); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrUnavailable
	}
	if h, ok := d.open[i]; ok {
		return h, nil
	}
	h = &handle{Database: row, admin: admin, cfg: d.cfg, pools: map[postgres.Role]*pgxpool.Pool{}}
	d.open[i] = h
	return h, nil
}

// gate refuses a database whose schema is older than this program's. A newer one
// is let through: migrations are made so that the program before can live with
// them.
func (d *databases) gate(ctx context.Context, name, admin string) error {
	u, err := postgres.RoleURL(admin, postgres.RoleApp, d.cfg.RoleKey)
	if err != nil {
		return err
	}
	versions, err := postgres.Versions(ctx, u, postgres.SetTenant)
	if err != nil {
		return fmt.Errorf("read the schema version of database %s: %w", name, err)
	}
	if v := versions[0]; v.Behind() {
		return ErrUnavailable.With(fmt.Errorf("the schema of database %s is at %d, this program needs %d: run \"strato migrate\"",
			name, v.Current, v.Newest))
	}
	return nil
}

func (d *databases) close() {
	d.mu.Lock()
	d.closed = true
	open := d.open
	d.open = nil
	d.mu.Unlock()
	for _, h := range open {
		h.close()
	}
}

// app is the handle through which tenants' queries go.
func (h *handle) app(ctx context.Context) (*bun.DB, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.appDB != nil {
		return h.appDB, nil
	}
	pool, err := h.poolLocked(ctx, postgres.RoleApp)
	if err != nil {
		return nil, err
	}
	h.appDB = postgres.OpenTenantDB(pool, h.cfg.Statements)
	return h.appDB, nil
}

// pool is the pool of one role. Pools connect when they are used.
func (h *handle) pool(ctx context.Context, role postgres.Role) (*pgxpool.Pool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.poolLocked(ctx, role)
}

func (h *handle) poolLocked(ctx context.Context, role postgres.Role) (*pgxpool.Pool, error) {
	if h.closed {
		return nil, ErrUnavailable
	}
	if p := h.pools[role]; p != nil {
		return p, nil
	}
	p, err := openRole(ctx, h.cfg, h.admin, role, h.cfg.ExecMode, h.MaxConns)
	if err != nil {
		return nil, err
	}
	h.pools[role] = p
	return p, nil
}

func (h *handle) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.appDB != nil {
		_ = h.appDB.Close()
	}
	for _, p := range h.pools {
		p.Close()
	}
}

func openRole(ctx context.Context, cfg Config, admin string, role postgres.Role, mode pgx.QueryExecMode, max int32) (*pgxpool.Pool, error) {
	u, err := postgres.RoleURL(admin, role, cfg.RoleKey)
	if err != nil {
		return nil, err
	}
	switch role {
	case postgres.RoleApp:
		max = min(max, cfg.MaxConns)
	case postgres.RoleQueue:
		max = 8
	default:
		max = 4
	}
	return postgres.NewPool(ctx, u, postgres.PoolConfig{MaxConns: max, ExecMode: mode})
}

// Databases lists the databases that are not switched off, by name.
func (p *Pool) Databases(ctx context.Context) ([]Database, error) {
	rows := []Database{}
	err := p.control.NewSelect().Model(&rows).Where("state <> 'off'").Order("name").Limit(10_000).Scan(ctx)
	if err != nil {
		return nil, p.explain(fmt.Errorf("list databases: %w", err))
	}
	return rows, nil
}

// DatabaseOf tells in which database a tenant lives.
func (p *Pool) DatabaseOf(ctx context.Context, tenant ID) (DatabaseID, error) {
	at, err := p.routes.lookup(ctx, tenant)
	return at.DatabaseID, p.explain(err)
}

// Queue is the pool of the role that works the jobs of a database.
func (p *Pool) Queue(ctx context.Context, database DatabaseID) (*pgxpool.Pool, error) {
	return p.role(ctx, database, postgres.RoleQueue)
}

// Ingest is the pool of the role that may insert into inboxes across tenants,
// and nothing else.
func (p *Pool) Ingest(ctx context.Context, database DatabaseID) (*pgxpool.Pool, error) {
	return p.role(ctx, database, postgres.RoleIngest)
}

func (p *Pool) role(ctx context.Context, database DatabaseID, role postgres.Role) (*pgxpool.Pool, error) {
	h, err := p.databases.byID(ctx, database)
	if err != nil {
		return nil, p.explain(err)
	}
	return h.pool(ctx, role)
}

// Sys is a transaction across the tenants of one database, outside row-level
// security. See [Pool.System].
type Sys struct{ tx pgx.Tx }

// Exec runs a statement with bound arguments and returns how many rows it touched.
func (s Sys) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := s.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

// Query runs a statement with bound arguments; each is called for every row and
// must scan it.
func (s Sys) Query(ctx context.Context, each func(scan func(dst ...any) error) error, query string, args ...any) error {
	rows, err := s.tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// System runs fn in one transaction that sees every tenant of a database. It is
// the only way around row-level security, for upkeep that no tenant asks for;
// reason goes to the log. Few packages may call it, as the architecture test says.
func (p *Pool) System(ctx context.Context, database DatabaseID, reason string, fn func(context.Context, Sys) error) error {
	pool, err := p.role(ctx, database, postgres.RoleSys)
	if err != nil {
		return err
	}
	p.log.DebugContext(ctx, "system access", "reason", reason, "database", database)
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return fn(ctx, Sys{tx}) })
	return p.explain(err)
}
