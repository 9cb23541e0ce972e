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
	Template    *Template      `json:"template,omitempty"`
	Interactive *Interactive   `json:"interactive,omitempty"`
	Cards       *Cards         `json:"cards,omitempty"`
	Unsupported *Unsupported   `json:"unsupported,omitempty"`
	Referral    *lead.Referral `json:"referral,omitempty" doc:"The advertisement the person came from"`
	Forwarded   bool           `json:"forwarded,omitempty"`
	// PreviewLinks is of texts that we send.
	PreviewLinks bool              `json:"preview_links,omitempty"`
	Hints        map[string]string `json:"hints,omitempty" doc:"What only the plugin understands, by its own names"`
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
	Latitude  float64 `json:"latitude" minimum:"-90" maximum:"90"`
	Longitude float64 `json:"longitude" minimum:"-180" maximum:"180"`
	Name      string  `json:"name,omitempty" maxLength:"256"`
	Address   string  `json:"address,omitempty" maxLength:"1000"`
}

// Card is a person's card shared in the conversation.
type Card struct {
	Name         string   `json:"name" minLength:"1" maxLength:"256"`
	Phones       []string `json:"phones,omitempty" maxItems:"10"`
	Emails       []string `json:"emails,omitempty" maxItems:"10"`
	Organization string   `json:"organization,omitempty" maxLength:"256"`
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

// Template is one that the provider approved, with what fills its variables.
type Template struct {
	Name     string          `json:"name" minLength:"1" maxLength:"512" example:"recordatorio_visita"`
	Language string          `json:"language" minLength:"2" maxLength:"20" doc:"As the provider writes it" example:"es_AR"`
	Params   []TemplateParam `json:"params,omitempty" maxItems:"60"`
}

// TemplateParam fills one variable by Text, Payload or Location.
type TemplateParam struct {
	Component string    `json:"component" enum:"header,body,button"`
	Index     int       `json:"index,omitempty" minimum:"0" maximum:"60" doc:"Counts the component's variables, or the buttons, from 0"`
	Name      string    `json:"name,omitempty" maxLength:"100" doc:"Of a named variable"`
	SubType   string    `json:"sub_type,omitempty" enum:"quick_reply,url,copy_code,flow,catalog" doc:"Of buttons"`
	Text      string    `json:"text,omitempty" maxLength:"1024"`
	Payload   string    `json:"payload,omitempty" maxLength:"1024" doc:"What a button sends back"`
	Location  *Location `json:"location,omitempty" doc:"A header's place"`
}

// Button is offered to the reader; at most one of Payload, URL, Phone and Flow
// is set.
type Button struct {
	ID      string `json:"id,omitempty" maxLength:"256" doc:"Comes back with the choice"`
	Title   string `json:"title" minLength:"1" maxLength:"256"`
	Payload string `json:"payload,omitempty" maxLength:"1024"`
	URL     string `json:"url,omitempty" maxLength:"2000"`
	Phone   string `json:"phone,omitempty" maxLength:"30"`
	Flow    string `json:"flow,omitempty" maxLength:"256" doc:"A form of the provider's"`
}

// Interactive asks the reader to choose, by buttons or from a list.
type Interactive struct {
	Header    string    `json:"header,omitempty" maxLength:"1024"`
	Body      string    `json:"body" minLength:"1" maxLength:"4096"`
	Footer    string    `json:"footer,omitempty" maxLength:"1024"`
	Buttons   []Button  `json:"buttons,omitempty" maxItems:"20"`
	ListLabel string    `json:"list_label,omitempty" maxLength:"256" doc:"On the button that opens the list"`
	Sections  []Section `json:"sections,omitempty" maxItems:"20"`
	Fallback  string    `json:"fallback,omitempty" maxLength:"4096" doc:"Sent where the channel has no choices"`
}

// Section groups choices of a list.
type Section struct {
	Title string `json:"title,omitempty" maxLength:"256"`
	Rows  []Row  `json:"rows" minItems:"1" maxItems:"50"`
}

// Row is one choice of a list.
type Row struct {
	ID          string `json:"id" minLength:"1" maxLength:"256" doc:"Comes back with the choice"`
	Title       string `json:"title" minLength:"1" maxLength:"256"`
	Description string `json:"description,omitempty" maxLength:"256"`
}

// Cards is a row of pictures with words and buttons.
type Cards struct {
	Items    []Tile `json:"items" minItems:"1" maxItems:"20"`
	Fallback string `json:"fallback,omitempty" maxLength:"4096" doc:"Sent where the channel has no cards"`
}

// Tile is one of [Cards].
type Tile struct {
	Title    string   `json:"title" minLength:"1" maxLength:"256"`
	Subtitle string   `json:"subtitle,omitempty" maxLength:"1024"`
	ImageURL string   `json:"image_url,omitempty" maxLength:"2000" format:"uri"`
	Buttons  []Button `json:"buttons,omitempty" maxItems:"10"`
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
