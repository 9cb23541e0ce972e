package simulator

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// outgoing is a message that the business wants to send, once it is understood.
type outgoing struct {
	kind     string
	to       string
	byUser   bool
	callback string
	replyTo  string
	text     string
	category string
	choices  []choice
	free     bool // needs an open window
}

// validate reads a request to send and refuses what breaks the documented form
// and limits. files tells whether a file id is the business's.
func validate(in map[string]any, files func(id string) *file) (outgoing, *refusal) {
	out := outgoing{kind: text(in, "type"), callback: text(in, "biz_opaque_callback_data"), replyTo: text(in, "context", "message_id"), free: true}
	if text(in, "messaging_product") != "whatsapp" {
		return out, invalid("The parameter messaging_product is required.")
	}
	if kind := text(in, "recipient_type"); kind != "" && kind != "individual" {
		return out, invalid("Param recipient_type must be one of {INDIVIDUAL} - got %q", kind)
	}
	if out.to = text(in, "to"); out.to == "" {
		out.to, out.byUser = text(in, "recipient"), true
	}
	switch n := len(onlyDigits(out.to)); {
	case out.to == "":
		return out, invalid("The parameter to is required.")
	case out.byUser && !isUserID(out.to):
		return out, refuse(131009, "The recipient is not a business-scoped user ID.")
	case !out.byUser && (n < 7 || n > 15):
		return out, invalid("The parameter to is not a phone number.")
	case utf8.RuneCountInString(out.callback) > 512:
		return out, invalid("Param biz_opaque_callback_data must be at most 512 characters long.")
	}
	if out.kind == "" {
		out.kind = "text"
	}
	var refused *refusal
	if out.kind == "contacts" {
		cards, _ := in["contacts"].([]any)
		out.text, refused = checkCards(cards)
		return out, refused
	}
	what, ok := in[out.kind].(map[string]any)
	if !slices.Contains(kinds, out.kind) {
		return out, refuse(131051, "Message type "+out.kind+" is not supported.")
	}
	if !ok {
		return out, invalid("The parameter %s is required.", out.kind)
	}
	switch out.kind {
	case "text":
		out.text = text(what, "body")
		refused = length("text['body']", out.text, 1, 4096)
	case "image", "video", "audio", "document", "sticker":
		out.text, refused = checkMedia(out.kind, what, files)
	case "location":
		out.text, refused = checkLocation(what)
	case "reaction":
		out.text, out.replyTo = text(what, "emoji"), text(what, "message_id")
		if _, has := what["emoji"].(string); !has || out.replyTo == "" {
			refused = refuse(131009, "A reaction needs message_id and emoji.")
		}
	case "interactive":
		out.text = text(what, "body", "text")
		out.choices, refused = checkInteractive(what)
	case "template":
		out.free = false
		var t map[string]any
		if t, out.choices, refused = checkTemplate(what); refused == nil {
			out.category = strings.ToLower(t["category"].(string))
			out.text = filled(t, what)
		}
	}
	return out, refused
}

var kinds = []string{"text", "image", "video", "audio", "document", "sticker", "location", "contacts", "reaction", "interactive", "template"}

func length(name, s string, from, to int) *refusal {
	switch n := utf8.RuneCountInString(s); {
	case n < from:
		return invalid("The parameter %s is required.", name)
	case n > to:
		return invalid("Param %s must be at most %d characters long.", name, to)
	}
	return nil
}

func checkMedia(kind string, m map[string]any, files func(string) *file) (string, *refusal) {
	id, link, caption := text(m, "id"), text(m, "link"), text(m, "caption")
	switch {
	case (id == "") == (link == ""):
		return "", refuse(131008, "Exactly one of "+kind+"['id'] and "+kind+"['link'] is required.")
	case utf8.RuneCountInString(caption) > 1024:
		return "", invalid("Param %s['caption'] must be at most 1024 characters long.", kind)
	case caption != "" && (kind == "audio" || kind == "sticker"):
		return "", invalid("Unexpected key \"caption\" on param \"%s\".", kind)
	}
	if link != "" {
		if u, err := url.Parse(link); err != nil || u.Scheme != "https" || u.Host == "" {
			return "", refuse(131053, "The link could not be downloaded: it must be a public https URL.")
		}
		return strings.TrimSpace(caption + " " + link), nil
	}
	f := files(id)
	if f == nil {
		return "", refuse(131009, "Media ID "+id+" is not valid for this phone number.")
	}
	if voice, _ := m["voice"].(bool); voice && !strings.HasPrefix(f.MIMEType, "audio/ogg") {
		return "", refuse(131053, "A voice message must be audio/ogg with the OPUS codec.")
	}
	return strings.TrimSpace(caption + " " + f.Name), nil
}

func checkLocation(m map[string]any) (string, *refusal) {
	latitude, ok1 := m["latitude"].(float64)
	longitude, ok2 := m["longitude"].(float64)
	if !ok1 || !ok2 || latitude < -90 || latitude > 90 || longitude < -180 || longitude > 180 {
		return "", refuse(131009, "A location needs latitude and longitude as numbers.")
	}
	return strings.TrimSpace(text(m, "name") + " " + text(m, "address")), nil
}

func checkCards(cards []any) (string, *refusal) {
	var names []string
	for _, raw := range cards {
		c, _ := raw.(map[string]any)
		name, _ := c["name"].(map[string]any)
		if text(name, "formatted_name") == "" || len(name) < 2 {
			return "", refuse(131009, "A contact needs name['formatted_name'] and one more part of the name.")
		}
		names = append(names, text(name, "formatted_name"))
	}
	if len(names) == 0 {
		return "", invalid("The parameter contacts is required.")
	}
	return strings.Join(names, ", "), nil
}

func checkInteractive(m map[string]any) ([]choice, *refusal) {
	kind := text(m, "type")
	action, _ := m["action"].(map[string]any)
	limit := 1024
	if kind == "list" {
		limit = 4096
	}
	if r := length("interactive['body']['text']", text(m, "body", "text"), 1, limit); r != nil {
		return nil, r
	}
	if r := length("interactive['footer']['text']", text(m, "footer", "text"), 0, 60); r != nil {
		return nil, r
	}
	if r := length("interactive['header']['text']", text(m, "header", "text"), 0, 60); r != nil {
		return nil, r
	}
	switch kind {
	case "button":
		return checkButtons(action)
	case "list":
		return checkList(action)
	case "cta_url":
		if r := length("display_text", text(action, "parameters", "display_text"), 1, 20); r != nil {
			return nil, r
		}
		return nil, length("url", text(action, "parameters", "url"), 1, 2000)
	case "location_request_message", "flow":
		return nil, nil
	}
	return nil, refuse(131009, "Param interactive['type'] is not one of the allowed values.")
}

func checkButtons(action map[string]any) ([]choice, *refusal) {
	list, _ := action["buttons"].([]any)
	if len(list) < 1 || len(list) > 3 {
		return nil, refuse(131009, "There must be 1 to 3 buttons.")
	}
	var out []choice
	for _, raw := range list {
		b, _ := raw.(map[string]any)
		one := choice{Kind: "button", ID: text(b, "reply", "id"), Title: text(b, "reply", "title")}
		if r := length("id", one.ID, 1, 256); r != nil {
			return nil, r
		}
		if r := length("title", one.Title, 1, 20); r != nil {
			return nil, r
		}
		if slices.ContainsFunc(out, func(c choice) bool { return c.ID == one.ID || c.Title == one.Title }) {
			return nil, refuse(131009, "Button ids and titles must be unique.")
		}
		out = append(out, one)
	}
	return out, nil
}

func checkList(action map[string]any) ([]choice, *refusal) {
	if r := length("button", text(action, "button"), 1, 20); r != nil {
		return nil, r
	}
	sections, _ := action["sections"].([]any)
	var out []choice
	for _, raw := range sections {
		section, _ := raw.(map[string]any)
		from := 0
		if len(sections) > 1 {
			from = 1
		}
		if r := length("section title", text(section, "title"), from, 24); r != nil {
			return nil, r
		}
		rows, _ := section["rows"].([]any)
		for _, raw := range rows {
			row, _ := raw.(map[string]any)
			one := choice{Kind: "list", ID: text(row, "id"), Title: text(row, "title"), Description: text(row, "description")}
			for _, l := range []struct {
				name, value string
				from, to    int
			}{{"row id", one.ID, 1, 200}, {"row title", one.Title, 1, 24}, {"row description", one.Description, 0, 72}} {
				if r := length(l.name, l.value, l.from, l.to); r != nil {
					return nil, r
				}
			}
			out = append(out, one)
		}
	}
	if len(out) < 1 || len(out) > 10 {
		return nil, refuse(131009, "There must be 1 to 10 rows over all sections.")
	}
	return out, nil
}

// filled is a template's body with its variables put in.
func filled(t, given map[string]any) string {
	params := givenParams(given)["body"]
	for _, c := range t["components"].([]map[string]any) {
		if c["type"] != "BODY" {
			continue
		}
		i := 0
		return variable.ReplaceAllStringFunc(c["text"].(string), func(name string) string {
			value := ""
			if i < len(params) {
				value = text(params[i], "text")
			}
			for _, p := range params {
				if "{{"+text(p, "parameter_name")+"}}" == name {
					value = text(p, "text")
				}
			}
			i++
			return value
		})
	}
	return ""
}
