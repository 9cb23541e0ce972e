package main

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// The provider's limits, in characters.
const (
	maxText    = 4096
	maxCaption = 1024
)

// compose returns the provider's name and form of what a message says. Its
// errors are failures. Limits that the provider names in its answer are left
// to it; those of plain text are checked here, where the words are clear.
func compose(c sdk.Content) (kind string, what any, err error) {
	switch c := c.(type) {
	case sdk.Text:
		if n := utf8.RuneCountInString(c.Body); n == 0 || n > maxText {
			return "", nil, refusal(failure.InvalidRequest, failure.Tenant, "a text has from 1 to 4096 characters")
		}
		text := object{"body": c.Body}
		if c.PreviewLinks {
			text["preview_url"] = true
		}
		return "text", text, nil
	case sdk.Media:
		return composeMedia(c)
	case sdk.Location:
		return "location", composePlace(c), nil
	case sdk.Reaction:
		return "reaction", object{"message_id": c.TargetID, "emoji": c.Emoji}, nil
	case sdk.ContactCards:
		return "contacts", composeCards(c), nil
	case sdk.Interactive:
		what, err := composeInteractive(c)
		return "interactive", what, err
	case sdk.Template:
		what, err := composeTemplate(c)
		return "template", what, err
	}
	return "", nil, refusal(failure.Unsupported, failure.Plugin, "WhatsApp cannot send this kind of message")
}

// set puts a value that is not empty.
func set(o object, key, value string) {
	if value != "" {
		o[key] = value
	}
}

func composePlace(l sdk.Location) object {
	place := object{"latitude": l.Latitude, "longitude": l.Longitude}
	set(place, "name", l.Name)
	set(place, "address", l.Address)
	return place
}

func composeMedia(m sdk.Media) (string, any, error) {
	ref, err := composeRef(m.Ref)
	if err != nil {
		return "", nil, err
	}
	if utf8.RuneCountInString(m.Caption) > maxCaption {
		return "", nil, refusal(failure.InvalidRequest, failure.Tenant, "a caption has at most 1024 characters")
	}
	switch m.Kind {
	case sdk.MediaImage, sdk.MediaVideo:
		set(ref, "caption", m.Caption)
	case sdk.MediaDocument:
		set(ref, "caption", m.Caption)
		set(ref, "filename", m.Ref.FileName)
	case sdk.MediaAudio, sdk.MediaSticker:
	case sdk.MediaVoice:
		ref["voice"] = true
		return "audio", ref, nil
	default:
		return "", nil, refusal(failure.Unsupported, failure.Plugin, "WhatsApp cannot send this kind of file")
	}
	return string(m.Kind), ref, nil
}

// composeRef points at a file that WhatsApp holds already, or can fetch.
func composeRef(r sdk.MediaRef) (object, error) {
	if r.ProviderID != "" {
		return object{"id": r.ProviderID}, nil
	}
	if u, err := url.Parse(r.URL); err == nil && u.Scheme == "https" && u.Host != "" {
		return object{"link": r.URL}, nil
	}
	return nil, refusal(failure.Media, failure.Plugin, "the file has neither an id at WhatsApp nor a public https address")
}

func composeCards(c sdk.ContactCards) []object {
	out := make([]object, len(c.Cards))
	for i, one := range c.Cards {
		// The provider wants one more part of the name beside the whole.
		card := object{"name": object{"formatted_name": one.Name, "first_name": one.Name}}
		if one.Organization != "" {
			card["org"] = object{"company": one.Organization}
		}
		var phones, emails []object
		for _, p := range one.Phones {
			phones = append(phones, object{"phone": p})
		}
		for _, e := range one.Emails {
			emails = append(emails, object{"email": e})
		}
		if phones != nil {
			card["phones"] = phones
		}
		if emails != nil {
			card["emails"] = emails
		}
		out[i] = card
	}
	return out
}

func composeInteractive(c sdk.Interactive) (object, error) {
	out := object{"body": object{"text": c.Body}}
	if c.Header != "" {
		out["header"] = object{"type": "text", "text": c.Header}
	}
	if c.Footer != "" {
		out["footer"] = object{"text": c.Footer}
	}
	isReply := func(b sdk.Button) bool { return b.URL == "" && b.Phone == "" && b.Flow == "" }
	switch {
	case len(c.Sections) > 0 && len(c.Buttons) == 0:
		out["type"] = "list"
		out["action"] = object{"button": c.ListLabel, "sections": composeSections(c.Sections)}
	case len(c.Sections) > 0 || len(c.Buttons) == 0:
		return nil, refusal(failure.Unsupported, failure.Plugin, "WhatsApp offers either buttons or a list")
	case len(c.Buttons) == 1 && c.Buttons[0].URL != "":
		b := c.Buttons[0]
		out["type"] = "cta_url"
		out["action"] = object{"name": "cta_url", "parameters": object{"display_text": b.Title, "url": b.URL}}
	case !slices.ContainsFunc(c.Buttons, func(b sdk.Button) bool { return !isReply(b) }):
		buttons := make([]object, len(c.Buttons))
		for i, b := range c.Buttons {
			buttons[i] = object{"type": "reply", "reply": object{"id": cmp.Or(b.Payload, b.ID, b.Title), "title": b.Title}}
		}
		out["type"] = "button"
		out["action"] = object{"buttons": buttons}
	default:
		return nil, refusal(failure.Unsupported, failure.Plugin, "WhatsApp cannot offer these buttons together")
	}
	return out, nil
}

func composeSections(sections []sdk.ListSection) []object {
	out := make([]object, len(sections))
	for i, s := range sections {
		rows := make([]object, len(s.Rows))
		for j, r := range s.Rows {
			rows[j] = object{"id": r.ID, "title": r.Title}
			set(rows[j], "description", r.Description)
		}
		out[i] = object{"rows": rows}
		set(out[i], "title", s.Title)
	}
	return out
}

// composeTemplate groups the parameters as the provider wants them: one
// component for the header, one for the body, one for each button.
func composeTemplate(c sdk.Template) (object, error) {
	params := slices.Clone(c.Params)
	rank := map[string]int{"header": 1, "body": 2, "button": 3}
	slices.SortStableFunc(params, func(a, b sdk.TemplateParam) int {
		return cmp.Or(rank[a.Component]-rank[b.Component], a.Index-b.Index)
	})
	var components []object
	last := ""
	for _, p := range params {
		key := p.Component
		if p.Component == "button" {
			key += strconv.Itoa(p.Index)
		}
		one, err := composeParam(p)
		if err != nil {
			return nil, err
		}
		if key == last {
			component := components[len(components)-1]
			component["parameters"] = append(component["parameters"].([]object), one)
			continue
		}
		last = key
		component := object{"type": p.Component, "parameters": []object{one}}
		if p.Component == "button" {
			component["sub_type"], component["index"] = p.SubType, strconv.Itoa(p.Index)
		}
		components = append(components, component)
	}
	out := object{"name": c.Name, "language": object{"code": c.Language}}
	if components != nil {
		out["components"] = components
	}
	return out, nil
}

func composeParam(p sdk.TemplateParam) (object, error) {
	out := object{}
	set(out, "parameter_name", p.Name)
	switch {
	case p.Media != nil:
		ref, err := composeRef(*p.Media)
		if err != nil {
			return nil, err
		}
		kind, _, _ := strings.Cut(p.Media.MIMEType, "/")
		if kind != "image" && kind != "video" {
			kind = "document"
			set(ref, "filename", p.Media.FileName)
		}
		out["type"], out[kind] = kind, ref
	case p.Location != nil:
		out["type"], out["location"] = "location", composePlace(*p.Location)
	case p.Component == "button" && p.SubType == "catalog":
		action := object{}
		set(action, "thumbnail_product_retailer_id", cmp.Or(p.Payload, p.Text))
		out["type"], out["action"] = "action", action
	case p.Component == "button" && p.SubType == "copy_code":
		out["type"], out["coupon_code"] = "coupon_code", cmp.Or(p.Payload, p.Text)
	case p.Component == "button" && p.SubType == "flow":
		out["type"], out["action"] = "action", object{"flow_token": cmp.Or(p.Payload, p.Text)}
	case p.Component == "button" && p.SubType == "quick_reply":
		out["type"], out["payload"] = "payload", cmp.Or(p.Payload, p.Text)
	default:
		out["type"], out["text"] = "text", p.Text
	}
	return out, nil
}
