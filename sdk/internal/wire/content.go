package wire

import (
	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// ToMediaRef reads a reference to a file; nil is the zero reference.
func ToMediaRef(p *pluginv1.MediaRef) sdk.MediaRef {
	return sdk.MediaRef{
		BlobID: p.GetBlobId(), URL: p.GetUrl(), ProviderID: p.GetProviderMediaId(), MIMEType: p.GetMimeType(),
		FileName: p.GetFileName(), Size: p.GetSizeBytes(), SHA256: p.GetSha256(),
	}
}

// FromMediaRef writes a reference to a file.
func FromMediaRef(r sdk.MediaRef) *pluginv1.MediaRef {
	p := &pluginv1.MediaRef{MimeType: r.MIMEType, FileName: r.FileName, SizeBytes: r.Size, Sha256: r.SHA256}
	switch {
	case r.BlobID != "":
		p.Source = &pluginv1.MediaRef_BlobId{BlobId: r.BlobID}
	case r.URL != "":
		p.Source = &pluginv1.MediaRef_Url{Url: r.URL}
	case r.ProviderID != "":
		p.Source = &pluginv1.MediaRef_ProviderMediaId{ProviderMediaId: r.ProviderID}
	}
	return p
}

func toMediaRefPtr(p *pluginv1.MediaRef) *sdk.MediaRef {
	if p == nil {
		return nil
	}
	r := ToMediaRef(p)
	return &r
}

func fromMediaRefPtr(r *sdk.MediaRef) *pluginv1.MediaRef {
	if r == nil {
		return nil
	}
	return FromMediaRef(*r)
}

func toParam(p *pluginv1.TemplateParam) sdk.TemplateParam {
	return sdk.TemplateParam{
		Component: p.GetComponent(), Index: int(p.GetIndex()), Name: p.GetName(), SubType: p.GetSubType(),
		Text: p.GetText(), Media: toMediaRefPtr(p.GetMedia()), Payload: p.GetPayload(),
		Location: toPlacePtr(p.GetLocation()),
	}
}

func toPlacePtr(p *pluginv1.LocationContent) *sdk.Location {
	if p == nil {
		return nil
	}
	return &sdk.Location{Latitude: p.GetLatitude(), Longitude: p.GetLongitude(), Name: p.GetName(), Address: p.GetAddress()}
}

func fromParam(t sdk.TemplateParam) *pluginv1.TemplateParam {
	p := &pluginv1.TemplateParam{Component: t.Component, Index: uint32(max(t.Index, 0)), Name: t.Name, SubType: t.SubType}
	switch {
	case t.Location != nil:
		l := t.Location
		p.Value = &pluginv1.TemplateParam_Location{Location: &pluginv1.LocationContent{
			Latitude: l.Latitude, Longitude: l.Longitude, Name: l.Name, Address: l.Address,
		}}
	case t.Media != nil:
		p.Value = &pluginv1.TemplateParam_Media{Media: FromMediaRef(*t.Media)}
	case t.Payload != "":
		p.Value = &pluginv1.TemplateParam_Payload{Payload: t.Payload}
	default:
		p.Value = &pluginv1.TemplateParam_Text{Text: t.Text}
	}
	return p
}

func toButton(p *pluginv1.Button) sdk.Button {
	return sdk.Button{ID: p.GetId(), Title: p.GetTitle(), Payload: p.GetReplyPayload(), URL: p.GetUrl(), Phone: p.GetPhone(), Flow: p.GetFlowId()}
}

func fromButton(b sdk.Button) *pluginv1.Button {
	p := &pluginv1.Button{Id: b.ID, Title: b.Title}
	switch {
	case b.Payload != "":
		p.Action = &pluginv1.Button_ReplyPayload{ReplyPayload: b.Payload}
	case b.URL != "":
		p.Action = &pluginv1.Button_Url{Url: b.URL}
	case b.Phone != "":
		p.Action = &pluginv1.Button_Phone{Phone: b.Phone}
	case b.Flow != "":
		p.Action = &pluginv1.Button_FlowId{FlowId: b.Flow}
	}
	return p
}

func toCard(p *pluginv1.Card) sdk.Card {
	return sdk.Card{Title: p.GetTitle(), Subtitle: p.GetSubtitle(), Image: toMediaRefPtr(p.GetImage()), Buttons: each(p.GetButtons(), toButton)}
}

func fromCard(c sdk.Card) *pluginv1.Card {
	return &pluginv1.Card{Title: c.Title, Subtitle: c.Subtitle, Image: fromMediaRefPtr(c.Image), Buttons: each(c.Buttons, fromButton)}
}

func toRow(p *pluginv1.ListRow) sdk.ListRow {
	return sdk.ListRow{ID: p.GetId(), Title: p.GetTitle(), Description: p.GetDescription()}
}

func fromRow(r sdk.ListRow) *pluginv1.ListRow {
	return &pluginv1.ListRow{Id: r.ID, Title: r.Title, Description: r.Description}
}

func toSection(p *pluginv1.ListSection) sdk.ListSection {
	return sdk.ListSection{Title: p.GetTitle(), Rows: each(p.GetRows(), toRow)}
}

func fromSection(s sdk.ListSection) *pluginv1.ListSection {
	return &pluginv1.ListSection{Title: s.Title, Rows: each(s.Rows, fromRow)}
}

func toContactCard(p *pluginv1.ContactCard) sdk.ContactCard {
	return sdk.ContactCard{Name: p.GetName(), Phones: p.GetPhones(), Emails: p.GetEmails(), Organization: p.GetOrganization()}
}

func fromContactCard(c sdk.ContactCard) *pluginv1.ContactCard {
	return &pluginv1.ContactCard{Name: c.Name, Phones: c.Phones, Emails: c.Emails, Organization: c.Organization}
}

// ToContent reads what a message says. A kind that this version does not know
// is nil.
func ToContent(p *pluginv1.Content) sdk.Content {
	switch k := p.GetKind().(type) {
	case *pluginv1.Content_Text:
		return sdk.Text{Body: k.Text.GetBody(), PreviewLinks: k.Text.GetPreviewLinks()}
	case *pluginv1.Content_Media:
		m := k.Media
		return sdk.Media{Kind: sdk.MediaKind(m.GetKind()), Ref: ToMediaRef(m.GetRef()), Caption: m.GetCaption(), Transcript: m.GetTranscript()}
	case *pluginv1.Content_Template:
		return sdk.Template{Name: k.Template.GetName(), Language: k.Template.GetLanguage(), Params: each(k.Template.GetParams(), toParam)}
	case *pluginv1.Content_Cards:
		return sdk.Cards{Cards: each(k.Cards.GetCards(), toCard), Fallback: k.Cards.GetFallbackText()}
	case *pluginv1.Content_Interactive:
		i := k.Interactive
		return sdk.Interactive{
			Header: i.GetHeader(), Body: i.GetBody(), Footer: i.GetFooter(), Buttons: each(i.GetButtons(), toButton),
			ListLabel: i.GetListLabel(), Sections: each(i.GetSections(), toSection), Fallback: i.GetFallbackText(),
		}
	case *pluginv1.Content_Location:
		l := k.Location
		return sdk.Location{Latitude: l.GetLatitude(), Longitude: l.GetLongitude(), Name: l.GetName(), Address: l.GetAddress()}
	case *pluginv1.Content_Reaction:
		return sdk.Reaction{TargetID: k.Reaction.GetTargetMessageId(), Emoji: k.Reaction.GetEmoji()}
	case *pluginv1.Content_Contacts:
		return sdk.ContactCards{Cards: each(k.Contacts.GetCards(), toContactCard)}
	case *pluginv1.Content_Selection:
		s := k.Selection
		return sdk.Selection{Kind: s.GetKind(), ID: s.GetId(), Title: s.GetTitle(), Description: s.GetDescription(), Answers: s.GetAnswersJson()}
	case *pluginv1.Content_Unsupported:
		u := k.Unsupported
		return sdk.Unsupported{ProviderType: u.GetProviderType(), Detail: u.GetDetail(), Raw: u.GetRaw()}
	}
	return nil
}

// FromContent writes what a message says; nil stays nil.
func FromContent(c sdk.Content) *pluginv1.Content {
	switch c := c.(type) {
	case sdk.Text:
		return &pluginv1.Content{Kind: &pluginv1.Content_Text{Text: &pluginv1.Text{Body: c.Body, PreviewLinks: c.PreviewLinks}}}
	case sdk.Media:
		return &pluginv1.Content{Kind: &pluginv1.Content_Media{Media: &pluginv1.Media{
			Kind: string(c.Kind), Ref: FromMediaRef(c.Ref), Caption: c.Caption, Transcript: c.Transcript,
		}}}
	case sdk.Template:
		return &pluginv1.Content{Kind: &pluginv1.Content_Template{Template: &pluginv1.TemplateContent{
			Name: c.Name, Language: c.Language, Params: each(c.Params, fromParam),
		}}}
	case sdk.Cards:
		return &pluginv1.Content{Kind: &pluginv1.Content_Cards{Cards: &pluginv1.Cards{Cards: each(c.Cards, fromCard), FallbackText: c.Fallback}}}
	case sdk.Interactive:
		return &pluginv1.Content{Kind: &pluginv1.Content_Interactive{Interactive: &pluginv1.Interactive{
			Header: c.Header, Body: c.Body, Footer: c.Footer, Buttons: each(c.Buttons, fromButton),
			ListLabel: c.ListLabel, Sections: each(c.Sections, fromSection), FallbackText: c.Fallback,
		}}}
	case sdk.Location:
		return &pluginv1.Content{Kind: &pluginv1.Content_Location{Location: &pluginv1.LocationContent{
			Latitude: c.Latitude, Longitude: c.Longitude, Name: c.Name, Address: c.Address,
		}}}
	case sdk.Reaction:
		return &pluginv1.Content{Kind: &pluginv1.Content_Reaction{Reaction: &pluginv1.Reaction{TargetMessageId: c.TargetID, Emoji: c.Emoji}}}
	case sdk.ContactCards:
		return &pluginv1.Content{Kind: &pluginv1.Content_Contacts{Contacts: &pluginv1.ContactCards{Cards: each(c.Cards, fromContactCard)}}}
	case sdk.Selection:
		return &pluginv1.Content{Kind: &pluginv1.Content_Selection{Selection: &pluginv1.Selection{
			Kind: c.Kind, Id: c.ID, Title: c.Title, Description: c.Description, AnswersJson: c.Answers,
		}}}
	case sdk.Unsupported:
		return &pluginv1.Content{Kind: &pluginv1.Content_Unsupported{Unsupported: &pluginv1.Unsupported{
			ProviderType: c.ProviderType, Detail: c.Detail, Raw: c.Raw,
		}}}
	}
	return nil
}
