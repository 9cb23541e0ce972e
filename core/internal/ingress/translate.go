package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/pluginhost"
	"github.com/stratohub/strato/core/internal/tenant"
	"github.com/stratohub/strato/sdk/pluginv1"
)

// accountOf is the account an event belongs to: its main routing key, or the
// installation itself for providers that have one account only.
func accountOf(e received) installation.AccountKey {
	k := installation.AccountKey{Installation: id.From[installation.Installation](e.row.InstallationID), Kind: "installation", Value: "main"}
	if keys := e.event.GetRouteKeys(); len(keys) > 0 {
		k.Kind, k.Value = keys[0].GetKind(), keys[0].GetValue()
	}
	return k
}

// numberMax is the most characters that a number in a document may have.
const numberMax = 400

// coarse is how late a webhook may be for its arrival to be the better time.
const coarse = 2 * time.Second

// when is the provider's time of an event, or that of its arrival: where the
// provider gave none, or one in the future, which would stay on top of every
// list; and where it counts in whole seconds and the webhook came at once, so
// that an answer within the same second does not stand before its question.
func when(e received) time.Time {
	at := e.row.ReceivedAt
	if t := e.event.GetOccurredAt(); t.IsValid() && t.AsTime().Unix() > 0 && t.AsTime().Before(at.Add(time.Minute)) {
		if whole := t.GetNanos() == 0; !whole || at.Sub(t.AsTime()) >= coarse {
			at = t.AsTime()
		}
	}
	return at.UTC().Truncate(time.Microsecond)
}

func inbound(e received, m *pluginv1.InboundMessage) conversation.Incoming {
	in := incoming(e, m.GetProviderMessageId(), m.GetFrom(), m.GetContent(), m.GetReplyToMessageId())
	if w := m.GetWindowExpiresAt(); w.IsValid() && w.AsTime().Unix() > 0 {
		in.WindowExpiresAt = w.AsTime().UTC()
	}
	if r := m.GetReferral(); r != nil {
		in.Referral = &lead.Referral{
			SourceType: clean(r.GetSourceType()), SourceID: clean(r.GetSourceId()), SourceURL: clean(r.GetSourceUrl()), Headline: clean(r.GetHeadline()),
			Body: clean(r.GetBody()), ClickID: clean(r.GetClickId()), MediaURL: clean(r.GetMediaUrl()),
		}
		in.content().Referral = in.Referral
	}
	if m.GetForwarded() {
		in.content().Forwarded = true
	}
	return in.Incoming
}

func echo(e received, m *pluginv1.MessageEcho) conversation.Incoming {
	in := incoming(e, m.GetProviderMessageId(), m.GetTo(), m.GetContent(), m.GetReplyToMessageId())
	in.Echo = true
	return in.Incoming
}

// drafted is an incoming message being put together.
type drafted struct{ conversation.Incoming }

func (d *drafted) content() *conversation.Content {
	if d.Content == nil {
		d.Content = &conversation.Content{}
	}
	return d.Content
}

func incoming(e received, external string, party *pluginv1.Party, content *pluginv1.Content, replyTo string) *drafted {
	if external == "" {
		external = e.event.GetDedupeKey()
	}
	d := &drafted{conversation.Incoming{
		Account: accountOf(e), Channel: e.row.Plugin, ExternalID: clean(external), ReplyTo: clean(replyTo), OccurredAt: when(e), ReceivedAt: e.row.ReceivedAt,
		Party: contact.Party{Name: clean(party.GetDisplayName())},
	}}
	d.Party.Addresses = addresses(party.GetAddresses())
	d.say(content)
	return d
}

// say puts a provider's content into the conversation's words.
func (d *drafted) say(c *pluginv1.Content) {
	switch k := c.GetKind().(type) {
	case *pluginv1.Content_Text:
		d.Type, d.Text = "text", clean(k.Text.GetBody())
	case *pluginv1.Content_Media:
		d.Type, d.Text, d.content().Media = clean(k.Media.GetKind()), clean(k.Media.GetCaption()), media(k.Media)
	case *pluginv1.Content_Location:
		l := k.Location
		d.Type, d.Text = "location", strings.TrimSpace(clean(l.GetName()+" "+l.GetAddress()))
		d.content().Location = &conversation.Location{Latitude: l.GetLatitude(), Longitude: l.GetLongitude(), Name: clean(l.GetName()), Address: clean(l.GetAddress())}
	case *pluginv1.Content_Contacts:
		d.Type = "contacts"
		for _, p := range k.Contacts.GetCards() {
			d.content().Contacts = append(d.content().Contacts, conversation.Card{
				Name: clean(p.GetName()), Phones: cleanAll(p.GetPhones()), Emails: cleanAll(p.GetEmails()), Organization: clean(p.GetOrganization()),
			})
			d.Text = strings.TrimPrefix(d.Text+", "+clean(p.GetName()), ", ")
		}
	case *pluginv1.Content_Reaction:
		d.Type, d.Text = "reaction", clean(k.Reaction.GetEmoji())
		d.content().Reaction = &conversation.Reaction{TargetID: clean(k.Reaction.GetTargetMessageId()), Emoji: clean(k.Reaction.GetEmoji())}
	case *pluginv1.Content_Selection:
		s := k.Selection
		d.Type, d.Text = "selection", clean(s.GetTitle())
		d.content().Selection = &conversation.Selection{
			Kind: clean(s.GetKind()), ID: clean(s.GetId()), Title: clean(s.GetTitle()), Description: clean(s.GetDescription()), Answers: document(s.GetAnswersJson()),
		}
	case *pluginv1.Content_Template:
		d.Type = "template"
		d.content().Template = &conversation.Template{Name: clean(k.Template.GetName()), Language: clean(k.Template.GetLanguage())}
	case *pluginv1.Content_Interactive:
		d.Type, d.Text = "interactive", clean(k.Interactive.GetBody())
		d.content().Interactive = choices(k.Interactive)
	case *pluginv1.Content_Cards:
		d.Type, d.Text = "cards", clean(k.Cards.GetFallbackText())
		d.content().Cards = &conversation.Cards{Fallback: d.Text, Items: []conversation.Tile{}}
		for _, c := range k.Cards.GetCards() {
			d.Content.Cards.Items = append(d.Content.Cards.Items, conversation.Tile{
				Title: clean(c.GetTitle()), Subtitle: clean(c.GetSubtitle()), ImageURL: clean(c.GetImage().GetUrl()), Buttons: buttons(c.GetButtons()),
			})
		}
	case *pluginv1.Content_Unsupported:
		u := k.Unsupported
		d.Type = "unsupported"
		d.content().Unsupported = &conversation.Unsupported{ProviderType: clean(u.GetProviderType()), Detail: clean(u.GetDetail()), Raw: document(u.GetRaw())}
	default:
		d.Type = "unsupported"
		d.content().Unsupported = &conversation.Unsupported{Detail: "the plugin gave no content that this version knows"}
	}
}

func choices(i *pluginv1.Interactive) *conversation.Interactive {
	out := &conversation.Interactive{
		Header: clean(i.GetHeader()), Body: clean(i.GetBody()), Footer: clean(i.GetFooter()), ListLabel: clean(i.GetListLabel()), Buttons: buttons(i.GetButtons()),
	}
	for _, s := range i.GetSections() {
		section := conversation.Section{Title: clean(s.GetTitle()), Rows: []conversation.Row{}}
		for _, r := range s.GetRows() {
			section.Rows = append(section.Rows, conversation.Row{ID: clean(r.GetId()), Title: clean(r.GetTitle()), Description: clean(r.GetDescription())})
		}
		out.Sections = append(out.Sections, section)
	}
	return out
}

func buttons(list []*pluginv1.Button) []conversation.Button {
	var out []conversation.Button
	for _, b := range list {
		out = append(out, conversation.Button{
			ID: clean(b.GetId()), Title: clean(b.GetTitle()), Payload: clean(b.GetReplyPayload()), URL: clean(b.GetUrl()), Phone: clean(b.GetPhone()), Flow: clean(b.GetFlowId()),
		})
	}
	return out
}

func media(m *pluginv1.Media) *conversation.Media {
	r := m.GetRef()
	return &conversation.Media{
		Kind: clean(m.GetKind()), ProviderID: clean(r.GetProviderMediaId()), URL: clean(r.GetUrl()), MIMEType: clean(r.GetMimeType()),
		FileName: clean(r.GetFileName()), Size: r.GetSizeBytes(), SHA256: clean(r.GetSha256()), Transcript: clean(m.GetTranscript()),
	}
}

// tick is a delivery update in the conversation's words; false for a state that
// says nothing new.
func tick(e received, d *pluginv1.DeliveryUpdate) (conversation.Update, bool) {
	u := conversation.Update{Account: accountOf(e), ExternalID: clean(d.GetProviderMessageId()), OccurredAt: when(e)}
	if i, err := uuid.Parse(d.GetIdempotencyKey()); err == nil {
		u.MessageID = id.From[conversation.Message](i)
	}
	switch d.GetState() {
	case pluginv1.DeliveryState_DELIVERY_STATE_ACCEPTED, pluginv1.DeliveryState_DELIVERY_STATE_SENT:
		u.Status = conversation.Sent
	case pluginv1.DeliveryState_DELIVERY_STATE_DELIVERED:
		u.Status = conversation.Delivered
	case pluginv1.DeliveryState_DELIVERY_STATE_READ, pluginv1.DeliveryState_DELIVERY_STATE_PLAYED:
		u.Status = conversation.Read
	case pluginv1.DeliveryState_DELIVERY_STATE_FAILED:
		u.Status = conversation.Failed
		u.FailureCode, u.FailureDetail = pluginhost.CodeName(d.GetFailure()), clean(d.GetFailure().GetMessage())
		u.ProviderCode = clean(d.GetFailure().GetProviderCode())
	default:
		return u, false
	}
	return u, u.ExternalID != ""
}

// partiesOf are the people of an event that is neither a message nor a tick.
func partiesOf(e received) []contact.Party {
	switch p := e.event.GetPayload().(type) {
	case *pluginv1.Event_Contact:
		return []contact.Party{
			{Addresses: addresses(p.Contact.GetPreviousAddresses())}, {Addresses: addresses(p.Contact.GetContact().GetAddresses())},
		}
	case *pluginv1.Event_Consent:
		return []contact.Party{{Addresses: addresses(p.Consent.GetContact().GetAddresses())}}
	}
	return nil
}

// applyOther takes the events that are neither messages nor ticks. What no
// domain has a use for stays in the inbox, where it came.
func applyOther(ctx context.Context, s tenant.Scope, e received) error {
	people := partiesOf(e)
	happened := event.Event{ID: eventID(e), OccurredAt: when(e)}
	switch p := e.event.GetPayload().(type) {
	case *pluginv1.Event_Contact:
		if len(people[0].Addresses) == 0 {
			return nil
		}
		owner, err := contact.Link(ctx, s, people[0].Addresses, people[1].Addresses)
		if err != nil || owner.IsZero() {
			return err
		}
		happened.Type, happened.ContactID, happened.Actor = event.IdentityChanged, owner.UUID, event.ByProvider
	case *pluginv1.Event_Consent:
		found, err := contact.Identify(ctx, s, people)
		if err != nil {
			return err
		}
		happened.Type, happened.ContactID = event.ConsentChanged, found[0].ID.UUID
		happened.Actor, happened.ActorID = event.ByContact, found[0].ID.UUID
		happened.Payload = event.Payload(map[string]any{"opted_in": p.Consent.GetOptedIn(), "scope": clean(p.Consent.GetScope()), "plugin": e.row.Plugin})
	default:
		return nil
	}
	return event.AppendOnce(ctx, s, happened)
}

// eventID is the same however often the provider tells of the event.
func eventID(e received) event.ID {
	at := e.row.ReceivedAt
	if t := e.event.GetOccurredAt(); t.IsValid() && t.AsTime().Unix() > 0 {
		at = t.AsTime()
	}
	return event.IDFor(at, e.row.InstallationID.String()+" "+e.event.GetDedupeKey())
}

// addresses leaves out those that say nothing: an empty one would be everybody's.
func addresses(list []*pluginv1.Address) []contact.Address {
	var out []contact.Address
	for _, a := range list {
		if value := strings.TrimSpace(clean(a.GetValue())); value != "" {
			out = append(out, contact.Address{Kind: clean(a.GetKind()), Value: value})
		}
	}
	return out
}

// clean makes text storable: PostgreSQL takes neither NUL nor broken UTF-8, and
// one character must not lose a message.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for n, s := range list {
		out[n] = clean(s)
	}
	return out
}

// document is raw as jsonb can hold it, or nil if it is not JSON: NUL and half
// surrogates are replaced as in text, and numbers beyond all measure are kept as
// strings. The bytes as they came stay in the inbox.
func document(raw []byte) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // ids have more digits than a float keeps
	var v any
	if !json.Valid(raw) || d.Decode(&v) != nil {
		return nil
	}
	out, err := json.Marshal(storable(v))
	if err != nil {
		return nil
	}
	return out
}

// storable replaces in what was decoded from JSON all that jsonb refuses.
func storable(v any) any {
	switch v := v.(type) {
	case string:
		return clean(v)
	case json.Number:
		if f, err := v.Float64(); err != nil || len(v) > numberMax || f == 0 && strings.ContainsAny(string(v), "123456789") {
			return string(v)
		}
	case []any:
		for n := range v {
			v[n] = storable(v[n])
		}
	case map[string]any:
		for _, k := range slices.Collect(maps.Keys(v)) {
			one := storable(v[k])
			delete(v, k)
			v[clean(k)] = one
		}
	}
	return v
}
