package main

import (
	"encoding/json"
	"strings"

	"github.com/stratohub/strato/sdk"
)

// content reads what a message says. A kind that has no counterpart, or whose
// object is missing, is kept as [sdk.Unsupported].
func content(m message, raw json.RawMessage) sdk.Content {
	var c sdk.Content
	switch m.Type {
	case "text":
		if m.Text.Body != "" {
			c = sdk.Text{Body: string(m.Text.Body)}
		}
	case "image":
		c = media(sdk.MediaImage, m.Image)
	case "video":
		c = media(sdk.MediaVideo, m.Video)
	case "audio":
		kind := sdk.MediaAudio
		if m.Audio != nil && m.Audio.Voice {
			kind = sdk.MediaVoice
		}
		c = media(kind, m.Audio)
	case "voice":
		c = media(sdk.MediaVoice, m.Voice)
	case "document":
		c = media(sdk.MediaDocument, m.Document)
	case "sticker":
		c = media(sdk.MediaSticker, m.Sticker)
	case "location":
		c = location(m.Location)
	case "contacts":
		c = cards(m.Contacts)
	case "interactive":
		c = selection(m.Interactive)
	case "button":
		if m.Button != nil {
			c = sdk.Selection{Kind: "template_button", ID: string(m.Button.Payload), Title: string(m.Button.Text)}
		}
	case "reaction":
		if m.Reaction != nil && m.Reaction.MessageID != "" && len(m.Reaction.MessageID) <= maxID {
			c = sdk.Reaction{TargetID: string(m.Reaction.MessageID), Emoji: string(m.Reaction.Emoji)}
		}
	}
	if c == nil {
		return unsupported(m, raw)
	}
	return c
}

// media is nil, as the other parts of content are, if there is nothing to show.
func media(kind sdk.MediaKind, f *file) sdk.Content {
	if f == nil || f.ID == "" && f.URL == "" {
		return nil
	}
	ref := sdk.MediaRef{
		ProviderID: string(f.ID),
		MIMEType:   string(f.MIMEType),
		FileName:   string(f.FileName),
		SHA256:     hexSHA256(f.SHA256),
	}
	if ref.ProviderID == "" {
		ref.URL = string(f.URL)
	}
	return sdk.Media{Kind: kind, Ref: ref, Caption: string(f.Caption)}
}

func location(p *place) sdk.Content {
	if p == nil {
		return nil
	}
	latitude, ok1 := coordinate(p.Latitude, 90)
	longitude, ok2 := coordinate(p.Longitude, 180)
	if !ok1 || !ok2 {
		return nil
	}
	return sdk.Location{Latitude: latitude, Longitude: longitude, Name: string(p.Name), Address: string(p.Address)}
}

func cards(list []json.RawMessage) sdk.Content {
	var out sdk.ContactCards
	for _, raw := range list {
		var c card
		if read(raw, &c) != nil || !isObject(raw) {
			continue
		}
		one := sdk.ContactCard{Name: string(c.Name.FormattedName), Organization: string(c.Org.Company)}
		if one.Name == "" {
			one.Name = strings.TrimSpace(string(c.Name.FirstName + " " + c.Name.LastName))
		}
		for _, p := range c.Phones {
			if p.Phone == "" {
				p.Phone = p.WaID
			}
			if p.Phone != "" {
				one.Phones = append(one.Phones, string(p.Phone))
			}
		}
		for _, e := range c.Emails {
			if e.Email != "" {
				one.Emails = append(one.Emails, string(e.Email))
			}
		}
		out.Cards = append(out.Cards, one)
	}
	if len(out.Cards) == 0 {
		return nil
	}
	return out
}

// selection reads an answer to buttons, a list, a form or a request to call.
func selection(i *interactive) sdk.Content {
	switch {
	case i == nil:
	case i.ButtonReply != nil:
		return sdk.Selection{Kind: "button", ID: string(i.ButtonReply.ID), Title: string(i.ButtonReply.Title)}
	case i.ListReply != nil:
		return sdk.Selection{
			Kind: "list", ID: string(i.ListReply.ID),
			Title: string(i.ListReply.Title), Description: string(i.ListReply.Description),
		}
	case i.FormReply != nil:
		answers, words := formAnswers(i.FormReply.Response)
		return sdk.Selection{
			Kind: "form", ID: string(i.FormReply.Name),
			Title: string(i.FormReply.Body), Description: words, Answers: answers,
		}
	case isObject(i.CallPermission):
		var p struct {
			Response str `json:"response"`
		}
		_ = read(i.CallPermission, &p) // it came out of valid JSON
		return sdk.Selection{Kind: "form", ID: "call_permission", Title: string(p.Response), Answers: i.CallPermission}
	}
	return nil
}

// formAnswers reads response_json, a string that should hold a JSON object.
// What it holds else is returned as words.
func formAnswers(raw json.RawMessage) (answers []byte, words string) {
	if isObject(raw) {
		return raw, ""
	}
	var s str
	_ = s.UnmarshalJSON(raw)
	if inside := []byte(s); json.Valid(inside) && isObject(trimmed(inside)) {
		return inside, ""
	}
	return nil, clip(string(s), 4096)
}
