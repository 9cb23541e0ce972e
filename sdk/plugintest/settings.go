package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/stratohub/strato/sdk/host"
	"github.com/stratohub/strato/sdk/pluginv1"
	"github.com/stratohub/strato/sdk/settings"
)

// settingsAccepted: what the simulator gives for a form passes schema and plugin.
func settingsAccepted(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	whole, err := settings.Merge(a.installation.GetSettingsJson(), a.installation.GetSecrets())
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range w.schema.Validate(whole) {
		errs = append(errs, fmt.Errorf("the schema refuses %s: %s", d.Pointer, d.Summary))
	}
	err = w.call(ctx, func(c *host.Clients) error {
		r, err := c.Provider.ValidateSettings(ctx, &pluginv1.ValidateSettingsRequest{Installation: a.installation})
		if err != nil {
			return fmt.Errorf("validate settings: %w", err)
		}
		for _, d := range r.GetDiagnostics() {
			if d.GetSeverity() == pluginv1.Severity_SEVERITY_ERROR {
				errs = append(errs, fmt.Errorf("the plugin refuses %s: %s", d.GetPointer(), d.GetSummary()))
			}
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// settingsNonsense: settings that fit the schema and mean nothing are no reason
// to crash, and what is said of them names settings that there are.
func settingsNonsense(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	whole, err := settings.Merge(a.installation.GetSettingsJson(), a.installation.GetSecrets())
	if err != nil {
		return err
	}
	var good map[string]any
	if err := json.Unmarshal(whole, &good); err != nil {
		return err
	}
	var errs []error
	for name, value := range good {
		if _, ok := value.(string); !ok {
			continue
		}
		for _, nonsense := range []string{"x", "\u202e💥", "' or 1=1 --", "https://[::1", strings.Repeat("9", 40)} {
			good[name] = nonsense
			errs = append(errs, w.nonsense(ctx, a, good, name))
		}
		good[name] = value
	}
	return errors.Join(errs...)
}

// nonsense has the plugin look at settings.
func (w *world) nonsense(ctx context.Context, a *account, values map[string]any, name string) error {
	document, err := json.Marshal(values)
	if err != nil {
		return err
	}
	if len(w.schema.Validate(document)) > 0 {
		return nil // the host does not even ask
	}
	split, err := w.schema.Split(document)
	if err != nil {
		return err
	}
	i := proto.CloneOf(a.installation)
	i.SettingsJson, i.Secrets = split.Settings, split.Secrets
	return w.call(ctx, func(c *host.Clients) error {
		r, err := c.Provider.ValidateSettings(ctx, &pluginv1.ValidateSettingsRequest{Installation: i})
		if err != nil {
			return fmt.Errorf("validate settings with %s %q: %w", name, values[name], err)
		}
		for _, d := range r.GetDiagnostics() {
			if head, _, _ := strings.Cut(strings.TrimPrefix(d.GetPointer(), "/"), "/"); d.GetPointer() != "" && !w.setting(head) {
				return fmt.Errorf("a diagnostic is about %s, which is no setting: nobody would see it", d.GetPointer())
			}
		}
		return nil
	})
}

// setting reports whether the form has one of that name at its top.
func (w *world) setting(name string) bool {
	var m struct {
		Schema struct {
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"settings_schema"`
	}
	return json.Unmarshal(w.document, &m) == nil && m.Schema.Properties[name] != nil
}

// settingsMigrated: settings of each older version become ones of the present.
func settingsMigrated(ctx context.Context, w *world) error {
	if w.manifest.SettingsVersion <= 1 {
		return skip("there is one version of the settings")
	}
	var errs []error
	for v := uint32(1); v < w.manifest.SettingsVersion; v++ {
		old, ok := w.OldSettings[v]
		if !ok {
			errs = append(errs, fmt.Errorf("OldSettings has no example of version %d", v))
			continue
		}
		split, err := w.schema.Split([]byte(old))
		if err != nil {
			split = settings.Document{Settings: []byte(old)}
		}
		i := &pluginv1.Installation{TenantId: tenantOf("acme"), InstallationId: installationOf("acme"), Revision: 1, SettingsVersion: v,
			SettingsJson: split.Settings, Secrets: split.Secrets}
		errs = append(errs, w.call(ctx, func(c *host.Clients) error {
			r, err := c.Provider.MigrateSettings(ctx, &pluginv1.MigrateSettingsRequest{Installation: i, ToVersion: w.manifest.SettingsVersion})
			if err != nil {
				return fmt.Errorf("migrate settings of version %d: %w", v, err)
			}
			for _, d := range r.GetDiagnostics() {
				return fmt.Errorf("settings of version %d, migrated, do not fit the schema: %s: %s", v, d.GetPointer(), d.GetSummary())
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

// settingsCheck: a deep check says yes to an account that works, confirms its
// keys, and says no when the provider does.
func settingsCheck(ctx context.Context, w *world) error {
	a, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	var errs []error
	look := func() (*pluginv1.CheckInstallationResponse, error) {
		var r *pluginv1.CheckInstallationResponse
		err := w.call(ctx, func(c *host.Clients) (err error) {
			r, err = c.Provider.CheckInstallation(ctx, &pluginv1.CheckInstallationRequest{Installation: a.installation, Deep: true})
			return err
		})
		return r, err
	}
	good, err := look()
	if err != nil {
		return fmt.Errorf("check an installation: %w", err)
	}
	if good.GetState() == pluginv1.HealthState_HEALTH_STATE_FAILED {
		errs = append(errs, fmt.Errorf("an account that works is said to have failed: %v", good.GetChecks()))
	}
	if len(w.manifest.RouteKinds) > 0 && len(good.GetConfirmedRouteKeys()) == 0 {
		errs = append(errs, errors.New("the manifest has route_kinds, and the check confirms no key"))
	}
	w.provider.mark()
	w.provider.set(status(401))
	bad, err := look()
	w.provider.set(nil)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("check an installation while the provider answers 401: %w", err))
	case len(w.provider.since()) == 0:
		errs = append(errs, errors.New("a deep check asks the provider nothing"))
	case bad.GetState() != pluginv1.HealthState_HEALTH_STATE_FAILED:
		errs = append(errs, fmt.Errorf("while the provider answers 401 an account is %s", bad.GetState()))
	case len(bad.GetConfirmedRouteKeys()) > 0:
		errs = append(errs, errors.New("keys are confirmed that the provider did not confirm"))
	}
	return errors.Join(errs...)
}

// settingsRevision: a new revision's secrets are used at once, and the old ones
// no more, even when a call that was made before comes late.
func settingsRevision(ctx context.Context, w *world) error {
	first, err := w.account(ctx, "acme")
	if err != nil {
		return err
	}
	second, err := w.account(ctx, "norte")
	if err != nil {
		return err
	}
	old := own(first, second)
	if len(old) == 0 {
		return nil // both accounts have the same secrets: there is nothing to tell
	}
	before, err := w.meet(ctx, first)
	if err != nil {
		return err
	}
	to, err := w.meet(ctx, second)
	if err != nil {
		return err
	}
	// The installation moves to the other account.
	moved := &account{label: first.label, installation: proto.CloneOf(second.installation), keys: second.keys}
	moved.installation.TenantId, moved.installation.InstallationId = first.installation.GetTenantId(), first.installation.GetInstallationId()
	moved.installation.Revision = first.installation.GetRevision() + 1
	if _, err := w.send(ctx, first, before, "kit:revision 1", w.Contents["text"]); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	for _, step := range []struct {
		what string
		as   *account
	}{{"after a change of settings", moved}, {"in a call that was made before a change of settings", first}} {
		w.provider.mark()
		if _, err := w.send(ctx, step.as, to, "kit:"+step.what, w.Contents["text"]); err != nil {
			return fmt.Errorf("send %s: %w", step.what, err)
		}
		for _, r := range w.provider.since() {
			if slices.ContainsFunc(old, r.has) {
				return fmt.Errorf("%s a request carries a secret that was replaced", step.what)
			}
		}
	}
	return nil
}

// own are the secrets of an account that the other has not.
func own(a, other *account) []string {
	theirs := map[string]bool{}
	for _, s := range other.secrets() {
		theirs[s] = true
	}
	var out []string
	for _, s := range a.secrets() {
		if !theirs[s] {
			out = append(out, s)
		}
	}
	return out
}
