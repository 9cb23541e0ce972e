package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/httpx"
)

// api speaks with the provider in the name of one tenant.
type api struct {
	http  *httpx.Client
	own   bool // http is this value's to close
	base  string
	key   string
	limit limits
}

// object is a JSON object to send.
type object map[string]any

func newAPI(p place, key string, client *httpx.Client) (*api, error) {
	a := &api{http: client, base: p.base, key: key, limit: newLimits()}
	if p.host == "" {
		return a, nil
	}
	var err error
	a.own = true
	a.http, err = httpx.New(httpx.Config{Hosts: []string{p.host}, UserAgent: "Strato-uchat"})
	return a, err
}

func (a *api) close() {
	if a.own {
		a.http.Close()
	}
}

// call is one request of the API.
type call struct {
	// method is GET if empty, or POST if there is a body.
	method string
	path   string
	query  url.Values
	body   object
	// patient waits for the limit of requests, as long as the context lasts;
	// otherwise a request that is too early is refused.
	patient bool
	// open leaves the key out: the path is the secret.
	open bool
}

// envelope is what an answer may tell beside its content.
type envelope struct {
	Status  str `json:"status"`
	Message str `json:"message"`
	Error   str `json:"error"`
}

// do makes one attempt at c and reads the answer into out, if that is not nil.
// Every error holds a failure. A removal that was refused because its body was
// lost on the way is asked for once more, as a POST: it sends nothing to anyone.
func (a *api) do(ctx context.Context, c call, out any) error {
	resp, err := a.try(ctx, c, "")
	if err != nil {
		return err
	}
	if c.method == http.MethodDelete && (resp.Status == http.StatusMethodNotAllowed || resp.Status == http.StatusUnprocessableEntity) {
		again := c
		again.method = http.MethodPost
		if resp, err = a.try(ctx, again, http.MethodDelete); err != nil {
			return err
		}
	}
	var e envelope
	_ = read(resp.Body, &e) // an answer may be HTML, or a list
	if !resp.OK() || e.Status == "error" {
		return refuse(resp, e)
	}
	if out == nil && !c.open {
		out = &e
	}
	if out == nil {
		return nil
	}
	if err := read(resp.Body, out); err != nil {
		f := failure.New(failure.Temporary, "UChat answered something that is not what it documents")
		f.Outcome, f.Blame, f.HTTPStatus = failure.NotSent, failure.Provider, resp.Status
		if c.method != http.MethodGet && (c.method != "" || c.body != nil) {
			f.Outcome = failure.Unknown
		}
		return f
	}
	return nil
}

func (a *api) try(ctx context.Context, c call, override string) (*httpx.Response, error) {
	class := classOf(c.path)
	if c.patient {
		if err := a.limit.wait(ctx, class); err != nil {
			return nil, err
		}
	} else if err := a.limit.take(class); err != nil {
		return nil, err
	}
	at := a.base + c.path
	if len(c.query) > 0 {
		at += "?" + c.query.Encode()
	}
	r := httpx.Request{Method: c.method, URL: at, Header: http.Header{"Accept": {"application/json"}}}
	if !c.open {
		r.Header.Set("Authorization", "Bearer "+a.key)
	}
	if override != "" {
		r.Header.Set("X-HTTP-Method-Override", override)
	}
	if c.body != nil {
		r.JSON = c.body
	}
	return a.http.Call(ctx, r)
}

// The rules by which an error's words are read: the provider gives no codes.
// The texts are not documented, so they are matched loosely; what none of them
// finds counts by its status.
var rules = []struct {
	words []string // any of these, in lower case
	code  failure.Code
	blame failure.Blame
	tell  string
}{
	{[]string{"24 hour", "24-hour", "24h", "message window", "outside the window", "outside of the allowed window", "re-engagement", "131047"},
		failure.WindowClosed, failure.Tenant, "more than 24 hours have passed since the person last wrote; use a template"},
	{[]string{"template", "132000", "132001", "132005", "132007", "132012", "132015", "132018"},
		failure.Template, failure.Tenant, "UChat did not accept the template"},
	{[]string{"unsubscribed", "opted out", "blocked the"},
		failure.Recipient, failure.Tenant, "the person no longer takes messages of the bot"},
	{[]string{"subscriber not found", "user not found", "bot user", "user_ns", "user_id", "contact not found", "no query results"},
		failure.Recipient, failure.Tenant, "UChat knows no such person"},
	{[]string{"permission", "unauthorized action", "not allowed to"},
		failure.Permission, failure.Tenant, "the API key lacks a permission; it needs Manage Flow"},
	{[]string{"too many", "rate limit", "throttl"},
		failure.RateLimited, failure.Provider, "UChat asks to slow down"},
	{[]string{"quota", "subscription expired", "plan limit", "upgrade your"},
		failure.QuotaExhausted, failure.Tenant, "the UChat workspace has reached what its plan allows"},
	{[]string{"media", "image url", "file url", "unsupported file"},
		failure.Media, failure.Tenant, "UChat did not take the file"},
}

// slowDown is the pause after a 429 that names none.
const slowDown = 30 * time.Second

// refuse turns an answer that is no success into a failure.
func refuse(resp *httpx.Response, e envelope) *failure.Failure {
	f := resp.Failure()
	if f == nil { // 200 with an error in it
		f = failure.New(failure.InvalidRequest, "UChat refused the request")
		f.Outcome, f.Blame, f.HTTPStatus = failure.NotSent, failure.Plugin, resp.Status
	}
	if f.Code == failure.RateLimited && f.RetryAfter == 0 {
		f.RetryAfter = slowDown
	}
	if f.Code == failure.Auth {
		f.Message = "UChat does not accept the API key"
	}
	if f.Code != failure.InvalidRequest {
		return f
	}
	words := clip(string(first(e.Message, e.Error)), 300)
	low := strings.ToLower(words)
	for _, r := range rules {
		for _, w := range r.words {
			if !strings.Contains(low, w) {
				continue
			}
			f.Code, f.Blame, f.Message = r.code, r.blame, r.tell
			if r.code == failure.RateLimited {
				f.RetryAfter = max(f.RetryAfter, slowDown)
			}
			if r.code == failure.Template || r.code == failure.Media {
				f.Message += ": " + words
			}
			return f
		}
	}
	if resp.Status == http.StatusNotFound {
		f.Message = "UChat does not have what was asked for"
	}
	if words != "" {
		f.Message += ": " + words
	}
	return f
}

func refusal(code failure.Code, blame failure.Blame, words string) *failure.Failure {
	f := failure.New(code, "%s", words)
	f.Outcome, f.Blame = failure.NotSent, blame
	return f
}
