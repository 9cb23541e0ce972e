package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
)

// The directions of a message in UChat's history.
const (
	typeIn    = "in"
	typeOut   = "out"
	typeAgent = "agent"
)

// The channels whose people have an address outside UChat.
const (
	channelWhatsApp  = "whatsapp"
	channelInstagram = "instagram"
	channelFacebook  = "facebook"
	channelOther     = "other"
)

// kindUser is the kind of address by which UChat knows a person.
const kindUser = "uchat_user"

// addressKinds are the kinds of address that a channel knows a person by.
var addressKinds = map[string]string{
	"": "wa_id", channelWhatsApp: "wa_id", channelInstagram: "instagram_id", channelFacebook: "psid", channelOther: "uchat_id",
}

// window is how long a person may be answered freely after writing, in the
// channels that have such a rule.
const window = 24 * time.Hour

// chatMessage is a message of the history; that of a live-chat webhook has the
// same form.
type chatMessage struct {
	ID      str             `json:"id"`
	Type    str             `json:"type"`
	MsgType str             `json:"msg_type"`
	Content str             `json:"content"`
	Payload json.RawMessage `json:"payload"`
	TS      str             `json:"ts"`

	raw json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler: it keeps what it read.
func (m *chatMessage) UnmarshalJSON(b []byte) error {
	type bare chatMessage
	var v bare
	if err := read(b, &v); err != nil {
		return err
	}
	*m = chatMessage(v)
	m.raw = slices.Clone(b)
	return nil
}

type payload struct {
	Text str `json:"text"`
	URL  str `json:"url"`
}

func (m chatMessage) payload() payload {
	var p payload
	if isObject(m.Payload) {
		_ = read(m.Payload, &p) // it came out of valid JSON
	}
	return p
}

func (m chatMessage) text() string { return string(first(m.Content, m.payload().Text)) }

// said is what tells a message from others: its words, or its file.
func (m chatMessage) said() string {
	if u := m.payload().URL; u != "" {
		return string(u)
	}
	return m.text()
}

func (m chatMessage) empty() bool { return strings.TrimSpace(m.said()) == "" }

func (m chatMessage) at(arrived time.Time) time.Time { return moment(m.TS, arrived) }

// message is the event of a message with this contact.
func (c *channel) message(m chatMessage, p profile, arrived time.Time) sdk.Event {
	who, at := c.party(p), m.at(arrived)
	id := clip(string(m.ID), 200)
	e := sdk.Event{DedupeKey: "message:" + id, OccurredAt: at, OrderingKey: kindUser + ":" + string(p.UserNS)}
	if m.Type != typeIn {
		e.Payload = sdk.MessageEcho{ProviderMessageID: id, To: who, From: c.us(), Content: content(m)}
		return e
	}
	in := sdk.InboundMessage{ProviderMessageID: id, From: who, To: c.us(), Content: content(m)}
	if c.account.Channel != channelOther {
		in.WindowExpiresAt = at.Add(window)
	}
	e.Payload = in
	return e
}

func (c *channel) us() sdk.Address { return sdk.Address{Kind: "flow_ns", Value: c.account.FlowNS} }

// party describes a contact. Its own telephone number, which only WhatsApp
// vouches for, makes it known beside its name at UChat.
func (c *channel) party(p profile) sdk.Party {
	out := sdk.Party{
		Addresses:   []sdk.Address{{Kind: kindUser, Value: string(p.UserNS)}},
		DisplayName: clip(cmp.Or(string(p.Name), strings.TrimSpace(string(p.FirstName+" "+p.LastName))), 200),
	}
	kind, id := addressKinds[c.account.Channel], clip(string(p.UserID), 200)
	if kind == "wa_id" {
		id = digitsOf(id)
	}
	if id != "" {
		out.Addresses = append([]sdk.Address{{Kind: kind, Value: id}}, out.Addresses...)
	}
	return out
}

// described is the event of what is known of a contact. The same knowledge is
// the same event.
func (c *channel) described(p profile, arrived time.Time) sdk.Event {
	u := sdk.ContactUpdate{Contact: c.party(p), Fields: map[string]string{}}
	for name, v := range map[string]str{"email": p.Email, "phone": p.Phone, "language": p.Language} {
		if v != "" {
			u.Fields[name] = string(v)
		}
	}
	for _, f := range p.Fields {
		if f.Name != "" && f.Value != "" {
			u.Fields["uchat."+clip(string(f.Name), 100)] = clip(string(f.Value), 1000)
		}
	}
	for _, t := range p.Tags {
		if t.Name != "" {
			u.TagsAdded = append(u.TagsAdded, clip(string(t.Name), 100))
		}
	}
	raw, _ := json.Marshal(u) // strings alone always marshal
	h := sha256.Sum256(raw)
	return sdk.Event{
		DedupeKey: "contact:" + string(p.UserNS) + ":" + hex.EncodeToString(h[:12]), OccurredAt: arrived,
		OrderingKey: kindUser + ":" + string(p.UserNS), Payload: u,
	}
}

// mediaKinds are the kinds of file by UChat's name.
var mediaKinds = map[str]sdk.MediaKind{
	"image": sdk.MediaImage, "video": sdk.MediaVideo, "audio": sdk.MediaAudio, "file": sdk.MediaDocument,
	"document": sdk.MediaDocument, "sticker": sdk.MediaSticker, "voice": sdk.MediaVoice,
}

// content reads what a message says. A kind that has no counterpart is kept as
// [sdk.Unsupported].
func content(m chatMessage) sdk.Content {
	p := m.payload()
	if kind, ok := mediaKinds[m.MsgType]; ok && p.URL != "" {
		name := path.Base(strings.SplitN(string(p.URL), "?", 2)[0])
		// WhatsApp's voice notes are the only audio of this form.
		if ext := strings.ToLower(path.Ext(name)); kind == sdk.MediaAudio && (ext == ".ogg" || ext == ".oga" || ext == ".opus") {
			kind = sdk.MediaVoice
		}
		return sdk.Media{
			Kind: kind, Caption: string(first(m.Content, p.Text)),
			Ref: sdk.MediaRef{URL: string(p.URL), FileName: clip(name, 200)},
		}
	}
	if text := m.text(); text != "" && (m.MsgType == "text" || m.MsgType == "") {
		return sdk.Text{Body: text}
	}
	return sdk.Unsupported{ProviderType: clip(string(m.MsgType), 100), Detail: clip(m.text(), 300), Raw: m.raw}
}
