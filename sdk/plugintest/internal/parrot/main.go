// Command parrot is the smallest plugin that passes the conformance kit. Told by
// the operator's setting "defect" it does one thing wrong, named like the check
// that must notice.
package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/httpx"
	"github.com/stratohub/strato/sdk/serve"
	"github.com/stratohub/strato/sdk/settings"
	"github.com/stratohub/strato/sdk/webhook"
)

//go:embed plugin.json
var manifest []byte

func main() {
	serve.Main(serve.Plugin[*parrot]{Manifest: manifest, New: newParrot, Start: start, Migrate: migrate, Simulate: simulate})
}

// start does nothing, unless it is to be wrong.
func start(ctx context.Context, env serve.Env) error {
	seen.Lock()
	seen.defect = env.Operator["defect"]
	seen.Unlock()
	switch env.Operator["defect"] {
	case "process/start":
		<-time.After(3 * time.Second)
	case "process/hung": // what was locked before is never unlocked
		resp, err := env.HTTP.Call(ctx, httpx.Request{Method: http.MethodPost, URL: env.Operator["base_url"] + lockPath})
		if err != nil || !resp.OK() {
			return errors.New("somebody has the lock")
		}
	case "process/crash":
		signal.Ignore(syscall.SIGQUIT)
	}
	return nil
}

// migrate knows version 1, in which the account was a name.
func migrate(_ context.Context, i sdk.Installation) ([]byte, map[string]string, error) {
	var old struct{ Name string }
	if err := json.Unmarshal(i.Settings, &old); err != nil {
		return nil, nil, err
	}
	seen.Lock()
	defer seen.Unlock()
	if seen.defect == "settings/migrated" {
		return i.Settings, i.Secrets, nil
	}
	document, err := json.Marshal(map[string]string{"account": old.Name})
	return document, i.Secrets, err
}

// parrot serves one installation.
type parrot struct {
	Account    string `json:"account"`
	Token      string `json:"token"`
	SigningKey string `json:"signing_key"`

	id     string
	env    serve.Env
	defect string
}

// seen is what no plugin may have: state that installations share.
var seen struct {
	sync.Mutex
	tokens     map[string]string
	keys       []string
	last       string
	signatures []string
	defect     string
	hoard      [][]byte
}

func newParrot(_ context.Context, i sdk.Installation, env serve.Env) (*parrot, error) {
	p := &parrot{id: i.ID, env: env, defect: env.Operator["defect"]}
	if p.defect == "process/leak" {
		go func() { select {} }()
	}
	if err := settings.Decode(i, p); err != nil {
		return nil, err
	}
	seen.Lock()
	defer seen.Unlock()
	if seen.tokens == nil {
		seen.tokens = map[string]string{}
	}
	if seen.tokens[i.ID] == "" {
		seen.tokens[i.ID] = p.Token
	}
	seen.keys = append(seen.keys, p.SigningKey)
	return p, nil
}

// token is what requests carry.
func (p *parrot) token() string {
	seen.Lock()
	defer seen.Unlock()
	switch p.defect {
	case "settings/revision":
		return seen.tokens[p.id] // the first one, for ever
	case "isolation/accounts":
		token := seen.last
		seen.last = p.Token
		if token != "" {
			return token
		}
	}
	return p.Token
}

// Validate implements sdk.Validator.
func (p *parrot) Validate(context.Context) ([]sdk.Diagnostic, []sdk.RouteKey) {
	var found []sdk.Diagnostic
	if p.defect == "settings/accepted" {
		found = []sdk.Diagnostic{{Severity: sdk.SeverityError, Pointer: "/account", Summary: "no account is good enough"}}
	}
	if p.defect == "settings/nonsense" && len(p.Account) == 1 {
		found = []sdk.Diagnostic{{Severity: sdk.SeverityError, Pointer: "/acount", Summary: "no account is that short"}}
	}
	return found, p.keys()
}

func (p *parrot) keys() []sdk.RouteKey { return []sdk.RouteKey{{Kind: "account", Value: p.Account}} }

// Check implements sdk.Checker.
func (p *parrot) Check(ctx context.Context, _ bool) (sdk.CheckResult, error) {
	good := sdk.CheckResult{State: sdk.HealthOK, ConfirmedKeys: p.keys(), AccountLabel: p.Account}
	if p.defect == "settings/check" {
		return good, nil
	}
	if err := p.ask(ctx, http.MethodGet, "/account", nil, nil); err != nil {
		return sdk.CheckResult{State: sdk.HealthFailed, Checks: []sdk.Check{{Name: "account", State: sdk.HealthFailed, Err: err}}}, nil
	}
	return good, nil
}

// message is one on the provider's wire, in both directions.
type message struct {
	ID      string `json:"id"`
	File    string `json:"file,omitempty"`
	Account string `json:"account"`
	Person  string `json:"person"`
	Text    string `json:"text"`
	At      int64  `json:"at"`
}

// HandleWebhook implements sdk.WebhookHandler.
func (p *parrot) HandleWebhook(_ context.Context, w sdk.Webhook) (sdk.WebhookResult, error) {
	if !p.verified(w) {
		return sdk.WebhookResult{}, nil
	}
	var m message
	if err := json.Unmarshal(w.Request.Body, &m); err != nil || m.ID == "" {
		if p.defect == "webhooks/garbage" {
			panic("what is this?")
		}
		return sdk.WebhookResult{Verified: true}, failure.New(failure.Malformed, "the body is not a message")
	}
	if at := time.Unix(m.At, 0); w.Request.ReceivedAt.Sub(at) > 30*time.Minute && p.defect != "webhooks/stale" {
		return sdk.WebhookResult{}, nil
	}
	if p.defect == "process/memory" {
		seen.Lock()
		seen.hoard = append(seen.hoard, make([]byte, 1<<20))
		for i := range seen.hoard[len(seen.hoard)-1] {
			seen.hoard[len(seen.hoard)-1][i] = 1 // or the kernel gives no memory
		}
		seen.Unlock()
	}
	var content sdk.Content = sdk.Text{Body: m.Text}
	if m.File != "" {
		content = sdk.Media{Kind: sdk.MediaImage, Ref: sdk.MediaRef{ProviderID: m.File, MIMEType: "image/png"}}
	}
	e := sdk.Event{
		DedupeKey: "message:" + m.ID, OccurredAt: time.Unix(m.At, 0), RouteKeys: p.keys(), OrderingKey: m.Person,
		Payload: sdk.InboundMessage{
			ProviderMessageID: m.ID, From: sdk.Party{Addresses: []sdk.Address{{Kind: "person", Value: m.Person}}}, Content: content,
		},
	}
	switch p.defect {
	case "webhooks/accepted":
		e.DedupeKey = ""
	case "webhooks/own keys":
		e.RouteKeys = []sdk.RouteKey{{Kind: "account", Value: "somebody-elses"}}
	case "webhooks/again":
		e.DedupeKey = fmt.Sprint(time.Now().UnixNano())
	}
	return sdk.WebhookResult{Verified: true, Events: []sdk.Event{e}}, nil
}

func (p *parrot) verified(w sdk.Webhook) bool {
	given := webhook.Header(w.Request, signature)
	switch p.defect {
	case "webhooks/unsigned":
		if given == "" {
			return true
		}
	case "webhooks/changed":
		return given != ""
	case "webhooks/changed body":
		seen.Lock()
		defer seen.Unlock()
		if slices.Contains(seen.signatures, given) {
			return true // once right is always right
		}
		if webhook.VerifyHMACSHA256(p.SigningKey, w.Request.Body, given) {
			seen.signatures = append(seen.signatures, given)
			return true
		}
		return false
	case "webhooks/kept":
		if w.Replay {
			return false
		}
	case "webhooks/other account":
		seen.Lock()
		defer seen.Unlock()
		for _, key := range seen.keys {
			if webhook.VerifyHMACSHA256(key, w.Request.Body, given) {
				return true
			}
		}
	}
	return webhook.VerifyHMACSHA256(p.SigningKey, w.Request.Body, given)
}

// Send implements sdk.Channel.
func (p *parrot) Send(ctx context.Context, m sdk.Message) (sdk.Receipt, error) {
	text, ok := m.Content.(sdk.Text)
	if !ok {
		return sdk.Receipt{}, failure.New(failure.Unsupported, "a parrot only talks")
	}
	if p.defect == "send/contents" {
		return sdk.Receipt{ProviderMessageID: m.IdempotencyKey}, nil
	}
	out := message{ID: m.IdempotencyKey, Account: p.Account, Person: m.To[0].Value, Text: text.Body}
	if p.defect == "process/replaced" {
		leave := time.AfterFunc(time.Millisecond, func() { os.Exit(1) })
		defer leave.Stop()
	}
	if p.defect == "send/cancelled" {
		ctx = context.WithoutCancel(ctx)
	}
	var took message
	err := p.ask(ctx, http.MethodPost, "/messages", out, &took)
	if err != nil {
		err = p.spoil(ctx, out, err)
	}
	return sdk.Receipt{ProviderMessageID: took.ID}, err
}

// spoil makes something wrong of a failure.
func (p *parrot) spoil(ctx context.Context, out message, err error) error {
	f, ok := errors.AsType[*failure.Failure](err)
	switch p.defect {
	case "send/refusals":
		if again := p.ask(ctx, http.MethodPost, "/messages", out, nil); again != nil {
			return again
		}
	case "send/retry after":
		if ok {
			f.RetryAfter = 0
		}
	case "send/lost answer":
		if ok {
			f.Outcome = failure.NotSent
		}
	case "send/provider away":
		return errors.New("something went wrong")
	case "isolation/secrets":
		return failure.New(failure.Auth, "the token %s was refused", p.Token)
	}
	return err
}

// ask makes one request of the provider.
func (p *parrot) ask(ctx context.Context, method, path string, in, out any) error {
	resp, err := p.env.HTTP.Call(ctx, httpx.Request{
		Method: method, URL: cmp.Or(p.env.Operator["base_url"], "https://api.parrot.example") + path, JSON: in, Header: http.Header{"Authorization": {"Bearer " + p.token()}},
	})
	if err != nil {
		return err
	}
	if f := resp.Failure(); f != nil {
		return f
	}
	if out == nil {
		return nil
	}
	return resp.Decode(out)
}
