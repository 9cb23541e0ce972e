package conversation

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/queue"
	"github.com/stratohub/strato/core/internal/tenant"
)

// Incoming is a message as a provider's webhook told of it.
type Incoming struct {
	Account    installation.AccountKey
	Channel    string // the plugin
	Party      contact.Party
	ExternalID string
	Type       string
	Text       string
	Content    *Content
	ReplyTo    string
	Referral   *lead.Referral
	OccurredAt time.Time
	// ReceivedAt is when the webhook came; zero is now. It orders messages of the
	// same time: providers tell whole seconds, and people write faster.
	ReceivedAt time.Time
	// WindowExpiresAt is until when free replies are allowed; zero for no limit.
	WindowExpiresAt time.Time
	// Echo says that the agency sent it by other means, such as the phone's app.
	Echo bool
}

// Followed asks what follows the messages that came in: greeting, routing.
type Followed struct {
	Tenant        tenant.ID `json:"tenant"`
	Conversations []ID      `json:"conversations"`
}

// Kind names the job.
func (Followed) Kind() string { return "conversation_followed" }

// Receive takes messages of one tenant that arrived together: for each the
// contact, the lead, the conversation, the message and the timeline, and one
// job for what follows. Messages that are there already change nothing, so it
// may be repeated. Messages of one person are taken one transaction after
// another, whoever runs it.
func Receive(ctx context.Context, s tenant.Scope, in []Incoming) error {
	if len(in) == 0 {
		return nil
	}
	parties := make([]contact.Party, len(in))
	for n, m := range in {
		parties[n] = m.Party
	}
	if err := contact.Lock(ctx, s, parties); err != nil {
		return err
	}
	accounts, err := installation.Accounts(ctx, s, accountKeys(in))
	if err != nil {
		return err
	}
	var echoes []external
	for _, m := range in {
		if m.Echo {
			echoes = append(echoes, external{accounts[m.Account], m.ExternalID})
		}
	}
	if err := meet(ctx, s, echoes); err != nil {
		return err
	}
	in, err = unknown(ctx, s, in, accounts)
	if err != nil || len(in) == 0 {
		return err
	}
	b, err := gather(ctx, s, in, accounts)
	if err != nil {
		return err
	}
	return b.save(ctx, s)
}

func accountKeys(in []Incoming) []installation.AccountKey {
	var keys []installation.AccountKey
	for _, m := range in {
		if !slices.Contains(keys, m.Account) {
			keys = append(keys, m.Account)
		}
	}
	return keys
}

// unknown leaves out messages that are stored already and repeats within in.
func unknown(ctx context.Context, s tenant.Scope, in []Incoming, accounts map[installation.AccountKey]installation.AccountID) ([]Incoming, error) {
	var ids []uuid.UUID
	var externals []string
	for _, m := range in {
		ids, externals = append(ids, accounts[m.Account].UUID), append(externals, m.ExternalID)
	}
	rows := []Message{}
	err := s.Query(ctx, &rows, `
		select m.account_id, m.external_id
		from unnest($2::uuid[], $3::text[]) k(account_id, external_id)
		join crm.messages m on m.tenant_id = $1 and m.account_id = k.account_id and m.external_id = k.external_id`,
		s.Tenant(), ids, externals)
	if err != nil {
		return nil, fmt.Errorf("look for %d messages: %w", len(in), err)
	}
	type key struct {
		account  installation.AccountID
		external string
	}
	have := map[key]bool{}
	for _, r := range rows {
		have[key{r.AccountID, r.ExternalID}] = true
	}
	var fresh []Incoming
	for _, m := range in {
		k := key{accounts[m.Account], m.ExternalID}
		if !have[k] {
			have[k] = true
			fresh = append(fresh, m)
		}
	}
	return fresh, nil
}

// batch is what a set of incoming messages makes of its conversations.
type batch struct {
	threads  []*thread // in order of first message
	messages []Message
	events   []event.Event
}

// thread is a conversation with what is to be written of it.
type thread struct {
	Conversation
	isNew bool
	moved bool // to a new lead
	wrote bool // the contact did
	added int  // unread
}

// gather finds or makes the people, leads and conversations of in, and adds up
// what its messages change.
func gather(ctx context.Context, s tenant.Scope, in []Incoming, accounts map[installation.AccountKey]installation.AccountID) (*batch, error) {
	slices.SortStableFunc(in, func(a, b Incoming) int { return a.OccurredAt.Compare(b.OccurredAt) })
	parties := make([]contact.Party, len(in))
	for n, m := range in {
		parties[n] = m.Party
	}
	people, err := contact.Identify(ctx, s, parties)
	if err != nil {
		return nil, err
	}
	refs := make([]ref, len(in))
	for n, m := range in {
		refs[n] = ref{accounts[m.Account], people[n].ID}
	}
	threads, err := threadsOf(ctx, s, in, refs)
	if err != nil {
		return nil, err
	}
	b := &batch{}
	for n, m := range in {
		t := threads[refs[n]]
		if !slices.Contains(b.threads, t) {
			b.threads = append(b.threads, t)
		}
		b.add(s, t, m)
	}
	return b, nil
}

// add writes a message into its thread.
func (b *batch) add(s tenant.Scope, t *thread, m Incoming) {
	msg := Message{
		ID: arrivalID(m.ReceivedAt, len(b.messages)), ConversationID: t.ID, AccountID: t.AccountID, Direction: In, Author: ByContact,
		AuthorID: t.ContactID.UUID, Type: m.Type, Text: m.Text, Content: m.Content, ExternalID: m.ExternalID,
		ReplyTo: m.ReplyTo, Status: Received, OccurredAt: m.OccurredAt, CreatedAt: s.Now(), LeadID: t.LeadID,
	}
	if m.Echo {
		msg.Direction, msg.Author, msg.AuthorID, msg.Status, msg.SentAt = Out, ByProvider, uuid.Nil, Sent, m.OccurredAt
	}
	b.messages = append(b.messages, msg)
	if !m.OccurredAt.Before(t.LastMessageAt) || t.Preview == "" {
		t.LastMessageAt, t.Preview = m.OccurredAt, preview(m.Type, m.Text)
	}
	what := event.MessageReceived
	actor, who := event.ByContact, t.ContactID.UUID
	if m.Echo {
		what, actor, who = event.MessageSent, event.ByProvider, uuid.Nil
	} else {
		t.wrote = true
		t.added++
		t.Status = Open
		t.LastInboundAt = latest(t.LastInboundAt, m.OccurredAt)
		t.WindowExpiresAt = latest(t.WindowExpiresAt, m.WindowExpiresAt)
	}
	b.events = append(b.events, event.Event{
		Type: what, LeadID: t.LeadID.UUID, ContactID: t.ContactID.UUID, ConversationID: t.ID.UUID,
		Actor: actor, ActorID: who, OccurredAt: m.OccurredAt,
		Payload: event.Payload(struct {
			MessageID MessageID      `json:"message_id"`
			Type      string         `json:"type"`
			Preview   string         `json:"preview"`
			Referral  *lead.Referral `json:"referral,omitempty"`
		}{msg.ID, m.Type, preview(m.Type, m.Text), m.Referral}),
	})
}

// arrivalID is the id of the n-th message of a batch, which sorts by the time of
// its arrival whenever it is taken: webhooks are taken side by side, and late
// when their plugin was away. It has the form of a UUID of version 7.
func arrivalID(at time.Time, n int) MessageID {
	if at.IsZero() {
		return id.New[Message]()
	}
	u := uuid.New()
	us := uint64(max(at.UnixMicro(), 0)) //nolint:gosec // not negative
	ms, rest := us/1000, us%1000
	binary.BigEndian.PutUint64(u[:8], ms<<16|0x7000|rest)
	binary.BigEndian.PutUint16(u[8:10], 0x8000|uint16(min(n, 0x3fff))) //nolint:gosec // within 14 bits
	return MessageID{UUID: u}
}

func (b *batch) save(ctx context.Context, s tenant.Scope) error {
	if err := saveThreads(ctx, s, b.threads); err != nil {
		return err
	}
	var echoes []*Message
	for n := range b.messages {
		if b.messages[n].Direction == Out {
			echoes = append(echoes, &b.messages[n])
		}
	}
	if err := unpark(ctx, s, echoes...); err != nil {
		return err
	}
	if err := tenant.InsertAll(ctx, s, b.messages); err != nil {
		return fmt.Errorf("store %d messages: %w", len(b.messages), err)
	}
	if err := event.Append(ctx, s, b.events...); err != nil {
		return err
	}
	follow := Followed{Tenant: s.Tenant()}
	var leads []uuid.UUID
	for _, t := range b.threads {
		leads = append(leads, t.LeadID.UUID)
		if t.wrote && t.isOpenToBots() {
			follow.Conversations = append(follow.Conversations, t.ID)
		}
		s.Announce(tenant.Change{Type: "conversation.updated", ID: t.ID.UUID, Parent: t.LeadID.UUID})
	}
	for _, m := range b.messages {
		s.Announce(tenant.Change{Type: "message.created", ID: m.ID.UUID, Parent: m.ConversationID.UUID})
	}
	if err := lead.Touch(ctx, s, leads); err != nil {
		return err
	}
	if len(follow.Conversations) == 0 {
		return nil
	}
	return queue.Insert(ctx, s, follow, queue.Options{Queue: queue.Automation})
}

// isOpenToBots reports whether something may follow a message by itself: nothing
// does once a person has the conversation.
func (t *thread) isOpenToBots() bool {
	return t.Holder == HeldByBot || t.Holder == HeldByNone && t.AssigneeID == uuid.Nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
