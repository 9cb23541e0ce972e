package outbox

import (
	"cmp"
	"slices"

	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// content is what a message says, as it travels. A kind that the plugin does not
// have is sent as the text in its place.
func content(m *conversation.Message, kinds []string) *pluginv1.Content {
	text := &pluginv1.Text{Body: m.Text}
	c := m.Content
	if c == nil {
		return &pluginv1.Content{Kind: &pluginv1.Content_Text{Text: text}}
	}
	text.PreviewLinks = c.PreviewLinks
	out := &pluginv1.Content{}
	kind := m.Type
	switch {
	case c.Template != nil:
		out.Kind = &pluginv1.Content_Template{Template: template(c.Template)}
	case c.Interactive != nil:
		text.Body = cmp.Or(c.Interactive.Fallback, text.Body)
		out.Kind = &pluginv1.Content_Interactive{Interactive: interactive(c.Interactive)}
	case c.Cards != nil:
		text.Body = cmp.Or(c.Cards.Fallback, text.Body)
		out.Kind = &pluginv1.Content_Cards{Cards: cards(c.Cards)}
	case c.Location != nil:
		out.Kind = &pluginv1.Content_Location{Location: place(c.Location)}
	case c.Contacts != nil:
		out.Kind = &pluginv1.Content_Contacts{Contacts: people(c.Contacts)}
	case c.Reaction != nil:
		out.Kind = &pluginv1.Content_Reaction{Reaction: &pluginv1.Reaction{TargetMessageId: c.Reaction.TargetID, Emoji: c.Reaction.Emoji}}
	}
	if out.Kind == nil || text.Body != "" && !slices.Contains(kinds, kind) {
		out.Kind = &pluginv1.Content_Text{Text: text}
	}
	return out
}

func template(t *conversation.Template) *pluginv1.TemplateContent {
	out := &pluginv1.TemplateContent{Name: t.Name, Language: t.Language}
	for _, p := range t.Params {
		one := &pluginv1.TemplateParam{Component: p.Component, Index: uint32(p.Index), Name: p.Name, SubType: p.SubType} //nolint:gosec // 0 to 60
		switch {
		case p.Location != nil:
			one.Value = &pluginv1.TemplateParam_Location{Location: place(p.Location)}
		case p.Payload != "":
			one.Value = &pluginv1.TemplateParam_Payload{Payload: p.Payload}
		default:
			one.Value = &pluginv1.TemplateParam_Text{Text: p.Text}
		}
		out.Params = append(out.Params, one)
	}
	return out
}

func interactive(i *conversation.Interactive) *pluginv1.Interactive {
	out := &pluginv1.Interactive{
		Header: i.Header, Body: i.Body, Footer: i.Footer, Buttons: buttons(i.Buttons), ListLabel: i.ListLabel, FallbackText: i.Fallback,
	}
	for _, s := range i.Sections {
		section := &pluginv1.ListSection{Title: s.Title}
		for _, r := range s.Rows {
			section.Rows = append(section.Rows, &pluginv1.ListRow{Id: r.ID, Title: r.Title, Description: r.Description})
		}
		out.Sections = append(out.Sections, section)
	}
	return out
}

func buttons(list []conversation.Button) []*pluginv1.Button {
	var out []*pluginv1.Button
	for _, b := range list {
		one := &pluginv1.Button{Id: b.ID, Title: b.Title}
		switch {
		case b.Payload != "":
			one.Action = &pluginv1.Button_ReplyPayload{ReplyPayload: b.Payload}
		case b.URL != "":
			one.Action = &pluginv1.Button_Url{Url: b.URL}
		case b.Phone != "":
			one.Action = &pluginv1.Button_Phone{Phone: b.Phone}
		case b.Flow != "":
			one.Action = &pluginv1.Button_FlowId{FlowId: b.Flow}
		}
		out = append(out, one)
	}
	return out
}

func cards(c *conversation.Cards) *pluginv1.Cards {
	out := &pluginv1.Cards{FallbackText: c.Fallback}
	for _, t := range c.Items {
		card := &pluginv1.Card{Title: t.Title, Subtitle: t.Subtitle, Buttons: buttons(t.Buttons)}
		if t.ImageURL != "" {
			card.Image = &pluginv1.MediaRef{Source: &pluginv1.MediaRef_Url{Url: t.ImageURL}}
		}
		out.Cards = append(out.Cards, card)
	}
	return out
}

func place(l *conversation.Location) *pluginv1.LocationContent {
	return &pluginv1.LocationContent{Latitude: l.Latitude, Longitude: l.Longitude, Name: l.Name, Address: l.Address}
}

func people(list []conversation.Card) *pluginv1.ContactCards {
	out := &pluginv1.ContactCards{}
	for _, c := range list {
		out.Cards = append(out.Cards, &pluginv1.ContactCard{Name: c.Name, Phones: c.Phones, Emails: c.Emails, Organization: c.Organization})
	}
	return out
}
