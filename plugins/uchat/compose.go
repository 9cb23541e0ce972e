package main

import (
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// Limits of dynamic content.
const (
	maxCards   = 10
	maxButtons = 3
)

// outgoing writes the request for a message, but for whom it is to, and what the
// history will show of it, as far as that is known. A text without words is none: its hints alone count.
func outgoing(m sdk.Message) (c call, said []string, err error) {
	switch content := m.Content.(type) {
	case sdk.Text:
		if strings.TrimSpace(content.Body) == "" {
			if len(m.Hints) == 0 {
				return call{}, nil, refusal(failure.InvalidRequest, failure.Plugin, "the message is empty")
			}
			return call{}, nil, nil
		}
		if m.Hints["as_agent"] == "" {
			return call{path: "/subscriber/send-text", body: object{"content": content.Body}}, []string{content.Body}, nil
		}
		return dynamic(m, object{"type": "text", "text": content.Body}), []string{content.Body}, nil
	case sdk.Media:
		if content.Ref.URL == "" || !strings.HasPrefix(content.Ref.URL, "https://") && !strings.HasPrefix(content.Ref.URL, "http://") {
			return call{}, nil, refusal(failure.Media, failure.Plugin, "UChat takes files by their public address only")
		}
		one := object{"type": "file", "url": content.Ref.URL}
		switch content.Kind {
		case sdk.MediaImage, sdk.MediaSticker:
			one["type"] = "image"
		case sdk.MediaVideo:
			one["type"] = "video"
		case sdk.MediaAudio, sdk.MediaVoice:
			one["type"] = "audio"
		case sdk.MediaDocument:
		}
		messages, said := []object{one}, []string{content.Ref.URL}
		if content.Caption != "" { // dynamic content has no captions
			messages, said = append(messages, object{"type": "text", "text": content.Caption}), append(said, content.Caption)
		}
		return dynamic(m, messages...), said, nil
	case sdk.Cards:
		c, err := composeCards(m, content)
		return c, nil, err
	}
	return call{}, nil, refusal(failure.Unsupported, failure.Plugin, "UChat has no such kind of message")
}

// dynamic is a request with content of the version v1.
func dynamic(m sdk.Message, messages ...object) call {
	body := object{"data": object{"version": "v1", "content": object{"messages": messages}}}
	if m.Hints["as_agent"] == "1" {
		body["send_as_agent"] = 1
	}
	return call{path: "/subscriber/send-content", body: body}
}

func composeCards(m sdk.Message, c sdk.Cards) (call, error) {
	if len(c.Cards) == 0 || len(c.Cards) > maxCards {
		return call{}, refusal(failure.InvalidRequest, failure.Plugin, "UChat takes one to ten cards")
	}
	elements := make([]object, len(c.Cards))
	for i, card := range c.Cards {
		e := object{"title": card.Title}
		set(e, "subtitle", card.Subtitle)
		if card.Image != nil {
			set(e, "image_url", card.Image.URL)
		}
		var buttons []object
		for _, b := range card.Buttons {
			switch {
			case b.URL != "":
				buttons = append(buttons, object{"type": "url", "caption": b.Title, "url": b.URL})
			case b.Phone != "":
				buttons = append(buttons, object{"type": "call", "caption": b.Title, "phone": b.Phone})
			default: // a button that answers needs a node, which the API cannot reach
				return call{}, refusal(failure.Unsupported, failure.Plugin, "UChat's API takes buttons with a link or a telephone number only")
			}
		}
		if len(buttons) > maxButtons {
			return call{}, refusal(failure.InvalidRequest, failure.Plugin, "a card takes up to three buttons")
		}
		if buttons != nil {
			e["buttons"] = buttons
		}
		elements[i] = e
	}
	return dynamic(m, object{"type": "cards", "elements": elements, "image_aspect_ratio": "horizontal"}), nil
}

func set(o object, key, value string) {
	if value != "" {
		o[key] = value
	}
}
