package conversation

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stratohub/strato/core/internal/event"
	"github.com/stratohub/strato/core/internal/installation"
	"github.com/stratohub/strato/core/internal/tenant"
)

// meet makes transactions that speak of the same provider ids wait for each
// other until they end: a message that gets its id, the echo and the ticks of
// that id. Without it each would look before the other has written.
func meet(ctx context.Context, s tenant.Scope, ids []external) error {
	if len(ids) == 0 {
		return nil
	}
	keys := make([]int64, len(ids))
	for n, e := range ids {
		h := fnv.New64a()
		_, _ = h.Write(e.account.UUID[:])
		_, _ = h.Write([]byte(e.id))
		keys[n] = int64(h.Sum64()) //nolint:gosec // any 64 bits will do
	}
	slices.Sort(keys)
	if _, err := s.Exec(ctx, `select pg_advisory_xact_lock(k) from unnest($1::bigint[]) k`, slices.Compact(keys)); err != nil {
		return fmt.Errorf("wait for others at %d messages: %w", len(ids), err)
	}
	return nil
}

// park keeps ticks for messages that are not known yet.
func park(ctx context.Context, s tenant.Scope, list []Update, accounts map[installation.AccountKey]installation.AccountID) error {
	for _, u := range list {
		detail, err := json.Marshal(u)
		if err != nil {
			return fmt.Errorf("encode a tick: %w", err)
		}
		_, err = s.Exec(ctx, `
			insert into crm.parked_updates (tenant_id, account_id, external_id, status, detail, occurred_at, created_at)
			values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
			s.Tenant(), accounts[u.Account], u.ExternalID, string(u.Status), detail, u.OccurredAt, s.Now())
		if err != nil {
			return fmt.Errorf("park a tick: %w", err)
		}
	}
	return nil
}

// unpark takes the ticks that came before their messages were known by their
// provider ids.
func unpark(ctx context.Context, s tenant.Scope, list ...*Message) error {
	if len(list) == 0 {
		return nil
	}
	var owners []uuid.UUID
	var externals []string
	known := map[external]*Message{}
	for _, m := range list {
		owners, externals = append(owners, m.AccountID.UUID), append(externals, m.ExternalID)
		known[external{m.AccountID, m.ExternalID}] = m
	}
	var rows []struct {
		AccountID  installation.AccountID
		ExternalID string
		Detail     []byte
	}
	err := s.Query(ctx, &rows, `
		delete from crm.parked_updates p using unnest($2::uuid[], $3::text[]) k(account_id, external_id)
		where p.tenant_id = $1 and p.account_id = k.account_id and p.external_id = k.external_id
		returning p.account_id, p.external_id, p.detail`, s.Tenant(), owners, externals)
	if err != nil {
		return fmt.Errorf("take parked ticks: %w", err)
	}
	for _, r := range rows {
		var u Update
		if err := json.Unmarshal(r.Detail, &u); err != nil {
			return fmt.Errorf("read a parked tick: %w", err)
		}
		m := known[external{r.AccountID, r.ExternalID}]
		if m.advance(u) && m.Status == Failed {
			if err := event.Append(ctx, s, failedEvent(m)); err != nil {
				return err
			}
		}
	}
	return nil
}

// absorb takes the echo of a message that came before the provider's answer to
// the message itself: it is the same one, and its ticks stay.
func absorb(ctx context.Context, s tenant.Scope, m *Message) error {
	echoes := []Message{}
	err := s.Query(ctx, &echoes, `
		delete from crm.messages
		where tenant_id = $1 and account_id = $2 and external_id = $3 and id <> $4 and direction = 'out' and author = 'provider'
		returning status, failure_code, failure_detail, provider_code, sent_at, delivered_at, read_at, failed_at`,
		s.Tenant(), m.AccountID, m.ExternalID, m.ID)
	if err != nil {
		return fmt.Errorf("take the echo of message %s: %w", m.ID, err)
	}
	for _, e := range echoes {
		at := map[State]time.Time{Sent: e.SentAt, Delivered: e.DeliveredAt, Read: e.ReadAt, Failed: e.FailedAt}
		// The echo's own state first: those behind it only add their times.
		for _, state := range []State{e.Status, Sent, Delivered, Read, Failed} {
			if !at[state].IsZero() {
				m.advance(Update{
					Status: state, OccurredAt: at[state],
					FailureCode: e.FailureCode, FailureDetail: e.FailureDetail, ProviderCode: e.ProviderCode,
				})
			}
		}
	}
	return nil
}
