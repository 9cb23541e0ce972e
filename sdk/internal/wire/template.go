package wire

import (
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// ToTemplateInfo reads a template of the provider's.
func ToTemplateInfo(p *pluginv1.Template) sdk.TemplateInfo {
	return sdk.TemplateInfo{
		Name: p.GetName(), Language: p.GetLanguage(), Category: p.GetCategory(), Status: p.GetStatus(), Body: p.GetBodyJson(),
		ProviderID: p.GetProviderId(), Quality: p.GetQuality(),
	}
}

// FromTemplateInfo writes a template of the provider's.
func FromTemplateInfo(t sdk.TemplateInfo) *pluginv1.Template {
	return &pluginv1.Template{
		Name: t.Name, Language: t.Language, Category: t.Category, Status: t.Status, BodyJson: t.Body,
		ProviderId: t.ProviderID, Quality: t.Quality,
	}
}

// ToTemplateInfos reads a page of templates.
func ToTemplateInfos(p []*pluginv1.Template) []sdk.TemplateInfo { return each(p, ToTemplateInfo) }

// FromTemplateInfos writes a page of templates.
func FromTemplateInfos(t []sdk.TemplateInfo) []*pluginv1.Template { return each(t, FromTemplateInfo) }
