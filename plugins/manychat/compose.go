package main

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// object is a JSON object to send.
type object map[string]any

// The provider's limits of a document.
const (
	maxMessages = 10
	maxButtons  = 3
	maxText     = 2000
)

// contentTypes are the names that documents give to channels. Messenger has none.
var contentTypes = map[string]string{onWhatsApp: "whatsapp", onInstagram: "instagram", onTelegram: "telegram"}

// document is dynamic content, version 2, for a channel.
func document(on string, messages []object) object {
	inside := object{"messages": messages}
	if t := contentTypes[on]; t != "" {
		inside["type"] = t
	}
	return object{"version": "v2", "content": inside}
}

// compose writes what a message says as messages of a document. Its errors are
// failures: what the channel is known not to take is refused before it is asked.
func compose(on string, c sdk.Content) ([]object, error) {
	switch c := c.(type) {
	case sdk.Text:
		return texts(c.Body)
	case sdk.Media:
		return composeMedia(on, c)
	case sdk.Interactive:
		return composeInteractive(on, c)
	case sdk.Cards:
		return composeCards(on, c)
	}
	return nil, refusal(failure.Unsupported, failure.Plugin, "ManyChat cannot send this kind of message")
}

// texts cuts a long text where a line or a word ends.
func texts(s string) ([]object, error) {
	if strings.TrimSpace(s) == "" {
		return nil, refusal(failure.InvalidRequest, failure.Tenant, "a text has one character at least")
	}
	var out []object
	for s != "" {
		part := s
		if utf8.RuneCountInString(s) > maxText {
			part = string([]rune(s)[:maxText])
			if i := strings.LastIndexAny(part, "\n "); i > len(part)/2 {
				part = part[:i]
			}
		}
		out = append(out, object{"type": "text", "text": strings.TrimSpace(part)})
		s = strings.TrimSpace(s[len(part):])
	}
	if len(out) > maxMessages {
		return nil, refusal(failure.InvalidRequest, failure.Tenant, "the text is too long for ManyChat")
	}
	return out, nil
}

// composeMedia sends a file by its address. WhatsApp takes none this way, and
// Instagram pictures only, says the documentation; the plugin believes it.
func composeMedia(on string, m sdk.Media) ([]object, error) {
	u, err := url.Parse(m.Ref.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, refusal(failure.Media, failure.Plugin, "the file has no public https address")
	}
	kinds := map[sdk.MediaKind]string{
		sdk.MediaImage: "image", sdk.MediaVideo: "video", sdk.MediaAudio: "audio", sdk.MediaVoice: "audio", sdk.MediaDocument: "file",
	}
	kind, ok := kinds[m.Kind]
	switch {
	case !ok:
		return nil, refusal(failure.Unsupported, failure.Plugin, "ManyChat cannot send this kind of file")
	case on == onWhatsApp, on == onInstagram && kind != "image":
		return nil, refusal(failure.Unsupported, failure.Tenant, "ManyChat sends no such files on this channel; send a link, or start a flow that has the file")
	}
	out := []object{{"type": kind, "url": m.Ref.URL}}
	if m.Caption != "" {
		out = append(out, object{"type": "text", "text": m.Caption})
	}
	return out, nil
}

func composeInteractive(on string, c sdk.Interactive) ([]object, error) {
	if len(c.Sections) > 0 || len(c.Buttons) == 0 || len(c.Buttons) > maxButtons {
		return nil, refusal(failure.Unsupported, failure.Plugin, "ManyChat offers one to three buttons, and no lists")
	}
	buttons, err := composeButtons(on, c.Buttons)
	if err != nil {
		return nil, err
	}
	var words []string
	for _, part := range []string{c.Header, c.Body, c.Footer} {
		if part != "" {
			words = append(words, part)
		}
	}
	return []object{{"type": "text", "text": strings.Join(words, "\n\n"), "buttons": buttons}}, nil
}

// composeButtons takes links, flows and, on Messenger, telephone numbers: a
// button that only answers needs a node of a flow, which the API has not.
func composeButtons(on string, list []sdk.Button) ([]object, error) {
	var out []object
	for _, b := range list {
		switch {
		case b.URL != "":
			out = append(out, object{"type": "url", "caption": b.Title, "url": b.URL})
		case b.Flow != "":
			out = append(out, object{"type": "flow", "caption": b.Title, "target": b.Flow})
		case b.Phone != "" && on == onMessenger:
			out = append(out, object{"type": "call", "caption": b.Title, "phone": b.Phone})
		default:
			return nil, refusal(failure.Unsupported, failure.Plugin, "ManyChat's buttons open a link or a flow")
		}
	}
	return out, nil
}

func composeCards(on string, c sdk.Cards) ([]object, error) {
	if on != onMessenger && on != onInstagram {
		if c.Fallback != "" {
			return texts(c.Fallback)
		}
		return nil, refusal(failure.Unsupported, failure.Tenant, "this channel of ManyChat has no cards")
	}
	elements := make([]object, 0, len(c.Cards))
	for _, one := range c.Cards {
		e := object{"title": one.Title}
		if one.Subtitle != "" {
			e["subtitle"] = one.Subtitle
		}
		if one.Image != nil && one.Image.URL != "" {
			e["image_url"] = one.Image.URL
		}
		buttons, err := composeButtons(on, one.Buttons)
		if err != nil {
			return nil, err
		}
		if buttons != nil {
			e["buttons"] = buttons
		}
		elements = append(elements, e)
	}
	return []object{{"type": "cards", "elements": elements, "image_aspect_ratio": "horizontal"}}, nil
}
