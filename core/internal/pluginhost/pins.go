package pluginhost

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
)

// Faults of pins.
var (
	ErrNoRelease  = fault.New(fault.NotFound, "plugin.no_release", "There is no such release of the plugin. Install it first.")
	ErrNotPinned  = fault.New(fault.Conflict, "plugin.not_pinned", "The plugin is not pinned.")
	ErrNoPrevious = fault.New(fault.Conflict, "plugin.no_previous", "The plugin has no previous release to go back to.")
)

// Notifications is the PostgreSQL channel on which a change of pins, of
// quarantines and of incidents is told to all nodes.
const Notifications = "strato_plugins"

// freshFor is how long after its activation a release that fails is taken back
// without asking.
const freshFor = 24 * time.Hour

// Installed is a release that was put into the nodes' plugin stores.
type Installed struct {
	bun.BaseModel `bun:"table:control.plugin_releases,alias:r"`

	Plugin         string          `bun:",pk"`
	SHA256         string          `bun:"sha256,pk"`
	Version        string          `bun:"version"`
	Manifest       json.RawMessage `bun:"manifest,type:jsonb"`
	ManifestSHA256 string          `bun:"manifest_sha256"`
	// Platform is what the binary was built for, such as linux/amd64; empty if it
	// does not tell.
	Platform string `bun:"platform"`
	// Signer is the trusted key's name; empty if nobody signed it.
	Signer      string    `bun:"signer"`
	InstalledAt time.Time `bun:"installed_at,nullzero,default:now()"`
}

// Pinned is which release of a plugin runs on all nodes.
type Pinned struct {
	bun.BaseModel `bun:"table:control.plugin_pins,alias:p"`

	Plugin      string    `bun:",pk"`
	SHA256      string    `bun:"sha256"`
	Previous    string    `bun:"previous,nullzero"`
	ActivatedAt time.Time `bun:"activated_at"`
	// Canary runs beside it for CanaryTenants; empty for none.
	Canary        string      `bun:"canary,nullzero"`
	CanaryTenants []uuid.UUID `bun:"canary_tenants,array"`
	Revision      int64       `bun:"revision"`
}

// Change is a past change of a pin. After is empty where the pin was removed.
type Change struct {
	At                    time.Time
	Before, After, Canary string
	Automatic             bool
	Reason                string
}

// Pins keeps releases and pins in the control plane.
type Pins struct{ DB *bun.DB }

// Register records a release that was put into a node's store; again on the
// next node.
func (p Pins) Register(ctx context.Context, r Installed) error {
	_, err := p.DB.NewInsert().Model(&r).On("conflict (plugin, sha256) do nothing").Exec(ctx)
	if err != nil {
		return fmt.Errorf("register release %s of plugin %s: %w", r.SHA256, r.Plugin, err)
	}
	return nil
}

// Releases lists a plugin's releases, the newest first; of all plugins for an
// empty name.
func (p Pins) Releases(ctx context.Context, plugin string) ([]Installed, error) {
	list := []Installed{}
	q := p.DB.NewSelect().Model(&list).Order("plugin", "installed_at DESC").Limit(1000)
	if plugin != "" {
		q.Where("plugin = ?", plugin)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list releases of plugins: %w", err)
	}
	return list, nil
}

// Find returns the release that words name: a version, or the beginning of a
// digest. Of several with that version it is the newest.
func (p Pins) Find(ctx context.Context, plugin, words string) (Installed, error) {
	list, err := p.Releases(ctx, plugin)
	if err != nil {
		return Installed{}, err
	}
	for _, r := range list {
		if r.Version == words || (len(words) >= 6 && strings.HasPrefix(r.SHA256, strings.ToLower(words))) {
			return r, nil
		}
	}
	return Installed{}, ErrNoRelease
}

// List returns all pins, by plugin.
func (p Pins) List(ctx context.Context) ([]Pinned, error) {
	list := []Pinned{}
	if err := p.DB.NewSelect().Model(&list).Order("plugin").Limit(1000).Scan(ctx); err != nil {
		return nil, fmt.Errorf("list pins of plugins: %w", err)
	}
	return list, nil
}

// Activate pins a release for all tenants. The one before becomes the previous.
// A canary ends. Activating what is active changes nothing but ends a canary.
func (p Pins) Activate(ctx context.Context, plugin, sum, reason string) error {
	return p.change(ctx, plugin, false, reason, func(pin *Pinned) error {
		if pin.SHA256 != sum {
			pin.Previous, pin.SHA256, pin.ActivatedAt = pin.SHA256, sum, time.Now()
		}
		pin.Canary, pin.CanaryTenants = "", nil
		return nil
	})
}

// Try pins a release for chosen tenants. The plugin must be pinned already.
func (p Pins) Try(ctx context.Context, plugin, sum string, tenants []tenant.ID, reason string) error {
	return p.change(ctx, plugin, false, reason, func(pin *Pinned) error {
		if pin.SHA256 == "" {
			return ErrNotPinned
		}
		pin.Canary, pin.CanaryTenants = sum, nil
		for _, t := range tenants {
			pin.CanaryTenants = append(pin.CanaryTenants, t.UUID)
		}
		return nil
	})
}

// RollBack ends a canary, or else pins the previous release again.
func (p Pins) RollBack(ctx context.Context, plugin, reason string) error {
	return p.change(ctx, plugin, false, reason, func(pin *Pinned) error {
		switch {
		case pin.SHA256 == "":
			return ErrNotPinned
		case pin.Canary != "":
			pin.Canary, pin.CanaryTenants = "", nil
			return nil
		case pin.Previous == "":
			return ErrNoPrevious
		}
		pin.SHA256, pin.Previous, pin.ActivatedAt = pin.Previous, pin.SHA256, time.Now()
		return nil
	})
}

// Unpin has the nodes run what is in their plugin folders again, and nothing
// where that has none. The releases stay in the stores.
func (p Pins) Unpin(ctx context.Context, plugin, reason string) error {
	return p.change(ctx, plugin, false, reason, func(pin *Pinned) error {
		if pin.SHA256 == "" {
			return ErrNotPinned
		}
		*pin = Pinned{Plugin: plugin}
		return nil
	})
}

// errKept says that a pin stays as it is.
var errKept = errors.New("the pin stays")

// takeBack ends a failing canary, or pins the previous release again when the
// failing one is fresh and present says that this node has the previous. It
// reports whether it did. There is no way back to what failed but by hand.
func (p Pins) takeBack(ctx context.Context, plugin, failing, reason string, present func(sum string) bool) (bool, error) {
	err := p.change(ctx, plugin, true, reason, func(pin *Pinned) error {
		switch {
		case pin.Canary == failing && failing != "":
			pin.Canary, pin.CanaryTenants = "", nil
			return nil
		case pin.SHA256 != failing, pin.Previous == "", time.Since(pin.ActivatedAt) > freshFor, !present(pin.Previous):
			return errKept
		}
		pin.SHA256, pin.Previous, pin.ActivatedAt = pin.Previous, "", time.Now()
		return nil
	})
	if errors.Is(err, errKept) {
		return false, nil
	}
	return err == nil, err
}

// change alters a pin under its lock, notes why, and tells the nodes.
func (p Pins) change(ctx context.Context, plugin string, automatic bool, reason string, f func(*Pinned) error) error {
	err := p.DB.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		// A row that is not there yet cannot be locked.
		if _, err := tx.NewRaw("select pg_advisory_xact_lock(hashtext(?))", "strato-pin:"+plugin).Exec(ctx); err != nil {
			return err
		}
		pin := Pinned{Plugin: plugin}
		err := tx.NewSelect().Model(&pin).WherePK().For("UPDATE").Scan(ctx)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		before := pin.SHA256
		if err := f(&pin); err != nil {
			return err
		}
		if err := savePin(ctx, tx, pin); err != nil {
			return err
		}
		_, err = tx.NewRaw(`
			insert into control.plugin_pin_changes (id, plugin, before, after, canary, automatic, reason)
			values (?, ?, nullif(?, ''), ?, nullif(?, ''), ?, ?)`,
			uuid.Must(uuid.NewV7()), plugin, before, pin.SHA256, pin.Canary, automatic, reason).Exec(ctx)
		if err != nil {
			return err
		}
		return notify(ctx, tx, plugin)
	})
	if err != nil && !errors.Is(err, errKept) {
		return fmt.Errorf("change the pin of plugin %s: %w", plugin, err)
	}
	return err
}

// savePin writes a pin; one of no release is removed.
func savePin(ctx context.Context, tx bun.Tx, pin Pinned) error {
	if pin.SHA256 == "" {
		_, err := tx.NewDelete().Model(&pin).WherePK().Exec(ctx)
		return err
	}
	_, err := tx.NewRaw(`
		insert into control.plugin_pins as p (plugin, sha256, previous, activated_at, canary, canary_tenants)
		values (?, ?, nullif(?, ''), ?, nullif(?, ''), ?)
		on conflict (plugin) do update set sha256 = excluded.sha256, previous = excluded.previous, activated_at = excluded.activated_at,
			canary = excluded.canary, canary_tenants = excluded.canary_tenants, revision = p.revision + 1`,
		pin.Plugin, pin.SHA256, pin.Previous, pin.ActivatedAt, pin.Canary, pgdialect.Array(texts(pin.CanaryTenants))).Exec(ctx)
	return err
}

// Changes lists past changes of a plugin's pin, the newest first.
func (p Pins) Changes(ctx context.Context, plugin string, limit int) ([]Change, error) {
	list := []Change{}
	err := p.DB.NewRaw(`
		select at, coalesce(before, '') as before, after, coalesce(canary, '') as canary, automatic, reason
		from control.plugin_pin_changes where plugin = ? order by at desc limit ?`, plugin, limit).Scan(ctx, &list)
	if err != nil {
		return nil, fmt.Errorf("list changes of plugin %s: %w", plugin, err)
	}
	return list, nil
}

func notify(ctx context.Context, db bun.IDB, plugin string) error {
	_, err := db.NewRaw("select pg_notify(?, ?)", Notifications, plugin).Exec(ctx)
	return err
}

// asHost is a pin as the host takes it.
func (p Pinned) asHost() host.Pin {
	return host.Pin{SHA256: p.SHA256, Canary: p.Canary, CanaryTenants: texts(p.CanaryTenants)}
}

func texts(ids []uuid.UUID) []string {
	out := []string{}
	for _, i := range ids {
		out = append(out, i.String())
	}
	return out
}

// Problem says why a release in a store cannot be used; empty if it can.
func Problem(store, plugin, sum string) string { return host.ReadRelease(store, plugin, sum).Problem }
