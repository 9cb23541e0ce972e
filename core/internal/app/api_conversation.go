package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/conversation"
	"github.com/stratohub/strato/core/internal/fault"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/rbac"
	"github.com/stratohub/strato/core/internal/rest"
	"github.com/stratohub/strato/core/internal/tenant"
)

// byTime is the place in a list that is ordered by a time, then by id.
type byTime struct {
	At time.Time `json:"t"`
	ID uuid.UUID `json:"i"`
}

// timeKey is where the page asked for begins; nil for the first. A cursor that
// somebody made up may hold a time that PostgreSQL cannot.
func timeKey(q rest.PageQuery) (*byTime, error) {
	k, err := rest.Key[byTime](q)
	if err != nil || k == nil {
		return nil, err
	}
	if year := k.At.UTC().Year(); year < 1 || year > 9999 {
		return nil, rest.ErrCursor.In(fault.Query, "/after", "is not the next of a page of this list")
	}
	return k, nil
}

type conversationList struct {
	rest.PageQuery
	Lead     lead.ID             `query:"lead" format:"uuid" doc:"Only conversations of this lead."`
	Contact  contact.ID          `query:"contact" format:"uuid" doc:"Only conversations with this contact."`
	Status   conversation.Status `query:"status" enum:"open,pending,closed" doc:"Only conversations of this status."`
	Assignee uuid.UUID           `query:"assignee" format:"uuid" doc:"Only conversations of this agent."`
}

func listConversations(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *conversationList) (rest.Page[conversation.View], error) {
	f := conversation.Filter{LeadID: in.Lead, ContactID: in.Contact, Status: in.Status, AssigneeID: in.Assignee, Limit: in.Fetch()}
	k, err := timeKey(in.PageQuery)
	if err != nil {
		return rest.Page[conversation.View]{}, err
	}
	if k != nil {
		f.BeforeAt, f.BeforeID = k.At, id.From[conversation.Conversation](k.ID)
	}
	rows, err := conversation.List(ctx, s, f)
	return rest.NewPage(in.PageQuery, rows, func(v conversation.View) byTime { return byTime{v.LastMessageAt, v.ID.UUID} }), err
}

// ConversationPath names a conversation.
type ConversationPath struct {
	ID conversation.ID `path:"id" format:"uuid"`
}

func getConversation(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *ConversationPath) (*conversation.View, error) {
	return conversation.Get(ctx, s, in.ID)
}

type messageList struct {
	ConversationPath
	rest.PageQuery
}

func listMessages(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *messageList) (rest.Page[conversation.Message], error) {
	var at time.Time
	var from conversation.MessageID
	k, err := timeKey(in.PageQuery)
	if err != nil {
		return rest.Page[conversation.Message]{}, err
	}
	if k != nil {
		at, from = k.At, id.From[conversation.Message](k.ID)
	}
	rows, err := conversation.Messages(ctx, s, in.ID, at, from, in.Fetch())
	return rest.NewPage(in.PageQuery, rows, func(m conversation.Message) byTime { return byTime{m.OccurredAt, m.ID.UUID} }), err
}

type messageDraft struct {
	ConversationPath
	Body struct {
		Text    string                 `json:"text,omitempty" required:"false" minLength:"1" maxLength:"4096" doc:"What to say, where that is plain text." example:"¡Hola! ¿Querés verlo mañana a las 18?"`
		Content *conversation.Saying   `json:"content,omitempty" required:"false" doc:"What to say, in place of text: exactly one member, by the kind of content."`
		ReplyTo conversation.MessageID `json:"reply_to,omitzero" required:"false" format:"uuid" doc:"The message it answers, of the same conversation."`
		Hints   map[string]string      `json:"hints,omitempty" required:"false" maxProperties:"20" doc:"What only the channel's plugin understands, by its own names."`
	}
}

// maxHint is the longest name or value of a hint, in bytes.
const maxHint = 1024

func (p *plugins) sendMessage(ctx context.Context, s tenant.Scope, a rbac.Actor, in *messageDraft) (*conversation.Message, error) {
	b := in.Body
	if b.Text != "" && b.Content != nil {
		return nil, conversation.ErrContent.At("/content", "must not come together with text")
	}
	for name, value := range b.Hints {
		if name == "" || len(name) > maxHint || len(value) > maxHint {
			return nil, conversation.ErrContent.At("/hints", "must have names and values of at most 1024 bytes")
		}
	}
	d := conversation.Draft{
		Conversation: in.ID, Text: b.Text, Saying: b.Content, ReplyTo: b.ReplyTo, Hints: b.Hints, Author: conversation.ByUser, AuthorID: a.User.UUID,
	}
	if b.Content != nil {
		plugin, err := conversation.PluginOf(ctx, s, in.ID)
		if err != nil {
			return nil, err
		}
		d.Channel = p.channel(plugin)
	}
	return conversation.Send(ctx, s, d)
}

// channel is what a plugin can carry. One whose manifest cannot be read now
// carries texts, as all do.
func (p *plugins) channel(plugin string) conversation.Channel {
	release, err := p.registry.Known(plugin)
	if err != nil {
		return conversation.Channel{Kinds: []string{"text"}}
	}
	c := conversation.Channel{Kinds: release.Manifest.ContentKinds, Limits: map[string]conversation.Limit{}}
	for kind, l := range release.Manifest.ContentLimits {
		c.Limits[kind] = conversation.Limit{Items: l.MaxItems, Bytes: l.MaxBytes, Types: l.MIMETypes, Chars: l.MaxChars}
	}
	return c
}

// MessagePath names a message of a conversation.
type MessagePath struct {
	ConversationPath
	Message conversation.MessageID `path:"message" format:"uuid"`
}

func resendMessage(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *MessagePath) (*conversation.Message, error) {
	return conversation.Resend(ctx, s, in.ID, in.Message)
}

type holderInput struct {
	ConversationPath
	Body struct {
		Holder conversation.Holder `json:"holder" enum:"bot,human" doc:"human: I take it. bot: the assistant goes on."`
	}
}

func setHolder(ctx context.Context, s tenant.Scope, a rbac.Actor, in *holderInput) (*conversation.Conversation, error) {
	if in.Body.Holder == conversation.HeldByBot {
		return conversation.HandBack(ctx, s, in.ID, a.User.UUID)
	}
	return conversation.TakeOver(ctx, s, in.ID, a.User.UUID)
}

func markRead(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *ConversationPath) (*conversation.Conversation, error) {
	return conversation.MarkRead(ctx, s, in.ID)
}

func typing(ctx context.Context, s tenant.Scope, _ rbac.Actor, in *ConversationPath) (rest.Empty, error) {
	return rest.Empty{}, conversation.Typing(ctx, s, in.ID)
}
