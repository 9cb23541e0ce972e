package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// listed is a template of the list with the document that it came in.
type listed struct {
	template
	raw json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *listed) UnmarshalJSON(b []byte) error {
	l.raw = append(json.RawMessage(nil), b...)
	return read(b, &l.template)
}

// ListTemplates implements [sdk.TemplateManager]. Its page tokens are numbers.
func (c *channel) ListTemplates(ctx context.Context, pageToken string) ([]sdk.TemplateInfo, string, error) {
	page := 1
	if pageToken != "" {
		n, err := strconv.Atoi(pageToken)
		if err != nil || n < 1 {
			return nil, "", refusal(failure.InvalidRequest, failure.Plugin, "there is no such page of templates")
		}
		page = n
	}
	list, err := c.listTemplates(ctx, "", page)
	if err != nil {
		return nil, "", err
	}
	out := make([]sdk.TemplateInfo, len(list))
	for i, t := range list {
		out[i] = infoOf(t)
	}
	next := ""
	if len(list) == pageSize {
		next = strconv.Itoa(page + 1)
	}
	return out, next, nil
}

func infoOf(t listed) sdk.TemplateInfo {
	return sdk.TemplateInfo{
		Name: string(t.Name), Language: string(t.Language), Category: strings.ToLower(string(t.Category)),
		Status: strings.ToLower(string(t.Status)), Body: t.raw,
	}
}

// SubmitTemplate implements [sdk.TemplateManager]. The template's body is Meta's
// document of one: an object with components. UChat has no key for attempts,
// and refuses a second template of the same name by itself.
func (c *channel) SubmitTemplate(ctx context.Context, _ string, t sdk.TemplateInfo) (sdk.TemplateInfo, error) {
	body := object{}
	if err := json.Unmarshal(t.Body, &body); err != nil || body["components"] == nil {
		return sdk.TemplateInfo{}, refusal(failure.Template, failure.Tenant, "the template's body has no components")
	}
	body["name"], body["language"], body["category"] = t.Name, t.Language, strings.ToUpper(t.Category)
	if err := c.api.do(ctx, call{path: "/whatsapp-template/create", body: body}, nil); err != nil {
		return sdk.TemplateInfo{}, err
	}
	t.Status = "pending"
	return t, nil
}

// DeleteTemplate implements [sdk.TemplateManager]. UChat removes a template in
// all its languages; where there are others, one alone cannot be removed.
func (c *channel) DeleteTemplate(ctx context.Context, name, language string) error {
	if language != "" {
		list, err := c.listTemplates(ctx, name, 1)
		if err != nil {
			return err
		}
		for _, t := range list {
			if string(t.Name) == name && string(t.Language) != language {
				return refusal(failure.Unsupported, failure.Tenant, "UChat deletes a template in all its languages at once")
			}
		}
	}
	err := c.api.do(ctx, call{method: http.MethodDelete, path: "/whatsapp-template/delete", body: object{"name": name}}, nil)
	if err == nil {
		c.templates.clear()
	}
	return err
}
