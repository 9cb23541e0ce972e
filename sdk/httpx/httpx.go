// Package httpx is the HTTP client of plugins. It talks only to the hosts that
// the plugin's manifest names, refuses private addresses, caps bodies, gives
// every request a deadline, and tells a request that was not sent from one
// whose outcome is unknown, which decides whether a message may be sent again.
package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/stratohub/strato/sdk/failure"
)

// Defaults of [Config] and [Request].
const (
	DefaultTimeout = 15 * time.Second
	DefaultMaxBody = 8 << 20
	maxRedirects   = 5
)

// Config says where a client may go. Its zero value goes nowhere.
type Config struct {
	// Hosts are the allowed hosts, as in the manifest's egress: "api.example.com",
	// or "*.example.com" for every name below it. They are reached by https on
	// port 443 unless the entry names another port.
	Hosts []string
	// BaseURL is the operator's override of the provider's address; empty for
	// none. Its host and port are allowed too, by http or https, and may be a
	// loopback or private address. It never comes from a tenant.
	BaseURL string
	// Timeout is for a whole request with its body; zero means [DefaultTimeout].
	Timeout time.Duration
	// MaxBody is the most bytes read of an answer; zero means [DefaultMaxBody].
	MaxBody int64
	// UserAgent is sent with each request; empty means "Strato".
	UserAgent string
}

// Client makes requests to one provider. Any number of goroutines may use it.
type Client struct {
	config Config
	rules  rules
	http   *http.Client
}

// New returns a client that goes only where c says. It fails if a host or the
// base URL cannot be read.
func New(c Config) (*Client, error) {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxBody <= 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.UserAgent == "" {
		c.UserAgent = "Strato"
	}
	r, err := newRules(c.Hosts, c.BaseURL)
	if err != nil {
		return nil, err
	}
	client := &Client{config: c, rules: r}
	client.http = &http.Client{
		Transport: &http.Transport{
			DialContext:         r.dial,
			ForceAttemptHTTP2:   true,
			MaxIdleConns:        64,
			MaxIdleConnsPerHost: 16,
			// Shorter than what providers keep, so that a request is seldom
			// written into a connection that the other side just closed: that
			// would leave its outcome unknown.
			IdleConnTimeout:        20 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			ExpectContinueTimeout:  time.Second,
			MaxResponseHeaderBytes: 256 << 10,
		},
		CheckRedirect: client.checkRedirect,
	}
	return client, nil
}

// Close lets go of idle connections. Requests under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// checkRedirect follows only to allowed places, and only what is safe to
// repeat: a redirected POST would be an attempt that nobody counted.
func (c *Client) checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return errors.New("too many redirects")
	}
	if m := via[0].Method; m != http.MethodGet && m != http.MethodHead {
		return http.ErrUseLastResponse
	}
	if err := c.rules.allow(next.URL); err != nil {
		return err
	}
	// net/http drops well-known headers for another host; providers have their
	// own. So only those are kept that cannot be secret.
	if next.URL.Host != via[0].URL.Host {
		maps.DeleteFunc(next.Header, func(name string, _ []string) bool { return name != "Accept" && name != "User-Agent" })
	}
	return nil
}

// Request is one request to make with [Client.Call].
type Request struct {
	// Method is GET if empty, or POST if there is a body.
	Method string
	URL    string
	Header http.Header
	// Body is sent as it is. JSON, if not nil, is encoded and sent instead.
	Body []byte
	JSON any
	// Timeout and MaxBody replace the client's for this request; zero keeps them.
	Timeout time.Duration
	MaxBody int64
}

// Response is an answer, read whole.
type Response struct {
	// Method is that of the request.
	Method string
	Status int
	Header http.Header
	Body   []byte
}

// OK reports whether the status is of the 200s.
func (r *Response) OK() bool { return r.Status >= 200 && r.Status < 300 }

// Decode reads the body as JSON into v. An answer that is not JSON is a
// failure of unknown outcome, because the provider did act on the request.
func (r *Response) Decode(v any) error {
	if err := json.Unmarshal(r.Body, v); err != nil {
		f := failure.New(failure.Temporary, "the provider answered something that is not what it documents")
		f.Outcome, f.Blame, f.HTTPStatus = outcome(r.Method, true), failure.Provider, r.Status
		return &Error{Failure: f, cause: fmt.Errorf("decode answer: %w", err)}
	}
	return nil
}

// Call makes one attempt at r and reads the answer whole. Any status is an
// answer; see [Response.Failure]. An error is an [*Error], which holds a
// failure: a plugin may return it as it is.
func (c *Client) Call(ctx context.Context, r Request) (*Response, error) {
	if r.JSON != nil {
		b, err := json.Marshal(r.JSON)
		if err != nil {
			return nil, notSent(failure.InvalidRequest, failure.Plugin, "the message could not be written for the provider", err)
		}
		r.Body = b
	}
	if r.Method == "" {
		r.Method = http.MethodGet
		if r.Body != nil {
			r.Method = http.MethodPost
		}
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(r.Timeout, c.config.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, notSent(failure.InvalidRequest, failure.Plugin, "the provider's address is not valid", hideURL(err))
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	if r.JSON != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	limit := orDefault(r.MaxBody, c.config.MaxBody)
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("the answer is longer than %d bytes", limit)
	}
	if err != nil {
		f := failure.New(failure.Temporary, "the provider's answer broke off")
		f.Outcome, f.Blame, f.HTTPStatus = outcome(r.Method, true), failure.Provider, resp.StatusCode
		return nil, &Error{Failure: f, cause: hideURL(err)}
	}
	return &Response{Method: r.Method, Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// Do makes one attempt at req, whose context needs a deadline of its own, and
// leaves the body to the caller: it is for files. Errors are as those of [Client.Call].
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	if err := c.rules.allow(req.URL); err != nil {
		return nil, notSent(failure.InvalidRequest, failure.Plugin, "the plugin may not reach that address", err)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", c.config.UserAgent)
	}
	// A request counts as written from its first header on. That is a little
	// early, since headers are buffered, and errs on the side of not resending.
	var written atomic.Bool
	trace := &httptrace.ClientTrace{
		GotConn:          func(httptrace.GotConnInfo) { written.Store(false) },
		WroteHeaderField: func(string, []string) { written.Store(true) },
		WroteHeaders:     func() { written.Store(true) },
	}
	resp, err := c.http.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		return nil, transportError(req.Method, written.Load(), err)
	}
	return resp, nil
}

func orDefault[N time.Duration | int64](n, otherwise N) N {
	if n <= 0 {
		return otherwise
	}
	return n
}
