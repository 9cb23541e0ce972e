package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stratohub/strato/sdk/simulator"
	"github.com/stratohub/strato/sdk/webhook"
)

// signature is the header of a webhook's HMAC-SHA256, in hexadecimal.
const signature = "X-Parrot-Signature"

// lockPath is taken by the first who asks.
const lockPath = "/lock"

func simulate(words []string) int {
	return simulator.Program{
		Name: "parrot", Title: "Parrot",
		New: func(string) (simulator.Provider, error) { return newProvider(), nil },
	}.Main(words)
}

// provider is the simulated one.
type provider struct {
	simulator.Switches[struct{}]
	scheduler *simulator.Scheduler
	sender    *simulator.Sender

	locked atomic.Bool

	mu       sync.Mutex
	hooks    map[string]string // addresses of webhooks by account
	messages []simulator.Message
	next     int
}

func newProvider() *provider {
	s := simulator.NewScheduler()
	return &provider{scheduler: s, sender: simulator.NewSender(s), hooks: map[string]string{}}
}

// secret is an account's, derived from its label.
func secret(label, what string) string {
	sum := sha256.Sum256([]byte(label + "/" + what))
	return what + "-" + hex.EncodeToString(sum[:12])
}

// Account implements simulator.Provider.
func (p *provider) Account(r simulator.AccountRequest) (simulator.Account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.WebhookURL != "" {
		p.hooks[r.Label] = r.WebhookURL
	}
	return simulator.Account{Label: r.Label, Settings: map[string]string{
		"account": r.Label, "token": secret(r.Label, "token"), "signing_key": secret(r.Label, "key"),
	}}, nil
}

// Say implements simulator.Provider.
func (p *provider) Say(ctx context.Context, request json.RawMessage) (simulator.Said, error) {
	var say struct{ To, Text, File string }
	if err := json.Unmarshal(request, &say); err != nil {
		return simulator.Said{}, simulator.Refuse(http.StatusBadRequest, "the request is not JSON")
	}
	p.mu.Lock()
	p.next++
	m := message{ID: "m" + strconv.Itoa(p.next), Account: say.To, Person: "ana", Text: say.Text, File: say.File, At: time.Now().Unix()}
	p.mu.Unlock()
	body, err := json.Marshal(m)
	if err != nil {
		return simulator.Said{}, err
	}
	said, err := p.Replay(ctx, say.To, true, body)
	said.MessageID = m.ID
	return said, err
}

// Replay implements simulator.Provider.
func (p *provider) Replay(ctx context.Context, to string, _ bool, body []byte) (simulator.Said, error) {
	p.mu.Lock()
	url := p.hooks[to]
	p.mu.Unlock()
	if url == "" {
		return simulator.Said{}, simulator.Refuse(http.StatusNotFound, "there is no account %s", to)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set(signature, webhook.SignHMACSHA256(secret(to, "key"), body))
	status, err := p.sender.Deliver(ctx, simulator.Delivery{URL: url, Header: h, Body: bytes.Clone(body)})
	return simulator.Said{Status: status}, err
}

// Messages implements simulator.Provider.
func (p *provider) Messages(string, string) ([]simulator.Message, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]simulator.Message(nil), p.messages...), nil
}

// Faults implements simulator.Provider.
func (p *provider) Faults() simulator.Faults { return &p.Switches }

// Close implements simulator.Provider.
func (p *provider) Close() error {
	p.scheduler.Close()
	p.sender.Close()
	return nil
}

// ServeHTTP is the provider's API.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == lockPath {
		if p.locked.Swap(true) {
			w.WriteHeader(http.StatusConflict)
		}
		return
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	defer p.mu.Unlock()
	owner := ""
	for label := range p.hooks {
		if token == secret(label, "token") {
			owner = label
		}
	}
	if owner == "" {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodGet && r.URL.Path != "/account" {
		_, _ = w.Write(bytes.Repeat([]byte("squawk "), 4<<10)) // the client may have gone
		return
	}
	var m message
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, "this is no message", http.StatusBadRequest)
			return
		}
		p.next++
		m.ID = "m" + strconv.Itoa(p.next)
		p.messages = append(p.messages, simulator.Message{ID: m.ID, Direction: simulator.Outbound, Phone: m.Person, Type: "text", Text: m.Text, At: time.Now()})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(m) // the client may have gone
}
