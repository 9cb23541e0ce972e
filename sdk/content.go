package sdk

// Content is what a message says: one of the types of this file.
type Content interface{ content() }

// Text is plain text, UTF-8.
type Text struct {
	Body         string
	PreviewLinks bool
}

// MediaKind says how a file is shown.
type MediaKind string

// The kinds of media. A Voice is audio recorded as a voice note.
const (
	MediaImage    MediaKind = "image"
	MediaVideo    MediaKind = "video"
	MediaAudio    MediaKind = "audio"
	MediaVoice    MediaKind = "voice"
	MediaDocument MediaKind = "document"
	MediaSticker  MediaKind = "sticker"
)

// MediaRef points at a file by exactly one of BlobID, URL and ProviderID.
// SHA256 is lower-case hex. Zero values mean unknown.
type MediaRef struct {
	BlobID, URL, ProviderID string
	MIMEType, FileName      string
	Size                    uint64
	SHA256                  string
}

// Media is a file in the conversation.
type Media struct {
	Kind    MediaKind
	Ref     MediaRef
	Caption string
	// Transcript is what a voice note says, when known.
	Transcript string
}

// TemplateParam fills one variable of a template by Text, Media, Payload or Location.
type TemplateParam struct {
	// Component is "header", "body" or "button".
	Component string
	// Index counts the component's variables, or the buttons, from 0.
	Index int
	// Name is that of a named variable.
	Name string
	// SubType is "quick_reply", "url", "copy_code", "flow" or "catalog", for buttons.
	SubType string
	Text    string
	Media   *MediaRef
	Payload string
	// Location fills a header that shows a place.
	Location *Location
}

// Template sends a template that the provider approved.
type Template struct {
	Name, Language string
	Params         []TemplateParam
}

// Button is offered to the reader; at most one of Payload, URL, Phone and Flow is set.
type Button struct {
	ID, Title                 string
	Payload, URL, Phone, Flow string
}

// Card is a picture with words and buttons.
type Card struct {
	Title, Subtitle string
	Image           *MediaRef
	Buttons         []Button
}

// Cards is a row of cards. Fallback is sent where the provider has none.
type Cards struct {
	Cards    []Card
	Fallback string
}

// ListRow is one choice of a list.
type ListRow struct{ ID, Title, Description string }

// ListSection groups choices.
type ListSection struct {
	Title string
	Rows  []ListRow
}

// Interactive asks the reader to choose, by Buttons or from Sections.
type Interactive struct {
	Header, Body, Footer string
	Buttons              []Button
	ListLabel            string
	Sections             []ListSection
	Fallback             string
}

// Location is a point on the map, in WGS 84 degrees.
type Location struct {
	Latitude, Longitude float64
	Name, Address       string
}

// Reaction is an emoji put on a message; an empty Emoji removes it.
type Reaction struct{ TargetID, Emoji string }

// ContactCard is a person's card.
type ContactCard struct {
	Name           string
	Phones, Emails []string
	Organization   string
}

// ContactCards shares people.
type ContactCards struct{ Cards []ContactCard }

// Selection is the reader's answer to buttons, a list or a form. Kind is
// "button", "list", "template_button" or "form"; Answers is a JSON object or nil.
type Selection struct {
	Kind, ID, Title, Description string
	Answers                      []byte
}

// Unsupported is a message of a kind that cannot be shown, kept as it came.
type Unsupported struct {
	ProviderType, Detail string
	Raw                  []byte
}

func (Text) content()         {}
func (Media) content()        {}
func (Template) content()     {}
func (Cards) content()        {}
func (Interactive) content()  {}
func (Location) content()     {}
func (Reaction) content()     {}
func (ContactCards) content() {}
func (Selection) content()    {}
func (Unsupported) content()  {}
