package conversation

import (
	"encoding/json"
	"strings"

	"github.com/stratohub/strato/core/internal/lead"
)

// previewRunes bounds how much of a message the list of conversations shows.
const previewRunes = 160

// Content is what a message says besides its text. The message's type tells
// which member is set; a plain text has none.
type Content struct {
	Media       *Media         `json:"media,omitempty"`
	Location    *Location      `json:"location,omitempty"`
	Contacts    []Card         `json:"contacts,omitempty"`
	Selection   *Selection     `json:"selection,omitempty"`
	Reaction    *Reaction      `json:"reaction,omitempty"`
	Unsupported *Unsupported   `json:"unsupported,omitempty"`
	Referral    *lead.Referral `json:"referral,omitempty" doc:"The advertisement the person came from"`
	Forwarded   bool           `json:"forwarded,omitempty"`
}

// Media is a file.
type Media struct {
	Kind       string `json:"kind" enum:"image,video,audio,voice,document,sticker"`
	ProviderID string `json:"provider_id,omitempty"`
	URL        string `json:"url,omitempty"`
	MIMEType   string `json:"mime_type,omitempty"`
	FileName   string `json:"file_name,omitempty"`
	Size       uint64 `json:"size,omitempty" doc:"Bytes; absent: unknown"`
	SHA256     string `json:"sha256,omitempty" doc:"Lower-case hex"`
	Transcript string `json:"transcript,omitempty"`
}

// Location is a point on the map, in WGS 84 degrees.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

// Card is a person's card shared in the conversation.
type Card struct {
	Name         string   `json:"name"`
	Phones       []string `json:"phones,omitempty"`
	Emails       []string `json:"emails,omitempty"`
	Organization string   `json:"organization,omitempty"`
}

// Selection is an answer to buttons, a list or a form.
type Selection struct {
	Kind        string          `json:"kind" enum:"button,list,template_button,form"`
	ID          string          `json:"id,omitempty"`
	Title       string          `json:"title,omitempty"`
	Description string          `json:"description,omitempty"`
	Answers     json.RawMessage `json:"answers,omitempty" doc:"Answers of a form, an object"`
}

// Reaction is an emoji on a message; an empty Emoji removes it.
type Reaction struct {
	TargetID string `json:"target_id" doc:"The provider's id of the message"`
	Emoji    string `json:"emoji"`
}

// Unsupported is a message of a kind that cannot be shown, kept as it came.
type Unsupported struct {
	ProviderType string          `json:"provider_type,omitempty"`
	Detail       string          `json:"detail,omitempty"`
	Raw          json.RawMessage `json:"raw,omitempty"`
}

// preview is how a message is shown in one line: its text, or a sign for its
// type that the dashboard puts into words.
func preview(kind, text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return "[" + kind + "]"
	}
	if r := []rune(text); len(r) > previewRunes {
		return string(r[:previewRunes-1]) + "…"
	}
	return text
}
