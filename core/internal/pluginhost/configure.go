package pluginhost

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/stratohub/strato/core/internal/admission"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/settings"
)

// Faults of settings.
var (
	ErrSettings = fault.New(fault.Invalid, "installation.settings", "The settings are not complete or not valid.")
	ErrUnset    = fault.New(fault.Conflict, "installation.unset", "The installation has no settings yet. Save them first.")
	ErrRefused  = fault.New(fault.Invalid, "installation.refused", "The provider did not accept the settings. What was active before stays active.")
)

// Configurator changes the settings of installations.
type Configurator struct {
	Pool      *tenant.Pool
	Directory *installation.Directory
	Registry  *Registry
	// Changed tells all nodes to forget what they remember of an installation.
	Changed func(ctx context.Context, t installation.Target)
}

// Save takes what a settings form submitted: a secret that is absent is kept,
// null deletes it, a string replaces it. The whole is checked against the
// schema, by the plugin, and by the provider; only then it takes effect, and the
// routing keys that the provider confirmed lead here. A refusal names the
// fields and changes nothing. version is the one the form was made from; when
// another change came first, nothing is changed either.
func (c *Configurator) Save(ctx context.Context, t installation.Target, submitted json.RawMessage, version int) (*installation.Installation, error) {
	have, err := c.Directory.Load(ctx, t)
	if err != nil {
		return nil, err
	}
	if have.Version != version {
		return nil, installation.ErrStale
	}
	release, err := c.Registry.Plugin(have.Plugin)
	if err != nil {
		return nil, err
	}
	doc, err := c.merge(release, have, submitted)
	if err != nil {
		return nil, err
	}
	next := *have
	next.Settings, next.Secrets, next.SettingsVersion = doc.Settings, doc.Secrets, release.Manifest.SettingsVersion
	next.Revision++
	if err := c.Registry.validate(ctx, &next); err != nil {
		return nil, err
	}
	health, keys, err := c.check(ctx, &next)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, t, version, func(ctx context.Context, s tenant.Scope) error {
		if err := c.Directory.Claim(ctx, have.Plugin, t, keys); err != nil {
			return err
		}
		return c.Directory.Activate(ctx, s, t.Installation, installation.Activation{
			Settings: doc.Settings, SettingsVersion: next.SettingsVersion, Secrets: doc.Secrets, Health: health, Version: version,
		})
	})
}

// check asks the provider about settings and refuses those that do not work.
func (c *Configurator) check(ctx context.Context, l *installation.Live) (installation.Health, []installation.Key, error) {
	health, keys, err := c.Registry.Check(ctx, l, true)
	if err == nil && health.State == "failed" {
		err = refusal(health)
	}
	return health, keys, err
}

// change runs f on an installation that is locked and of that version, and tells
// all nodes. Routes are changed within, so that who comes too late changes none.
func (c *Configurator) change(ctx context.Context, t installation.Target, version int, f func(context.Context, tenant.Scope) error) (*installation.Installation, error) {
	var out *installation.Installation
	err := c.Pool.Do(ctx, t.Tenant, func(ctx context.Context, s tenant.Scope) error {
		if err := installation.Lock(ctx, s, t.Installation, version); err != nil {
			return err
		}
		if err := f(ctx, s); err != nil {
			return err
		}
		var err error
		out, err = installation.Get(ctx, s, t.Installation)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Changed(ctx, t)
	return out, nil
}

func (c *Configurator) merge(release host.Release, have *installation.Live, submitted json.RawMessage) (settings.Document, error) {
	schema, err := c.Registry.Schema(release)
	if err != nil {
		return settings.Document{}, err
	}
	doc, diagnostics, err := schema.Update(settings.Document{Settings: have.Settings, Secrets: have.Secrets}, submitted)
	if err != nil {
		return doc, ErrSettings.At("/settings", err.Error())
	}
	refuse := ErrSettings
	found := false
	for _, d := range diagnostics {
		if d.Severity == sdk.SeverityError {
			found = true
			refuse = refuse.At("/settings"+d.Pointer, d.Summary)
		}
	}
	if found {
		return doc, refuse
	}
	return doc, nil
}

// Test asks the provider whether the active settings work, and notes the
// answer.
func (c *Configurator) Test(ctx context.Context, t installation.Target) (*installation.Installation, error) {
	live, err := c.Directory.Load(ctx, t)
	if err != nil {
		return nil, err
	}
	if live.Revision == 0 {
		return nil, ErrUnset
	}
	health, _, err := c.Registry.Check(ctx, live, true)
	if err != nil {
		return nil, err
	}
	var out *installation.Installation
	err = c.Pool.Do(ctx, t.Tenant, func(ctx context.Context, s tenant.Scope) error {
		if err := installation.SetHealth(ctx, s, t.Installation, live.Revision, health); err != nil {
			return err
		}
		var err error
		out, err = installation.Get(ctx, s, t.Installation)
		return err
	})
	if err == nil {
		c.Changed(ctx, t)
	}
	return out, err
}

// SetState switches an installation off, or on again. Off, it takes no webhooks
// and gives up its routing keys; on, the provider must accept its settings and
// confirm the keys anew. One without settings cannot be switched on.
func (c *Configurator) SetState(ctx context.Context, t installation.Target, to installation.State) (*installation.Installation, error) {
	have, err := c.Directory.Load(ctx, t)
	if err != nil {
		return nil, err
	}
	health, keys := installation.Health{}, []installation.Key(nil)
	if to == installation.Active {
		if have.Revision == 0 {
			return nil, ErrUnset
		}
		if health, keys, err = c.check(ctx, have); err != nil {
			return nil, err
		}
	}
	return c.change(ctx, t, have.Version, func(ctx context.Context, s tenant.Scope) error {
		if err := c.Directory.Claim(ctx, have.Plugin, t, keys); err != nil {
			return err
		}
		if err := installation.SetState(ctx, s, t.Installation, to); err != nil || to != installation.Active {
			return err
		}
		return installation.SetHealth(ctx, s, t.Installation, have.Revision, health)
	})
}

// validate asks the plugin about settings without the network.
func (r *Registry) validate(ctx context.Context, l *installation.Live) error {
	var resp *pluginv1.ValidateSettingsResponse
	err := r.call(ctx, r.asked(l, admission.Requests, "ValidateSettings"), func(c *host.Clients) (err error) {
		resp, err = c.Provider.ValidateSettings(ctx, &pluginv1.ValidateSettingsRequest{Installation: Wire(l)})
		return err
	})
	if err != nil {
		return fmt.Errorf("validate settings: %w", err)
	}
	refuse := ErrSettings
	found := false
	for _, d := range resp.GetDiagnostics() {
		if d.GetSeverity() == pluginv1.Severity_SEVERITY_ERROR {
			found = true
			refuse = refuse.At("/settings"+d.GetPointer(), d.GetSummary())
		}
	}
	if found {
		return refuse
	}
	return nil
}

// Check asks the provider whether settings work. A deep check also returns the
// routing keys that the provider confirmed with these credentials.
func (r *Registry) Check(ctx context.Context, l *installation.Live, deep bool) (installation.Health, []installation.Key, error) {
	var resp *pluginv1.CheckInstallationResponse
	err := r.call(ctx, r.asked(l, admission.Requests, "CheckInstallation"), func(c *host.Clients) (err error) {
		resp, err = c.Provider.CheckInstallation(ctx, &pluginv1.CheckInstallationRequest{Installation: Wire(l), Deep: deep})
		return err
	})
	if err != nil {
		return installation.Health{}, nil, fmt.Errorf("check installation: %w", err)
	}
	h := installation.Health{State: stateName(resp.GetState()), Label: resp.GetAccountLabel(), Checks: []installation.Check{}}
	for _, k := range resp.GetChecks() {
		h.Checks = append(h.Checks, installation.Check{
			Name: k.GetName(), State: stateName(k.GetState()), Message: k.GetMessage(), Pointer: k.GetPointer(), Code: CodeName(k.GetFailure()),
		})
	}
	var keys []installation.Key
	for _, k := range resp.GetConfirmedRouteKeys() {
		keys = append(keys, installation.Key{Kind: k.GetKind(), Value: k.GetValue()})
	}
	return h, keys, nil
}

// refusal is a failed check as a fault on the fields to blame.
func refusal(h installation.Health) error {
	refuse := ErrRefused
	for _, c := range h.Checks {
		if c.State == "failed" {
			refuse = refuse.At("/settings"+c.Pointer, c.Message)
		}
	}
	return refuse
}

func stateName(s pluginv1.HealthState) string {
	switch s {
	case pluginv1.HealthState_HEALTH_STATE_OK:
		return "ok"
	case pluginv1.HealthState_HEALTH_STATE_DEGRADED:
		return "degraded"
	case pluginv1.HealthState_HEALTH_STATE_FAILED:
		return "failed"
	default:
		return "unknown"
	}
}
