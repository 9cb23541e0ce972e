// Package assistant owns the bots that answer on a conversation before a person
// does: what they greet with, and when they hand over.
package assistant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/uptrace/bun"
	"golang.org/x/text/unicode/norm"

	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/tenant"
)

// ID identifies an assistant.
type ID = id.Of[Assistant]

// Assistant is a bot of a tenant.
type Assistant struct {
	bun.BaseModel `bun:"table:crm.assistants,alias:a"`
	tenant.Row

	ID ID `bun:",pk"`
	// Name is shown to the agency's people.
	Name string
	// Greeting is what it says first; {name} stands for a comma and the
	// contact's first name, or for nothing. Empty: it does not greet.
	Greeting string
	// HandoffWords ask for a person, lower case without accents.
	HandoffWords []string `bun:",array"`
	IsDefault    bool
	Active       bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Seed gives a new tenant an assistant that greets. A tenant that has one is
// left alone.
func Seed(ctx context.Context, s tenant.Scope, agency string) error {
	n, err := s.Select((*Assistant)(nil)).Count(ctx)
	if err != nil {
		return fmt.Errorf("count assistants: %w", err)
	}
	if n > 0 {
		return nil
	}
	_, err = s.Insert(&Assistant{
		ID: id.New[Assistant](), Name: "Asistente",
		Greeting:     "¡Hola{name}! Gracias por escribir a " + agency + ". Contanos qué buscás (zona, ambientes y presupuesto) y en un momento te atiende una persona del equipo.",
		HandoffWords: []string{"humano", "persona", "asesor", "asesora", "agente", "vendedor", "vendedora"},
		IsDefault:    true, Active: true, CreatedAt: s.Now(), UpdatedAt: s.Now(),
	}).Exec(ctx)
	if err != nil {
		return fmt.Errorf("seed the assistant: %w", err)
	}
	return nil
}

// Default returns the tenant's active default assistant, or nil if it has none.
func Default(ctx context.Context, s tenant.Scope) (*Assistant, error) {
	a := &Assistant{}
	err := s.Select(a).Where("a.is_default").Where("a.active").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the default assistant: %w", err)
	}
	return a, nil
}

// GreetingFor is what the assistant says first to somebody of that name, which
// may be empty. An empty result says nothing.
func (a *Assistant) GreetingFor(name string) string {
	first := ""
	if parts := strings.Fields(name); len(parts) > 0 {
		first = ", " + parts[0]
	}
	return strings.TrimSpace(strings.ReplaceAll(a.Greeting, "{name}", first))
}

// AsksForPerson reports whether a text has one of the words by which customers
// ask for a person.
func (a *Assistant) AsksForPerson(text string) bool {
	return slices.ContainsFunc(words(text), func(word string) bool { return slices.Contains(a.HandoffWords, word) })
}

// words are the words of a text in lower case, without accents.
func words(text string) []string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(text)) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return !unicode.IsLetter(r) })
}
