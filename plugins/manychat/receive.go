package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

const (
	// window is how long a person may be answered freely after writing.
	window = 24 * time.Hour
	// bucket is within which the same words of the same person count as one
	// message: ManyChat names no messages, and may deliver one twice.
	bucket = 30 * time.Second
	// maxID is the longest id that is taken for one.
	maxID = 64
)

// envelope is the body of a step: Strato's own key, and the contact under one
// of the names that tenants give it, or at the root.
type envelope struct {
	Strato struct {
		Channel str `json:"channel"`
		// Event is "message" if empty, or "contact" for a step that only tells of
		// the contact, such as one behind a tag.
		Event str `json:"event"`
	} `json:"strato"`
	Channel         str             `json:"channel"`
	Contact         json.RawMessage `json:"contact"`
	Data            json.RawMessage `json:"data"`
	FullContactData json.RawMessage `json:"full_contact_data"`
	Subscriber      json.RawMessage `json:"subscriber"`
}

// contact is ManyChat's "Full Contact Data", as much of it as the plugin reads.
type contact struct {
	Key               str             `json:"key"`
	ID                str             `json:"id"`
	PageID            str             `json:"page_id"`
	FirstName         str             `json:"first_name"`
	LastName          str             `json:"last_name"`
	Name              str             `json:"name"`
	LiveChatURL       str             `json:"live_chat_url"`
	LastInputText     str             `json:"last_input_text"`
	Phone             str             `json:"phone"`
	WhatsAppPhone     str             `json:"whatsapp_phone"`
	WhatsAppUserID    str             `json:"whatsapp_bsuid"`
	WhatsAppUsername  str             `json:"whatsapp_username"`
	InstagramID       str             `json:"ig_id"`
	InstagramUsername str             `json:"ig_username"`
	TikTokID          str             `json:"tt_user_id"`
	LastInteraction   str             `json:"last_interaction"`
	InstagramLast     str             `json:"ig_last_interaction"`
	CustomFields      json.RawMessage `json:"custom_fields"`
}

// id is the contact's id, which stands in the key too; empty if there is none.
func (c contact) id() string {
	id := string(c.ID)
	if id == "" {
		id = strings.TrimPrefix(string(c.Key), "user:")
	}
	if len(id) > maxID {
		return ""
	}
	return id
}

// arrival is one request of a step.
type arrival struct {
	body []byte
	at   time.Time
	// page is the confirmed id of the account, empty if none is; numbers are
	// all by which the account may call itself.
	page    string
	numbers []string
}

// receive turns the body of a step into its one event. The words, if any, say
// what is wrong with the body, for the person who made the step; the event then
// keeps the body as it came, because ManyChat has no history to ask for it again.
func (a arrival) receive() (event sdk.Event, words string) {
	e, c, words := decode(a.body)
	if words != "" {
		return a.unrecognized("body"), words
	}
	if c.id() == "" {
		return a.unrecognized("contact"), "The body has no contact: insert Full Contact Data under the key contact."
	}
	if !a.isOurs(c) {
		return a.unrecognized("account"), "The contact is of another ManyChat account than the one of Strato's API key."
	}
	on := channelOf(e, c)
	event = sdk.Event{
		OccurredAt:  a.at,
		RouteKeys:   a.keys(on),
		OrderingKey: kindSubscriber + ":" + c.id(),
	}
	if e.Strato.Event == "contact" {
		event.DedupeKey = a.dedupe("contact", on, c.id(), string(a.body))
		event.Payload = sdk.ContactUpdate{Contact: party(c), Fields: fields(c.CustomFields)}
		return event, ""
	}
	event.DedupeKey = a.dedupe("message", on, c.id(), normal(string(c.LastInputText)))
	m := sdk.InboundMessage{From: party(c), To: us(event.RouteKeys), Content: content(c)}
	if on != onTelegram && on != onOther {
		m.WindowExpiresAt = a.at.Add(window)
	}
	event.Payload = m
	return event, ""
}

// decode finds the contact in a body. It takes the forms that tenants were seen
// to make, and returns words if it is none of them.
func decode(body []byte) (envelope, contact, string) {
	var (
		e envelope
		c contact
	)
	if read(body, &e) != nil {
		body = repaired(body)
		if read(body, &e) != nil {
			return e, c, "The body is not JSON. Insert Full Contact Data as an object instead of single variables in quotes: " +
				"a quotation mark that the customer writes breaks the body."
		}
	}
	if !isObject(body) {
		return e, c, "The body is a single value. It must be an object that holds Full Contact Data."
	}
	for _, raw := range []json.RawMessage{e.Contact, e.FullContactData, e.Subscriber, e.Data, body} {
		var text string
		if json.Unmarshal(raw, &text) == nil && strings.HasPrefix(strings.TrimSpace(text), "{") {
			raw = json.RawMessage(text) // the object was dropped between quotes
		}
		if !isObject(raw) {
			continue
		}
		var found contact
		if read(raw, &found) == nil && found.id() != "" {
			return e, found, ""
		}
		var nested envelope
		if read(raw, &nested) == nil && isObject(nested.Contact) && read(nested.Contact, &found) == nil && found.id() != "" {
			return e, found, ""
		}
	}
	return e, c, ""
}

// accountInURL is the account's number in a link to ManyChat's inbox.
var accountInURL = regexp.MustCompile(`/fb([0-9]+)/`)

// isOurs reports whether the contact may be of this account. The id of the page
// and the number of the account differ in what was seen, so that it takes two
// strange numbers to be a stranger.
func (a arrival) isOurs(c contact) bool {
	seen := 0
	known := func(number string) bool {
		if number == "" {
			return false
		}
		seen++
		return slices.Contains(a.numbers, number)
	}
	inURL := ""
	if m := accountInURL.FindStringSubmatch(string(c.LiveChatURL)); m != nil {
		inURL = m[1]
	}
	return known(string(c.PageID)) || known(inURL) || seen < 2
}

// channelOf is the channel that the step names, or a guess by the ids that the
// contact has. The guess fails for contacts who write on two.
func channelOf(e envelope, c contact) string {
	named := string(e.Strato.Channel)
	if named == "" {
		named = string(e.Channel)
	}
	switch named = strings.ToLower(strings.TrimSpace(named)); named {
	case onWhatsApp, onInstagram, onMessenger, onTelegram:
		return named
	case "facebook", "fb":
		return onMessenger
	case "ig":
		return onInstagram
	case "wa":
		return onWhatsApp
	case "":
	default:
		return onOther
	}
	whatsapp := c.WhatsAppPhone != "" || c.WhatsAppUserID != ""
	instagram := c.InstagramID != "" || c.InstagramUsername != ""
	switch {
	case whatsapp && instagram:
		if moment(c.InstagramLast).After(moment(c.LastInteraction)) {
			return onInstagram
		}
		return onWhatsApp
	case whatsapp:
		return onWhatsApp
	case instagram:
		return onInstagram
	case c.TikTokID != "":
		return onOther
	}
	return onMessenger
}

func moment(s str) time.Time {
	t, _ := time.Parse(time.RFC3339, string(s))
	return t
}

// party is the person, the id to answer to first.
func party(c contact) sdk.Party {
	p := sdk.Party{Addresses: []sdk.Address{{Kind: kindSubscriber, Value: c.id()}}}
	for _, phone := range []str{c.WhatsAppPhone, c.Phone} {
		a := sdk.Address{Kind: kindPhone, Value: string(phone)}
		if n := len(onlyDigits(a.Value)); n >= 7 && n <= 15 && len(a.Value) <= 30 && (len(p.Addresses) < 2 || p.Addresses[1] != a) {
			p.Addresses = append(p.Addresses, a)
		}
	}
	// The id that a business knows the person by leads to the person only where
	// there is no number.
	if user := string(c.WhatsAppUserID); len(p.Addresses) == 1 && user != "" && len(user) <= 140 {
		p.Addresses = append(p.Addresses, sdk.Address{Kind: kindUser, Value: user})
	}
	p.DisplayName = clip(strings.TrimSpace(string(c.Name)), 200)
	if p.DisplayName == "" {
		p.DisplayName = clip(strings.TrimSpace(string(c.FirstName+" "+c.LastName)), 200)
	}
	p.Username = clip(string(c.InstagramUsername), 200)
	if p.Username == "" {
		p.Username = clip(string(c.WhatsAppUsername), 200)
	}
	return p
}

// mediaKinds are the kinds of the files that a link to one may end with.
var mediaKinds = map[string]sdk.MediaKind{
	".jpg": sdk.MediaImage, ".jpeg": sdk.MediaImage, ".png": sdk.MediaImage, ".gif": sdk.MediaImage, ".webp": sdk.MediaImage,
	".mp4": sdk.MediaVideo, ".3gp": sdk.MediaVideo, ".mp3": sdk.MediaAudio, ".m4a": sdk.MediaAudio, ".aac": sdk.MediaAudio,
	".ogg": sdk.MediaVoice, ".oga": sdk.MediaVoice, ".opus": sdk.MediaVoice, ".pdf": sdk.MediaDocument,
}

// content reads what the person wrote. A file comes as its address, or as
// nothing at all.
func content(c contact) sdk.Content {
	text := strings.TrimSpace(string(c.LastInputText))
	if text == "" {
		return sdk.Unsupported{
			ProviderType: "no_text",
			Detail:       strings.TrimSpace("ManyChat passed no text on; it may be a picture, a voice note or a sticker. " + string(c.LiveChatURL)),
		}
	}
	if u, err := url.Parse(text); err == nil && u.Scheme == "https" && u.Host != "" && !strings.ContainsAny(text, " \n") {
		if kind, ok := mediaKinds[strings.ToLower(path.Ext(u.Path))]; ok {
			return sdk.Media{Kind: kind, Ref: sdk.MediaRef{URL: text, FileName: path.Base(u.Path)}}
		}
	}
	return sdk.Text{Body: string(c.LastInputText)}
}

// fields reads custom fields, an object by name in what steps send and a list in
// what the API answers. What is not set is left out.
func fields(raw json.RawMessage) map[string]string {
	out := map[string]string{}
	set := func(name string, value json.RawMessage) {
		v := strings.TrimSpace(string(value))
		if name == "" || v == "" || v == "null" || len(out) >= 200 {
			return
		}
		var s str
		_ = s.UnmarshalJSON(value)
		if s == "" {
			s = str(v) // true and false
		}
		out[clip(name, 200)] = clip(string(s), 4096)
	}
	var byName map[string]json.RawMessage
	var list []struct {
		Name  str             `json:"name"`
		Value json.RawMessage `json:"value"`
	}
	switch {
	case json.Unmarshal(raw, &byName) == nil:
		for name, value := range byName {
			set(name, value)
		}
	case read(raw, &list) == nil:
		for _, f := range list {
			set(string(f.Name), f.Value)
		}
	}
	return out
}

// keys are the routing keys of an event, the channel's first; none before the
// account is confirmed.
func (a arrival) keys(on string) []sdk.RouteKey {
	if a.page == "" {
		return nil
	}
	return []sdk.RouteKey{{Kind: channelKeys[on], Value: a.page}, {Kind: keyPage, Value: a.page}}
}

// dedupe is the key of a fact that ManyChat does not name. last_interaction
// cannot be part of it: it is null for contacts of WhatsApp.
func (a arrival) dedupe(parts ...string) string {
	h := sha256.New()
	for _, p := range append(parts, a.page, strconv.FormatInt(a.at.Unix()/int64(bucket/time.Second), 10)) {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return parts[0] + ":" + hex.EncodeToString(h.Sum(nil)[:16])
}

// unrecognized keeps a body that says nothing Strato knows.
func (a arrival) unrecognized(what string) sdk.Event {
	return sdk.Event{
		DedupeKey:  a.dedupe(what, string(a.body)),
		OccurredAt: a.at,
		RouteKeys:  a.keys(onOther),
		Payload:    sdk.Unrecognized{ProviderType: what, Raw: a.body},
	}
}

// normal is a text without what repeats of it may differ in.
func normal(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// us is our side of a conversation.
func us(keys []sdk.RouteKey) sdk.Address {
	if len(keys) == 0 {
		return sdk.Address{}
	}
	return sdk.Address(keys[0])
}

func refusal(code failure.Code, blame failure.Blame, words string) *failure.Failure {
	f := failure.New(code, "%s", words)
	f.Outcome, f.Blame = failure.NotSent, blame
	return f
}
