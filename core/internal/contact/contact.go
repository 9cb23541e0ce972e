// Package contact owns people: one contact is one human, known by identities
// such as a phone number or a provider's id.
package contact

import (
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"golang.org/x/text/unicode/norm"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// ID identifies a contact.
type ID = id.Of[Contact]

// IdentityID identifies an identity.
type IdentityID = id.Of[Identity]

// ErrNotFound says that the tenant has no such contact.
var ErrNotFound = fault.New(fault.NotFound, "contact.not_found", "There is no such contact.")

// Contact is one human.
type Contact struct {
	bun.BaseModel `bun:"table:crm.contacts,alias:c"`
	tenant.Row

	ID        ID        `bun:",pk" json:"id" format:"uuid"`
	Name      string    `json:"name" doc:"As the provider or an agent gave it; may be empty"`
	NameKey   string    `json:"-"`
	OwnerID   uuid.UUID `bun:",nullzero" json:"owner_id,omitzero" format:"uuid" doc:"The agent who looks after the person"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	Identities []Identity `bun:"-" json:"identities"`
}

// Identity is one thing a contact is known by.
type Identity struct {
	bun.BaseModel `bun:"table:crm.identities,alias:i"`
	tenant.Row

	ID        IdentityID `bun:",pk" json:"-"`
	ContactID ID         `json:"-"`
	Kind      string     `json:"kind" example:"wa_id"`
	// Value is as the provider gave it, and what is answered to.
	Value      string    `json:"value" example:"5491160001234"`
	MatchKey   string    `json:"-"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
}

// Address names a person in a provider's terms.
type Address struct{ Kind, Value string }

// Party is a person as a provider describes them: every address it used, best
// first, and perhaps a name.
type Party struct {
	Addresses []Address
	Name      string
}

// nameKey folds a name for prefix search: lower case, without accents.
func nameKey(name string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(name)) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}
