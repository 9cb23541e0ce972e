package simulator

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/stratohub/strato/sdk/simulator"
)

// fill writes what the message says into its wire form and what is kept.
func (a *account) fill(m map[string]any, kept *message, c *customer, in Say) error {
	in.Type = typeOf(in)
	last := a.find(func(o *message) bool {
		return o.Person == c.Key && o.Direction == simulator.Outbound && o.Type != "reaction"
	})
	if in.ReplyTo == "last" {
		if last == nil {
			return simulator.Refuse(http.StatusConflict, "%s has not written to this person yet, so there is nothing to answer.", in.To)
		}
		in.ReplyTo = last.ID
	}
	kept.Type, kept.ReplyTo = in.Type, in.ReplyTo
	m["type"] = in.Type
	switch in.Type {
	case "text":
		if in.Text == "" {
			return simulator.Refuse(http.StatusUnprocessableEntity, "Say what to write.")
		}
		m["text"] = map[string]any{"body": in.Text}
	case "image", "video", "audio", "voice", "document", "sticker":
		a.fillFile(m, kept, in)
	case "location":
		fillLocation(m, kept, in)
	case "contacts":
		fillCard(m, kept, in)
	case "choice":
		if err := a.fillChoice(m, kept, c, in); err != nil {
			return err
		}
	case "reaction":
		if in.ReplyTo == "" && last != nil {
			in.ReplyTo = last.ID
		}
		if in.ReplyTo == "" {
			return simulator.Refuse(http.StatusConflict, "%s has not written to this person yet, so there is nothing to react to.", in.To)
		}
		reaction := map[string]any{"message_id": in.ReplyTo}
		if in.Emoji != "" {
			reaction["emoji"] = in.Emoji
		}
		m["reaction"], kept.Text, kept.ReplyTo = reaction, in.Emoji, in.ReplyTo
		in.ReplyTo = ""
	case "number_changed":
		return a.fillNumberChanged(m, kept, c, in)
	case "order":
		m["order"] = map[string]any{"catalog_id": "194836987003835", "text": in.Text, "product_items": []any{
			map[string]any{"product_retailer_id": "acoyte-410", "quantity": 1, "item_price": 1, "currency": "ARS"}}}
	case "unsupported":
		m["errors"] = []any{refuse(131051, "Message type is currently not supported.").inStatus()}
		m["unsupported"] = map[string]any{"type": "poll"}
	default:
		return simulator.Refuse(http.StatusUnprocessableEntity, "There is no message of type %q.", in.Type)
	}
	fillContext(m, in, identityOf(in.To))
	return nil
}

// typeOf tells the type from what is given.
func typeOf(in Say) string {
	switch {
	case in.Type != "":
		return in.Type
	case in.Choice != "":
		return "choice"
	case in.Emoji != "":
		return "reaction"
	case in.Latitude != nil:
		return "location"
	case in.ContactName != "":
		return "contacts"
	case in.NewPhone != "":
		return "number_changed"
	case len(in.File) > 0:
		return "document"
	}
	return "text"
}

func fillContext(m map[string]any, in Say, who identity) {
	switch {
	case in.ReplyTo != "" && m["context"] == nil:
		m["context"] = map[string]any{"from": who.Digits, "id": in.ReplyTo}
	case in.Forwarded:
		m["context"] = map[string]any{"forwarded": true}
	}
	if in.Ad {
		m["referral"] = map[string]any{
			"source_url": "https://fb.me/2QxStratoAd", "source_id": "120215544332210987", "source_type": "ad",
			"headline": "Torre Nordelta - Preventa", "body": "Departamentos a estrenar con cochera, financiación propia en 60 cuotas.",
			"media_type": "image", "image_url": "https://scontent.xx.fbcdn.net/v/t45.1600-4/torre-nordelta.jpg",
			"ctwa_clid":       "ARAkLkA8rmlFeiCktEJQ-QTwRiyYHAFDLMNDBH0CD3qpjd0HR4irJ6LEkR7JwLF4XvnO2E4Nx0",
			"welcome_message": map[string]any{"text": "¡Hola! Contanos qué tipo de unidad buscás."},
		}
	}
}

// fillFile keeps the file, so that it can be downloaded by its id.
func (a *account) fillFile(m map[string]any, kept *message, in Say) {
	kind, sample := in.Type, samples[in.Type]
	f := &file{ID: newID(), MIMEType: in.MIMEType, Name: in.FileName, Content: in.File, At: kept.At}
	if len(f.Content) == 0 {
		f.Content = sample.content()
	}
	if f.MIMEType == "" {
		f.MIMEType = sample.mime
	}
	if f.Name == "" && kind == "document" {
		f.Name = sample.name
	}
	a.keepFile(f)
	sum := sha256.Sum256(f.Content)
	o := map[string]any{"id": f.ID, "mime_type": f.MIMEType, "sha256": base64.StdEncoding.EncodeToString(sum[:])}
	switch kind {
	case "voice":
		kind, o["voice"] = "audio", true
	case "audio":
		o["voice"] = false
	case "sticker":
		o["animated"] = false
	case "document":
		o["filename"] = f.Name
	}
	if in.Text != "" && kind != "audio" && kind != "sticker" {
		o["caption"] = in.Text
	}
	m["type"], m[kind] = kind, o
	kept.Text = strings.TrimSpace(in.Text + " " + f.Name)
}

func fillLocation(m map[string]any, kept *message, in Say) {
	latitude, longitude := -34.6186, -58.4379
	if in.Latitude != nil && in.Longitude != nil {
		latitude, longitude = *in.Latitude, *in.Longitude
	}
	o := map[string]any{"latitude": latitude, "longitude": longitude}
	if in.Place != "" {
		o["name"] = in.Place
	}
	if in.Address != "" {
		o["address"] = in.Address
	}
	m["location"] = o
	kept.Text = strings.TrimSpace(in.Place + " " + in.Address)
}

func fillCard(m map[string]any, kept *message, in Say) {
	first, last, _ := strings.Cut(in.ContactName, " ")
	o := map[string]any{"name": map[string]any{"formatted_name": in.ContactName, "first_name": first, "last_name": last}}
	if in.ContactPhone != "" {
		o["phones"] = []any{map[string]any{"phone": in.ContactPhone, "type": "Mobile", "wa_id": personKey(in.ContactPhone)}}
	}
	m["contacts"] = []any{o}
	kept.Text = in.ContactName
}

// fillChoice presses a button or row of the last message that offers it.
func (a *account) fillChoice(m map[string]any, kept *message, c *customer, in Say) error {
	var picked choice
	offer := a.find(func(o *message) bool {
		if o.Person != c.Key || o.Direction != simulator.Outbound {
			return false
		}
		i := slices.IndexFunc(o.Choices, func(one choice) bool {
			return one.ID == in.Choice || strings.EqualFold(one.Title, in.Choice)
		})
		if i >= 0 {
			picked = o.Choices[i]
		}
		return i >= 0
	})
	if offer == nil {
		return simulator.Refuse(http.StatusConflict, "%s has offered this person no button or row %q.", in.To, in.Choice)
	}
	switch picked.Kind {
	case "list":
		row := map[string]any{"id": picked.ID, "title": picked.Title}
		if picked.Description != "" {
			row["description"] = picked.Description
		}
		m["type"], m["interactive"] = "interactive", map[string]any{"type": "list_reply", "list_reply": row}
	case "template_button":
		m["type"], m["button"] = "button", map[string]any{"payload": picked.ID, "text": picked.Title}
	default:
		m["type"] = "interactive"
		m["interactive"] = map[string]any{"type": "button_reply", "button_reply": map[string]any{"id": picked.ID, "title": picked.Title}}
	}
	m["context"] = map[string]any{"from": identityOf(in.To).Digits, "id": offer.ID}
	kept.Text, kept.ReplyTo = picked.Title, offer.ID
	return nil
}

// fillNumberChanged moves the person to another number, and so to another
// business-scoped id.
func (a *account) fillNumberChanged(m map[string]any, kept *message, c *customer, in Say) error {
	key := personKey(in.NewPhone)
	if len(key) < 7 || isUserID(key) {
		return simulator.Refuse(http.StatusUnprocessableEntity, "Say the new number, like +5491160009999.")
	}
	former, formerPhone := c.UserID, c.Phone
	delete(a.Customers, c.Key)
	c.Key, c.Phone, c.UserID = key, key, userID(a.Label, key)
	a.add(c)
	kept.Person = key
	m["type"] = "system"
	m["system"] = map[string]any{
		"type": "user_changed_number", "body": "User " + c.Name + " changed from " + formerPhone + " to " + key,
		"wa_id": key, "user_id": c.UserID, "previous_user_id": former,
	}
	kept.Text = "now at +" + key
	return nil
}
