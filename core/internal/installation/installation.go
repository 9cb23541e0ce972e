// Package installation owns plugins that tenants switched on: their settings,
// sealed secrets, health, provider accounts, and the keys by which webhooks find
// them.
package installation

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// ID identifies an installation.
type ID = id.Of[Installation]

// Faults of this package.
var (
	ErrNotFound = fault.New(fault.NotFound, "installation.not_found", "There is no such installation.")
	ErrStale    = fault.New(fault.Stale, "installation.stale", "Somebody else changed the installation. Load it again.")
	ErrKeyTaken = fault.New(fault.Conflict, "installation.key_taken", "Another installation already receives this account's webhooks. Switch it off there first.")
)

// State says whether an installation works.
type State string

// The states.
const (
	Draft    State = "draft"    // never had settings that work
	Active   State = "active"   // works
	Disabled State = "disabled" // switched off by the tenant
	Broken   State = "broken"   // the provider refuses its credentials
)

// Installation is a plugin switched on by a tenant.
type Installation struct {
	bun.BaseModel `bun:"table:crm.installations,alias:n"`
	tenant.Row

	ID              ID              `bun:",pk" json:"id" format:"uuid"`
	Plugin          string          `json:"plugin" example:"whatsapp"`
	Name            string          `json:"name" doc:"What the tenant calls it"`
	State           State           `json:"state" enum:"draft,active,disabled,broken"`
	Settings        json.RawMessage `bun:"type:jsonb" json:"settings" doc:"The settings without secrets, an object"`
	SettingsVersion uint32          `json:"settings_version"`
	Revision        uint64          `json:"revision" doc:"Grows with each change that took effect; 0 before the first"`
	Health          *Health         `bun:"type:jsonb" json:"health,omitempty"`
	Isolation       Isolation       `json:"isolation" enum:"shared,dedicated" doc:"Whether its plugin's process is shared with others; the operator's choice"`
	CheckedAt       time.Time       `bun:",nullzero" json:"checked_at,omitzero"`
	WebhookURL      string          `json:"webhook_url" doc:"Where the provider must post to"`
	Version         int             `json:"version"`
	CreatedAt       time.Time       `json:"created_at"`
	UpdatedAt       time.Time       `json:"updated_at"`

	Secrets map[string]SecretInfo `bun:"-" json:"secrets" doc:"By JSON pointer, what is known of each secret. Values are never shown"`
}

// Isolation is whose process of the plugin an installation uses.
type Isolation string

// The kinds of isolation.
const (
	// Shared: with all installations of the plugin.
	Shared Isolation = "shared"
	// Dedicated: one of its own.
	Dedicated Isolation = "dedicated"
)

// SecretInfo is what may be shown of a stored secret.
type SecretInfo struct {
	Set       bool      `json:"set"`
	Hint      string    `json:"hint,omitempty" doc:"Its last characters"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
}

// Health is what the provider said when it was last asked.
type Health struct {
	State  string  `json:"state" enum:"unknown,ok,degraded,failed"`
	Label  string  `json:"label,omitempty" doc:"What the account is called at the provider"`
	Checks []Check `json:"checks"`
}

// Check is one thing that was asked of the provider.
type Check struct {
	Name    string `json:"name"`
	State   string `json:"state" enum:"unknown,ok,degraded,failed"`
	Message string `json:"message,omitempty"`
	Pointer string `json:"pointer,omitempty" doc:"JSON pointer of the setting to blame"`
	Code    string `json:"code,omitempty" doc:"Why it failed" example:"auth"`
}

// Key names a provider's object by which webhooks find their installation.
type Key struct{ Kind, Value string }

// Target is the installation a webhook is for.
type Target struct {
	Tenant       tenant.ID
	Installation ID
}

// Live is an installation ready for a call to its plugin, secrets in clear. It
// stays in this process: it is never logged, stored or sent to a browser.
type Live struct {
	Tenant          tenant.Tenant
	ID              ID
	Plugin          string
	State           State
	Isolation       Isolation
	Revision        uint64
	SettingsVersion uint32
	// Version grows with every change, also with those of no consequence for a
	// call.
	Version    int
	Settings   []byte
	Secrets    map[string]string `json:"-"`
	WebhookURL string
	// Keys are those that the provider confirmed.
	Keys []Key
}

// LogValue names the installation and tells nothing of its secrets.
func (l Live) LogValue() slog.Value {
	return slog.GroupValue(slog.String("plugin", l.Plugin), slog.String("id", l.ID.String()), slog.Uint64("revision", l.Revision))
}

// Format writes the same with every verb.
func (l Live) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s %s@%d", l.Plugin, l.ID, l.Revision)
}

// secretRow is a sealed secret.
type secretRow struct {
	bun.BaseModel `bun:"table:crm.installation_secrets,alias:s"`
	tenant.Row

	InstallationID ID     `bun:",pk"`
	Pointer        string `bun:",pk"`
	Sealed         []byte
	KeyVersion     int
	Hint           string
	UpdatedAt      time.Time
}

// purpose binds a sealed secret to its place.
func purpose(i ID, pointer string) string { return "installation:" + i.String() + ":" + pointer }

// New returns a draft of a plugin's installation.
func New(s tenant.Scope, plugin, name string) *Installation {
	return &Installation{
		ID: id.New[Installation](), Plugin: plugin, Name: name, State: Draft, Isolation: Shared, Settings: json.RawMessage("{}"),
		SettingsVersion: 1, Version: 1, CreatedAt: s.Now(), UpdatedAt: s.Now(), Secrets: map[string]SecretInfo{},
	}
}

func uuids(ids []ID) []uuid.UUID {
	out := make([]uuid.UUID, len(ids))
	for n, i := range ids {
		out[n] = i.UUID
	}
	return out
}
