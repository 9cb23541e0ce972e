package app

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/host"
)

// plugins answers what is asked about plugins and installations.
type plugins struct {
	pool         *tenant.Pool
	registry     *pluginhost.Registry
	directory    *installation.Directory
	configurator *pluginhost.Configurator
	publicURL    string
}

// Plugin is a plugin that can be switched on.
type Plugin struct {
	ID              string            `json:"id" example:"whatsapp"`
	Name            string            `json:"name"`
	Version         string            `json:"version"`
	Description     map[string]string `json:"description" doc:"By language tag"`
	Capabilities    []string          `json:"capabilities"`
	SettingsVersion uint32            `json:"settings_version"`
	SettingsSchema  json.RawMessage   `json:"settings_schema" doc:"JSON Schema 2020-12 of the settings form; writeOnly marks secrets"`
	Available       bool              `json:"available" doc:"Whether it can be switched on now"`
}

func show(r host.Release) Plugin {
	p := Plugin{ID: r.Name, Name: r.Name, Available: r.Problem == "", Capabilities: []string{}, Description: map[string]string{}}
	if m := r.Manifest; m != nil {
		p.Name, p.Version, p.SettingsVersion, p.SettingsSchema = m.Name, m.Version, m.SettingsVersion, m.SettingsSchema
		if m.Description != nil {
			p.Description = m.Description
		}
		for _, c := range m.Capabilities {
			p.Capabilities = append(p.Capabilities, string(c))
		}
	}
	return p
}

type pluginList struct{ rest.PageQuery }

// byName is the place in a list that is ordered by name.
type byName struct {
	Name string `json:"n"`
}

func (p *plugins) list(_ context.Context, _ rbac.Actor, in *pluginList) (rest.Page[Plugin], error) {
	k, err := rest.Key[byName](in.PageQuery)
	if err != nil {
		return rest.Page[Plugin]{}, err
	}
	rows := []Plugin{}
	for _, r := range p.registry.Plugins() {
		if k == nil || r.Name > k.Name {
			rows = append(rows, show(r))
		}
	}
	slices.SortFunc(rows, func(a, b Plugin) int { return strings.Compare(a.ID, b.ID) })
	if len(rows) > in.Fetch() {
		rows = rows[:in.Fetch()]
	}
	return rest.NewPage(in.PageQuery, rows, func(p Plugin) byName { return byName{p.ID} }), nil
}

// PluginPath names a plugin.
type PluginPath struct {
	Plugin string `path:"plugin" maxLength:"64"`
}

func (p *plugins) get(_ context.Context, _ rbac.Actor, in *PluginPath) (Plugin, error) {
	r, err := p.registry.Plugin(in.Plugin)
	return show(r), err
}

// InstallationPath names an installation.
type InstallationPath struct {
	ID installation.ID `path:"id" format:"uuid"`
}

func (p *plugins) installations(ctx context.Context, s tenant.Scope, _ rbac.Actor, _ *struct{}) (rest.Page[installation.Installation], error) {
	rows, err := installation.List(ctx, s)
	return rest.Page[installation.Installation]{Items: rows}, err
}

func (p *plugins) installation(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *InstallationPath) (*installation.Installation, error) {
	return installation.Get(ctx, s, in.ID)
}

type newInstallation struct {
	Body struct {
		Plugin string `json:"plugin" minLength:"1" maxLength:"64" example:"whatsapp"`
		Name   string `json:"name" required:"false" maxLength:"100" doc:"What you call it; empty takes the plugin's name."`
	}
}

// create switches a plugin on, as a draft with its webhook address.
func (p *plugins) create(ctx context.Context, a rbac.Actor, in *newInstallation) (*installation.Installation, error) {
	return p.install(ctx, a.Tenant, in.Body.Plugin, in.Body.Name)
}

func (p *plugins) install(ctx context.Context, t tenant.ID, plugin, name string) (*installation.Installation, error) {
	release, err := p.registry.Plugin(plugin)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = release.Manifest.Name
	}
	var n *installation.Installation
	err = p.pool.Do(ctx, t, func(ctx context.Context, s tenant.Scope) error {
		n = installation.New(s, plugin, name)
		return installation.Create(ctx, s, n)
	})
	if err != nil {
		return nil, err
	}
	token, err := p.directory.NewToken(ctx, plugin, installation.Target{Tenant: t, Installation: n.ID})
	if err != nil {
		return nil, err
	}
	n.WebhookURL = p.publicURL + "/api/webhooks/" + plugin + "/" + token
	return n, p.pool.Do(ctx, t, func(ctx context.Context, s tenant.Scope) error {
		return installation.SetWebhookURL(ctx, s, n.ID, n.WebhookURL)
	})
}

type settingsInput struct {
	InstallationPath
	Body struct {
		Version  int             `json:"version" minimum:"1" doc:"The installation's version that the form was made from."`
		Settings json.RawMessage `json:"settings" doc:"The whole form as an object. A secret that is absent is kept, null deletes it."`
	}
}

func (p *plugins) save(ctx context.Context, a rbac.Actor, in *settingsInput) (*installation.Installation, error) {
	return p.configurator.Save(ctx, installation.Target{Tenant: a.Tenant, Installation: in.ID}, in.Body.Settings, in.Body.Version)
}

func (p *plugins) test(ctx context.Context, a rbac.Actor, in *InstallationPath) (*installation.Installation, error) {
	return p.configurator.Test(ctx, installation.Target{Tenant: a.Tenant, Installation: in.ID})
}

type stateInput struct {
	InstallationPath
	Body struct {
		State installation.State `json:"state" enum:"active,disabled" doc:"disabled: takes no webhooks and sends nothing."`
	}
}

func (p *plugins) setState(ctx context.Context, a rbac.Actor, in *stateInput) (*installation.Installation, error) {
	return p.configurator.SetState(ctx, installation.Target{Tenant: a.Tenant, Installation: in.ID}, in.Body.State)
}
