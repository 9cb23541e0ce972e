package simulator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The limits of a document.
const (
	maxDocumentMessages = 10
	maxQuickReplies     = 11
	maxActions          = 5
)

// line is a message of a document as a phone shows it.
type line struct{ kind, text string }

// document is dynamic content, version 2, that was found right.
type document struct {
	channel string
	lines   []line
	actions []map[string]any
}

// readDocument checks a document. The refusal, if any, has a code where the
// channel does not take the content.
func readDocument(raw any, f Faults) (document, string, int) {
	var d document
	root, _ := raw.(map[string]any)
	content, ok := root["content"].(map[string]any)
	if root["version"] != "v2" || !ok {
		return d, "The document must have version v2 and content.", 0
	}
	switch t := content["type"]; t {
	case nil:
		d.channel = "messenger"
	case "instagram", "whatsapp", "telegram":
		d.channel, _ = t.(string)
	default:
		return d, "content.type is not known.", 0
	}
	messages, isList := content["messages"].([]any)
	replies, _ := content["quick_replies"].([]any)
	actions, _ := content["actions"].([]any)
	switch {
	case !isList:
		return d, "content.messages must be a list.", 0
	case len(messages) > maxDocumentMessages:
		return d, "There can be 10 messages at most.", 0
	case len(replies) > maxQuickReplies:
		return d, "There can be 11 quick replies at most.", 0
	case len(actions) > maxActions:
		return d, "There can be 5 actions at most.", 0
	case len(replies) > 0 && d.channel == "whatsapp":
		return d, "Quick replies can't be sent through WhatsApp.", mediaCode(f)
	}
	for _, raw := range messages {
		m, _ := raw.(map[string]any)
		l, words, code := d.line(m, f)
		if words != "" {
			return d, words, code
		}
		d.lines = append(d.lines, l)
	}
	for _, raw := range actions {
		a, _ := raw.(map[string]any)
		if !slices.Contains([]any{"add_tag", "remove_tag", "set_field_value", "unset_field_value"}, a["action"]) {
			return d, "An action is not known.", 0
		}
		d.actions = append(d.actions, a)
	}
	return d, "", 0
}

func mediaCode(f Faults) int {
	if f.MediaCode != 0 {
		return f.MediaCode
	}
	return 3041
}

// line reads one message.
func (d document) line(m map[string]any, f Faults) (line, string, int) {
	kind, _ := m["type"].(string)
	text, _ := m["text"].(string)
	url, _ := m["url"].(string)
	out := line{kind: kind, text: text}
	switch kind {
	case "text":
		if strings.TrimSpace(text) == "" {
			return out, "A text cannot be blank.", 0
		}
	case "image", "video", "audio", "file":
		if !strings.HasPrefix(url, "https://") {
			return out, "url is invalid.", 0
		}
		out.text = url
		if d.channel == "whatsapp" && !f.WhatsAppMedia || d.channel == "instagram" && kind != "image" {
			return out, "Content can't be sent through this channel.", mediaCode(f)
		}
	case "cards":
		elements, _ := m["elements"].([]any)
		if len(elements) == 0 {
			return out, "Cards have no elements.", 0
		}
		if d.channel == "whatsapp" || d.channel == "telegram" {
			return out, "Cards can't be sent through this channel.", mediaCode(f)
		}
		var titles []string
		for _, raw := range elements {
			e, _ := raw.(map[string]any)
			title, _ := e["title"].(string)
			if title == "" {
				return out, "A card has no title.", 0
			}
			titles = append(titles, title)
		}
		out.text = strings.Join(titles, " | ")
	default:
		return out, fmt.Sprintf("The message type %q is not known.", kind), 0
	}
	buttons, words := readButtons(m["buttons"])
	if words != "" {
		return out, words, 0
	}
	for _, b := range buttons {
		out.text += " [" + b + "]"
	}
	return out, "", 0
}

func readButtons(raw any) ([]string, string) {
	list, _ := raw.([]any)
	var out []string
	for _, raw := range list {
		b, _ := raw.(map[string]any)
		caption, _ := b["caption"].(string)
		needs := map[string]string{"url": "url", "flow": "target", "node": "target", "call": "phone"}[fmt.Sprint(b["type"])]
		switch value, _ := b[needs].(string); {
		case caption == "":
			return nil, "A button has no caption."
		case needs == "" || value == "":
			return nil, "A button is invalid."
		case b["type"] == "node":
			return nil, "A node can be reached from a Dynamic Block only."
		}
		out = append(out, caption)
	}
	return out, ""
}

// readAnswer checks what a step was answered, as a Dynamic Block would.
func readAnswer(body []byte, f Faults) (document, string) {
	var raw any
	if json.Unmarshal(body, &raw) != nil {
		return document{}, "The answer is not JSON."
	}
	d, words, _ := readDocument(raw, f)
	if words == "" && len(d.lines) == 0 && f.RefuseEmptyBlock {
		words = "The answer has no messages."
	}
	return d, words
}
