// Package settings reads a plugin's manifest and what it says of settings:
// which documents are valid, which values are secret, how a form shows them.
package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
)

// Capability is something a plugin can do, as its manifest names it.
type Capability string

// The capabilities.
const (
	Channel    Capability = "channel"
	Webhook    Capability = "webhook"
	Templates  Capability = "templates"
	Voice      Capability = "voice"
	Calls      Capability = "calls"
	LeadSource Capability = "lead_source"
	Media      Capability = "media"
	Signals    Capability = "signals"
)

// Protocol is the major version of the plugin protocol that this SDK speaks.
const Protocol = 1

// DefaultMemoryMiB is the memory of a plugin whose manifest names none.
const DefaultMemoryMiB = 192

// Manifest is plugin.json: what the core knows of a plugin without starting it.
type Manifest struct {
	// ID names the plugin in URLs, folders and metrics.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Version is a semantic version.
	Version  string `json:"version"`
	Protocol int    `json:"protocol"`
	// Description by language tag, such as "es".
	Description  map[string]string `json:"description"`
	Capabilities []Capability      `json:"capabilities"`
	// SettingsVersion grows when stored settings must be migrated; the first is 1.
	SettingsVersion uint32 `json:"settings_version"`
	// SettingsSchema is a JSON Schema 2020-12 that a form can show; see [Compile].
	SettingsSchema json.RawMessage `json:"settings_schema"`
	// RouteKinds are the kinds of routing keys that the plugin's webhooks carry.
	RouteKinds []string `json:"route_kinds"`
	// ContentKinds are the kinds of content that can be sent, as on the wire: "text", "media", …
	ContentKinds []string `json:"content_kinds"`
	// ContentLimits are the provider's bounds of what is sent, by kind of content;
	// that of media by its own kind, such as "image", and that of choices by
	// "buttons" or "list". What is not bounded here is left to the provider.
	ContentLimits map[string]ContentLimit `json:"content_limits,omitempty"`
	// Egress are the hosts the plugin may reach.
	Egress     []string    `json:"egress"`
	RateLimits []RateLimit `json:"rate_limits"`
	// Concurrency is how many calls of one tenant the plugin takes at once.
	Concurrency Concurrency   `json:"concurrency"`
	Webhook     WebhookPolicy `json:"webhook"`
	// RetryUnknown says what the core does with a message of unknown outcome
	// that no status explained: "never" or "once". Empty means never.
	RetryUnknown string `json:"retry_unknown"`
	// OperatorSettings are the names of settings that only the operator gives.
	OperatorSettings []string `json:"operator_settings"`
	// MemoryMiB is what the process may use; zero means [DefaultMemoryMiB].
	MemoryMiB int `json:"memory_mib"`
	// Simulator says that the binary can simulate its provider.
	Simulator bool `json:"simulator"`

	// Unknown are keys of the document that this version does not know: a newer
	// SDK's, or a slip of the pen.
	Unknown []string `json:"-"`
}

// ContentLimit bounds one kind of content. Zero values bound nothing.
type ContentLimit struct {
	// MaxBytes and MIMETypes are of files. A type is compared without its parameters.
	MaxBytes  uint64   `json:"max_bytes,omitempty"`
	MIMETypes []string `json:"mime_types,omitempty"`
	// MaxItems is how many buttons, rows or cards there may be in all.
	MaxItems int `json:"max_items,omitempty"`
	// MaxChars bounds the fields by name: "body", "title", "caption" and so on.
	MaxChars map[string]int `json:"max_chars,omitempty"`
}

// RateLimit is a limit of the provider that the core keeps on the plugin's behalf.
type RateLimit struct {
	Name           string  `json:"name"`
	PerSecond      float64 `json:"per_second"`
	Burst          int     `json:"burst"`
	MaxConcurrency int     `json:"max_concurrency"`
	// Scope has "plugin", "installation", "recipient" or kinds of routing keys.
	Scope []string `json:"scope"`
	// Methods are "Send", "Send.template" and the like.
	Methods []string `json:"methods"`
}

// Concurrency is how many calls of one tenant a plugin takes at once; the
// operator may say otherwise. Zeros are the core's defaults: 8 webhooks, 8 sends,
// 4 streams.
type Concurrency struct {
	Webhooks int `json:"webhooks"`
	Sends    int `json:"sends"`
	Streams  int `json:"streams"`
}

// WebhookPolicy says how the core answers while the plugin cannot.
type WebhookPolicy struct {
	SpoolResponse SpoolResponse `json:"spool_response"`
}

// SpoolResponse answers a request that was kept for later. A zero Status means 200.
type SpoolResponse struct {
	Status      int    `json:"status"`
	ContentType string `json:"content_type"`
	Body        string `json:"body"`
}

var (
	idForm      = regexp.MustCompile(`^[a-z][a-z0-9-]{1,31}$`)
	versionForm = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
	wordForm    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

	capabilities = []Capability{Channel, Webhook, Templates, Voice, Calls, LeadSource, Media, Signals}
)

// Parse reads a manifest and reports everything that is wrong with it at once.
// The schema must be one that [Compile] takes. Keys that are not known are not
// an error, so that an older core can read a newer manifest.
func Parse(document []byte) (*Manifest, error) {
	m := &Manifest{}
	if err := json.Unmarshal(document, m); err != nil {
		return nil, fmt.Errorf("manifest is not the JSON it should be: %w", err)
	}
	m.Unknown = unknown(document)
	if m.MemoryMiB == 0 {
		m.MemoryMiB = DefaultMemoryMiB
	}
	if m.RetryUnknown == "" {
		m.RetryUnknown = "never"
	}
	if m.Webhook.SpoolResponse.Status == 0 {
		m.Webhook.SpoolResponse.Status = 200
	}
	if errs := m.faults(); len(errs) > 0 {
		return nil, fmt.Errorf("manifest: %w", errors.Join(errs...))
	}
	return m, nil
}

// Has reports whether the plugin declares a capability.
func (m *Manifest) Has(c Capability) bool { return slices.Contains(m.Capabilities, c) }

// Schema compiles the settings schema.
func (m *Manifest) Schema() (*Schema, error) { return Compile(m.SettingsSchema) }

func (m *Manifest) faults() []error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	fault(!idForm.MatchString(m.ID), "id %q must be 2 to 32 lower-case letters, digits and dashes", m.ID)
	fault(m.Name == "", "name is missing")
	fault(!versionForm.MatchString(m.Version), "version %q is not a semantic version", m.Version)
	fault(m.Protocol < 1, "protocol is missing; this SDK speaks %d", Protocol)
	fault(len(m.Capabilities) == 0, "capabilities is empty")
	for i, c := range m.Capabilities {
		fault(!slices.Contains(capabilities, c), "capability %q is not known", c)
		fault(slices.Contains(m.Capabilities[:i], c), "capability %q is named twice", c)
	}
	fault(m.SettingsVersion < 1, "settings_version must be 1 or more")
	if _, err := Compile(m.SettingsSchema); err != nil {
		errs = append(errs, err)
	}
	for _, k := range slices.Concat(m.RouteKinds, m.ContentKinds, m.OperatorSettings) {
		fault(!wordForm.MatchString(k), "%q must be a lower-case word", k)
	}
	for k, l := range m.ContentLimits {
		fault(!wordForm.MatchString(k), "content_limits %q must be a lower-case word", k)
		fault(l.MaxItems < 0, "content_limits %q has a negative bound", k)
	}
	for _, l := range m.RateLimits {
		fault(l.Name == "", "a rate limit has no name")
		fault(l.PerSecond < 0 || l.Burst < 0 || l.MaxConcurrency < 0, "rate limit %q is negative", l.Name)
		fault(l.PerSecond == 0 && l.MaxConcurrency == 0, "rate limit %q limits nothing", l.Name)
	}
	c := m.Concurrency
	fault(min(c.Webhooks, c.Sends, c.Streams) < 0 || max(c.Webhooks, c.Sends, c.Streams) > 128, "concurrency must be from 0 to 128")
	fault(m.RetryUnknown != "never" && m.RetryUnknown != "once", "retry_unknown %q must be never or once", m.RetryUnknown)
	s := m.Webhook.SpoolResponse.Status
	fault(s < 200 || s > 299, "webhook.spool_response.status %d must be of the 200s", s)
	fault(m.MemoryMiB < 64 || m.MemoryMiB > 8192, "memory_mib %d must be from 64 to 8192", m.MemoryMiB)
	return errs
}

// unknown lists the top-level keys that the manifest type does not have.
func unknown(document []byte) []string {
	var keys map[string]json.RawMessage
	if json.Unmarshal(document, &keys) != nil {
		return nil
	}
	known, _ := json.Marshal(Manifest{SettingsSchema: json.RawMessage("{}"), ContentLimits: map[string]ContentLimit{"": {}}})
	var has map[string]json.RawMessage
	_ = json.Unmarshal(known, &has)
	var out []string
	for k := range keys {
		if _, ok := has[k]; !ok && k != "$schema" {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}
