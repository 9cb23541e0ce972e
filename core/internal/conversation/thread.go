package conversation

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/assistant"
	"github.com/stratohub/strato/core/internal/contact"
	"github.com/stratohub/strato/core/internal/id"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/lead"
	"github.com/stratohub/strato/core/internal/tenant"
)

// ref is what tells a conversation from others.
type ref struct {
	account installation.AccountID
	contact contact.ID
}

// threadsOf returns the conversation of each ref, with a lead that is open: the
// stored one, locked, or a new one that is still to be inserted.
func threadsOf(ctx context.Context, s tenant.Scope, in []Incoming, refs []ref) (map[ref]*thread, error) {
	threads, err := lockThreads(ctx, s, refs)
	if err != nil {
		return nil, err
	}
	var enquiries []lead.Enquiry
	var asking []*thread
	var bot *assistant.Assistant
	looked := false
	for n, m := range in {
		t := threads[refs[n]]
		if t != nil && !t.LeadID.IsZero() {
			continue
		}
		if t == nil {
			if !looked {
				if bot, err = assistant.Default(ctx, s); err != nil {
					return nil, err
				}
				looked = true
			}
			t = newThread(s, refs[n], bot)
			threads[refs[n]] = t
		}
		if t.moved {
			continue
		}
		t.moved = true
		asking = append(asking, t)
		enquiries = append(enquiries, lead.Enquiry{
			Contact: refs[n].contact, Source: sourceOf(m.Channel), Channel: m.Channel, Referral: m.Referral,
			AssigneeID: t.AssigneeID,
		})
	}
	if len(asking) == 0 {
		return threads, nil
	}
	leads, err := lead.OpenMany(ctx, s, enquiries)
	if err != nil {
		return nil, err
	}
	for n, t := range asking {
		t.LeadID = leads[n].ID
		if leads[n].New {
			s.Announce(tenant.Change{Type: "lead.created", ID: leads[n].ID.UUID})
		}
	}
	return threads, nil
}

// sourceOf is the source of a lead that a message of a channel opens.
func sourceOf(channel string) lead.Source {
	switch s := lead.Source(channel); s {
	case lead.SourceWhatsApp, lead.SourceInstagram, lead.SourceFacebook:
		return s
	default:
		return lead.SourceOther
	}
}

func newThread(s tenant.Scope, r ref, bot *assistant.Assistant) *thread {
	t := &thread{isNew: true, Conversation: Conversation{
		ID: id.New[Conversation](), ContactID: r.contact, AccountID: r.account, Status: Open, Holder: HeldByNone,
		Epoch: 1, Version: 1, CreatedAt: s.Now(), UpdatedAt: s.Now(),
	}}
	if bot != nil {
		t.Holder, t.AssistantID = HeldByBot, bot.ID
	}
	return t
}

// lockThreads returns the stored conversations of refs, locked until the
// transaction ends. One whose lead is closed comes without it.
func lockThreads(ctx context.Context, s tenant.Scope, refs []ref) (map[ref]*thread, error) {
	accounts, contacts := make([]uuid.UUID, len(refs)), make([]uuid.UUID, len(refs))
	for n, r := range refs {
		accounts[n], contacts[n] = r.account.UUID, r.contact.UUID
	}
	rows := []Conversation{}
	err := s.Query(ctx, &rows, `
		select v.id, v.contact_id, v.account_id, case when l.status = 'open' then v.lead_id end as lead_id, v.status,
			v.holder, v.epoch, v.assistant_id, v.assignee_id, v.window_expires_at, v.unread, v.preview,
			v.last_message_at, v.last_inbound_at
		from crm.conversations v
		join crm.leads l on l.tenant_id = v.tenant_id and l.id = v.lead_id
		where v.tenant_id = $1 and (v.account_id, v.contact_id) in (select * from unnest($2::uuid[], $3::uuid[]))
		order by v.id
		for update of v`, s.Tenant(), accounts, contacts)
	if err != nil {
		return nil, fmt.Errorf("lock %d conversations: %w", len(refs), err)
	}
	out := map[ref]*thread{}
	for _, v := range rows {
		out[ref{v.AccountID, v.ContactID}] = &thread{Conversation: v}
	}
	return out, nil
}

// saveThreads writes what changed: new conversations and, in one statement,
// those that were there.
func saveThreads(ctx context.Context, s tenant.Scope, threads []*thread) error {
	var fresh []Conversation
	var u struct {
		ids, leads             []uuid.UUID
		statuses, previews     []string
		added                  []int32
		messages, ins, windows []*time.Time
	}
	for _, t := range threads {
		if t.isNew {
			t.Unread = t.added
			fresh = append(fresh, t.Conversation)
			continue
		}
		u.ids, u.leads = append(u.ids, t.ID.UUID), append(u.leads, t.LeadID.UUID)
		u.statuses, u.previews = append(u.statuses, string(t.Status)), append(u.previews, t.Preview)
		u.added = append(u.added, int32(t.added))
		u.messages, u.ins, u.windows = append(u.messages, orNull(t.LastMessageAt)), append(u.ins, orNull(t.LastInboundAt)), append(u.windows, orNull(t.WindowExpiresAt))
	}
	if err := tenant.InsertAll(ctx, s, fresh); err != nil {
		return fmt.Errorf("open %d conversations: %w", len(fresh), err)
	}
	if len(u.ids) == 0 {
		return nil
	}
	_, err := s.Exec(ctx, `
		update crm.conversations v set lead_id = u.lead_id, status = u.status, preview = u.preview, unread = v.unread + u.added,
			last_message_at = u.message, last_inbound_at = u.inbound, window_expires_at = u.win,
			version = v.version + 1, updated_at = $2
		from unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::int[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[])
			u(id, lead_id, status, preview, added, message, inbound, win)
		where v.tenant_id = $1 and v.id = u.id`,
		s.Tenant(), s.Now(), u.ids, u.leads, u.statuses, u.previews, u.added, u.messages, u.ins, u.windows)
	if err != nil {
		return fmt.Errorf("update %d conversations: %w", len(u.ids), err)
	}
	return nil
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
