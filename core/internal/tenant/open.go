package tenant

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/stratohub/strato/core/internal/postgres"
)

// Config says how to reach the databases.
type Config struct {
	// AdminURL is that of the control plane's admin role. Its user and password
	// are replaced by those of the narrower roles; it is used for host and name.
	AdminURL string
	// RoleKey derives the roles' passwords, see [postgres.RoleURL].
	RoleKey []byte
	// MaxConns caps the application's pool per database; 0 means 16.
	MaxConns int32
	// ExecMode is how statements are sent; zero prepares and caches them.
	ExecMode pgx.QueryExecMode
	// Statements has the time-outs and the hook of every statement.
	Statements postgres.DBConfig
	// Announce is told what a committed transaction changed; nil for nobody. It
	// must not block for long.
	Announce func(context.Context, ID, []Change)
	Logger   *slog.Logger
}

// Open prepares the control plane's pool; it does not connect. Close it.
func Open(ctx context.Context, cfg Config) (*Pool, error) {
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 16
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	// Bun writes values into the text, so every text is new: preparing them
	// would cost a round trip each and fill the statement cache.
	pool, err := openRole(ctx, cfg, cfg.AdminURL, postgres.RoleApp, pgx.QueryExecModeSimpleProtocol, cfg.MaxConns)
	if err != nil {
		return nil, fmt.Errorf("open the control database: %w", err)
	}
	control := postgres.OpenDB(pool, cfg.Statements)
	return &Pool{
		control:   control,
		databases: &databases{cfg: cfg, control: control, open: map[DatabaseID]*handle{}},
		routes:    newRoutes(control),
		announce:  cfg.Announce,
		log:       cfg.Logger,
	}, nil
}
