package simulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stratohub/strato/sdk/simulator"
)

// errBatched says that an update waits for others.
var errBatched = errors.New(simulator.Batched)

// App are the secrets of the shared app, which the operator gives the plugin
// when agencies have no app of their own; see [Faults.SharedApp].
func App() (appSecret, verifyToken string) {
	return secret("", "shared app secret", 16), secret("", "shared verify token", 12)
}

// emit tells the business something about one of its numbers.
func (s *Simulator) emit(ctx context.Context, who identity, value map[string]any) (int, error) {
	value["messaging_product"] = "whatsapp"
	value["metadata"] = map[string]any{"display_phone_number": who.Digits, "phone_number_id": who.PhoneNumberID}
	target, err := s.target(who)
	if err != nil {
		return 0, err
	}
	one := update{account: who.BusinessAccountID, change: map[string]any{"field": "messages", "value": value}}
	f := s.faults.Load()
	if f.BatchSize > 1 {
		s.batch(target, one, f)
		return 0, errBatched
	}
	return s.post(ctx, target, envelope([]update{one}), f)
}

// target is where an agency's webhooks go, and what signs them.
type target struct{ url, secret string }

func (s *Simulator) target(who identity) (target, error) {
	t := target{secret: who.AppSecret}
	unsubscribed := false
	s.state.View(func(st *state) {
		if a := st.Accounts[who.Label]; a != nil {
			t.url, unsubscribed = a.WebhookURL, a.Unsubscribed
		}
	})
	switch {
	case unsubscribed:
		return t, errors.New("no app is subscribed to the agency's account")
	case t.url == "":
		return t, errors.New("the agency has no webhook address")
	}
	if s.faults.Load().SharedApp {
		t.secret, _ = App()
	}
	return t, nil
}

// post signs the exact bytes and posts them, twice if asked to.
func (s *Simulator) post(ctx context.Context, t target, body any, f Faults) (int, error) {
	raw, ok := body.([]byte)
	if !ok {
		raw = encode(body, f.EscapeUnicode)
	}
	d := simulator.Delivery{URL: t.url, Body: raw, Header: http.Header{
		"Content-Type":        {"application/json"},
		"User-Agent":          {"facebookexternalua"},
		"X-Hub-Signature-256": {Sign(t.secret, raw)},
	}}
	status, err := s.sender.Deliver(ctx, d)
	if f.Duplicate {
		s.sender.Enqueue(0, d)
	}
	return status, err
}

// Sign is the value of X-Hub-Signature-256 for a body.
func Sign(secret string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(body)
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

// update is one change of one account.
type update struct {
	account string
	change  any
}

// envelope puts updates together, those of an account under one entry.
func envelope(updates []update) map[string]any {
	type entry struct {
		ID      string `json:"id"`
		Changes []any  `json:"changes"`
	}
	var entries []*entry
	for _, u := range updates {
		var at *entry
		for _, e := range entries {
			if e.ID == u.account {
				at = e
			}
		}
		if at == nil {
			at = &entry{ID: u.account}
			entries = append(entries, at)
		}
		at.Changes = append(at.Changes, u.change)
	}
	return map[string]any{"object": "whatsapp_business_account", "entry": entries}
}

// encode writes JSON. Escaped, it is as some of Meta's servers write it: no
// letter outside ASCII, and no bare slash.
func encode(v any, escape bool) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil // maps of strings and numbers always encode
	}
	raw := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if !escape {
		return raw
	}
	out := make([]byte, 0, len(raw)+len(raw)/4)
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		switch {
		case r == '/':
			out = append(out, '\\', '/')
		case r < utf8.RuneSelf:
			out = append(out, raw[0])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		raw = raw[n:]
	}
	return out
}

// batches are updates that wait for others to the same address. The zero
// value is ready.
type batches struct {
	mu      sync.Mutex
	waiting map[target][]update
}

func (s *Simulator) batch(t target, one update, f Faults) {
	b := &s.batches
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = map[target][]update{}
	}
	b.waiting[t] = append(b.waiting[t], one)
	switch n := len(b.waiting[t]); {
	case n >= f.BatchSize:
		s.schedule.After(0, func(ctx context.Context) { s.flush(ctx, t) })
	case n == 1:
		wait := time.Duration(f.BatchWaitMS) * time.Millisecond
		if wait <= 0 {
			wait = 200 * time.Millisecond
		}
		s.schedule.After(wait, func(ctx context.Context) { s.flush(ctx, t) })
	}
}

func (s *Simulator) flush(ctx context.Context, t target) {
	s.batches.mu.Lock()
	updates := s.batches.waiting[t]
	delete(s.batches.waiting, t)
	s.batches.mu.Unlock()
	if len(updates) > 0 {
		_, _ = s.post(ctx, t, envelope(updates), s.faults.Load())
	}
}

// verify makes the handshake that Meta makes before it takes an address.
func (s *Simulator) verify(ctx context.Context, callback, token string) bool {
	challenge := strconv.FormatUint(uint64(time.Now().UnixNano())%1e10, 10)
	q := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {challenge}, "hub.verify_token": {token}}
	separator := "?"
	if strings.Contains(callback, "?") {
		separator = "&"
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, callback+separator+q.Encode(), nil)
	if err != nil {
		return false
	}
	resp, err := s.handshakes.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return err == nil && resp.StatusCode == http.StatusOK && string(answer) == challenge
}

// Verify makes the handshake with an agency's webhook address, as Meta does
// when the address is entered, and reports whether it was answered rightly.
func (s *Simulator) Verify(ctx context.Context, label string) (bool, error) {
	who := identityOf(label)
	t, err := s.target(who)
	if err != nil {
		return false, err
	}
	token := who.VerifyToken
	if s.faults.Load().SharedApp {
		_, token = App()
	}
	return s.verify(ctx, t.url, token), nil
}

func (s *Simulator) timestamp() string { return strconv.FormatInt(s.options.Now().Unix(), 10) }

// profileOf is a person in the list of contacts.
func profileOf(c customer, f Faults, username bool) map[string]any {
	profile := map[string]any{"name": c.Name}
	if c.Username != "" && username {
		profile["username"] = c.Username
	}
	out := map[string]any{"profile": profile, "user_id": c.UserID}
	if c.Phone != "" && !f.HidePhones {
		out["wa_id"] = c.Phone
	}
	return out
}
