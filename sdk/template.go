package sdk

import "context"

// TemplateInfo is a template as the provider knows it. To send one, use [Template].
type TemplateInfo struct {
	// Name and Language, a BCP 47 tag as the provider writes it, name the template.
	Name, Language string
	// Category is "marketing", "utility" or "authentication", or what the provider says.
	Category string
	// Status is "approved", "pending", "rejected" or "paused", or what the provider says.
	Status string
	// Body is the provider's own document of the template, JSON.
	Body []byte
	// ProviderID and Quality are the provider's; empty when unknown.
	ProviderID, Quality string
}

// TemplateManager manages the templates of the account at the provider.
type TemplateManager interface {
	// ListTemplates gives a page of templates and the next page's token, empty
	// at the end. The first page has no token.
	ListTemplates(ctx context.Context, pageToken string) (templates []TemplateInfo, next string, err error)
	// SubmitTemplate asks the provider to approve a template, of which Status,
	// ProviderID and Quality are not set, and gives it back with its first
	// status. The key is the order's id, the same for every attempt at it.
	SubmitTemplate(ctx context.Context, key string, t TemplateInfo) (TemplateInfo, error)
	// DeleteTemplate removes a template in one language, in all if it is empty.
	DeleteTemplate(ctx context.Context, name, language string) error
}
