package conversation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/tenant"
)

// ErrContent says that a message of that content cannot be sent on its channel.
var ErrContent = fault.New(fault.Invalid, "message.content", "The channel cannot carry this message as it is.")

// Saying is what a message is to say: exactly one of its members.
type Saying struct {
	Text        *Words       `json:"text,omitempty"`
	Template    *Template    `json:"template,omitempty"`
	Interactive *Interactive `json:"interactive,omitempty"`
	Cards       *Cards       `json:"cards,omitempty"`
	Location    *Location    `json:"location,omitempty"`
	Contacts    *People      `json:"contacts,omitempty"`
	Reaction    *Reacting    `json:"reaction,omitempty"`
}

// Words is plain text.
type Words struct {
	Body         string `json:"body" minLength:"1" maxLength:"4096"`
	PreviewLinks bool   `json:"preview_links,omitempty"`
}

// People shares people.
type People struct {
	Cards []Card `json:"cards" minItems:"1" maxItems:"20"`
}

// Reacting puts an emoji on a message of the conversation, or takes it away.
type Reacting struct {
	Message MessageID `json:"message" format:"uuid" doc:"A message of this conversation"`
	Emoji   string    `json:"emoji" maxLength:"32" doc:"Empty takes the reaction away"`
}

// Channel is what a plugin says that its provider takes.
type Channel struct {
	// Kinds of content by name: "text", "media", "template" and so on.
	Kinds []string
	// Limits by kind; those of choices are under "buttons" and "list".
	Limits map[string]Limit
}

// Limit bounds a kind of content. Zero values bound nothing.
type Limit struct {
	Items int
	Bytes uint64
	Types []string
	Chars map[string]int // by field
}

// Carries reports whether a channel has a kind of content.
func (c Channel) Carries(kind string) bool { return slices.Contains(c.Kinds, kind) }

// PluginOf names the plugin that carries a conversation.
func PluginOf(ctx context.Context, s tenant.Scope, i ID) (string, error) {
	var plugins []string
	err := s.Query(ctx, &plugins, `
		select n.plugin from crm.conversations v
		join crm.accounts a on a.tenant_id = v.tenant_id and a.id = v.account_id
		join crm.installations n on n.tenant_id = a.tenant_id and n.id = a.installation_id
		where v.tenant_id = $1 and v.id = $2`, s.Tenant(), i)
	if err != nil {
		return "", fmt.Errorf("find the plugin of conversation %s: %w", i, err)
	}
	if len(plugins) == 0 {
		return "", ErrNotFound
	}
	return plugins[0], nil
}

// kinds are the members that are set, by name.
func (w *Saying) kinds() []string {
	set := map[string]bool{
		"text": w.Text != nil, "template": w.Template != nil, "interactive": w.Interactive != nil, "cards": w.Cards != nil,
		"location": w.Location != nil, "contacts": w.Contacts != nil, "reaction": w.Reaction != nil,
	}
	maps.DeleteFunc(set, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(set))
}

// kind is the name of what is said; empty if that is not exactly one thing.
func (w *Saying) kind() string {
	if list := w.kinds(); len(list) == 1 {
		return list[0]
	}
	return ""
}

// fallback is the text in place of a content that a channel does not have.
func (w *Saying) fallback() string {
	switch {
	case w.Cards != nil:
		return w.Cards.Fallback
	case w.Interactive != nil:
		return w.Interactive.Fallback
	}
	return ""
}

// check finds everything about a content that its channel refuses. What has
// words to take its place may be of any kind.
func (w *Saying) check(c Channel) error {
	kind := w.kind()
	if kind == "" {
		return ErrContent.At("/content", "must have exactly one member")
	}
	f := &findings{at: "/content/" + kind}
	switch {
	case c.Carries(kind):
		w.measure(f, c)
	case w.fallback() == "":
		f.add("", "is not a kind of message that this channel has")
	default:
		f.measure("/fallback", w.fallback(), c.Limits["text"].Chars["body"])
	}
	return f.fault()
}

// fill writes what is said into a message. Whom a reaction is for is known later.
func (w *Saying) fill(m *Message) {
	m.Type, m.Content = w.kind(), &Content{}
	switch {
	case w.Text != nil:
		m.Text, m.Content.PreviewLinks = strings.TrimSpace(w.Text.Body), w.Text.PreviewLinks
	case w.Interactive != nil:
		m.Text, m.Content.Interactive = w.Interactive.Body, w.Interactive
	case w.Cards != nil:
		m.Text, m.Content.Cards = w.Cards.Fallback, w.Cards
	case w.Template != nil:
		m.Content.Template = w.Template
	case w.Location != nil:
		m.Text, m.Content.Location = strings.TrimSpace(w.Location.Name+" "+w.Location.Address), w.Location
	case w.Contacts != nil:
		m.Content.Contacts = w.Contacts.Cards
		names := make([]string, len(w.Contacts.Cards))
		for n, c := range w.Contacts.Cards {
			names[n] = c.Name
		}
		m.Text = strings.Join(names, ", ")
	case w.Reaction != nil:
		m.Text = w.Reaction.Emoji
	}
}

// measure compares what is said with the channel's limits.
func (w *Saying) measure(f *findings, c Channel) {
	switch {
	case w.Text != nil:
		f.measure("/body", w.Text.Body, c.Limits["text"].Chars["body"])
		f.wants(strings.TrimSpace(w.Text.Body) != "", "/body", "must not be blank")
	case w.Interactive != nil:
		w.Interactive.measure(f, c)
	case w.Cards != nil:
		l := c.Limits["cards"]
		f.count("/items", len(w.Cards.Items), l.Items)
		for n, t := range w.Cards.Items {
			at := fmt.Sprintf("/items/%d", n)
			f.measure(at+"/title", t.Title, l.Chars["title"])
			f.measure(at+"/subtitle", t.Subtitle, l.Chars["subtitle"])
			f.buttons(at+"/buttons", t.Buttons, c.Limits["buttons"])
		}
	case w.Template != nil:
		l := c.Limits["template"]
		for n, p := range w.Template.Params {
			at := fmt.Sprintf("/params/%d", n)
			f.measure(at+"/text", p.Text, l.Chars["text"])
			f.wants(p.Component == "button" || p.SubType == "", at+"/sub_type", "is only of buttons")
			f.wants(p.Component != "button" || p.SubType != "", at+"/sub_type", "is required of buttons")
			f.wants(p.Location == nil || p.Component == "header", at+"/location", "is only of headers")
		}
	case w.Contacts != nil:
		f.count("/cards", len(w.Contacts.Cards), c.Limits["contacts"].Items)
	}
}

func (i *Interactive) measure(f *findings, c Channel) {
	l := c.Limits["buttons"]
	if len(i.Sections) > 0 {
		l = c.Limits["list"]
	}
	f.wants((len(i.Buttons) > 0) != (len(i.Sections) > 0), "", "must have either buttons or sections")
	f.measure("/header", i.Header, l.Chars["header"])
	f.measure("/body", i.Body, l.Chars["body"])
	f.measure("/footer", i.Footer, l.Chars["footer"])
	if len(i.Sections) == 0 {
		f.buttons("/buttons", i.Buttons, l)
		return
	}
	f.wants(i.ListLabel != "", "/list_label", "is required of a list")
	f.measure("/list_label", i.ListLabel, l.Chars["list_label"])
	rows, ids := 0, map[string]bool{}
	for n, s := range i.Sections {
		at := fmt.Sprintf("/sections/%d", n)
		f.wants(s.Title != "" || len(i.Sections) == 1, at+"/title", "is required where there are several sections")
		f.measure(at+"/title", s.Title, l.Chars["section"])
		for m, r := range s.Rows {
			at := fmt.Sprintf("%s/rows/%d", at, m)
			f.wants(!ids[r.ID], at+"/id", "is taken by another row")
			ids[r.ID] = true
			f.measure(at+"/id", r.ID, l.Chars["id"])
			f.measure(at+"/title", r.Title, l.Chars["title"])
			f.measure(at+"/description", r.Description, l.Chars["description"])
			rows++
		}
	}
	f.count("/sections", rows, l.Items)
}

// findings are what is wrong below a place in the body.
type findings struct {
	at    string
	found *fault.Error
}

func (f *findings) add(pointer, words string) {
	if f.found == nil {
		f.found = ErrContent
	}
	f.found = f.found.At(f.at+pointer, words)
}

func (f *findings) wants(ok bool, pointer, words string) {
	if !ok {
		f.add(pointer, words)
	}
}

func (f *findings) measure(pointer, text string, limit int) {
	f.wants(limit == 0 || utf8.RuneCountInString(text) <= limit, pointer, fmt.Sprintf("must have at most %d characters", limit))
}

func (f *findings) count(pointer string, n, limit int) {
	f.wants(limit == 0 || n <= limit, pointer, fmt.Sprintf("must have at most %d choices in all", limit))
}

func (f *findings) buttons(pointer string, list []Button, l Limit) {
	f.count(pointer, len(list), l.Items)
	titles := map[string]bool{}
	for n, b := range list {
		at := fmt.Sprintf("%s/%d", pointer, n)
		f.measure(at+"/title", b.Title, l.Chars["title"])
		f.measure(at+"/id", b.ID, l.Chars["id"])
		f.wants(!titles[b.Title], at+"/title", "is taken by another button")
		titles[b.Title] = true
	}
}

func (f *findings) fault() error {
	if f.found == nil {
		return nil
	}
	return f.found
}
