package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/httpx"
)

// api speaks with ElevenLabs in the name of one tenant.
type api struct {
	http *httpx.Client
	base string
	key  string
}

// object is a JSON object to send.
type object map[string]any

// call is one request.
type call struct {
	// method is GET if empty, or POST if there is a body.
	method string
	// path has its elements one by one.
	path  []string
	query url.Values
	body  object
}

func (a api) url(c call) string {
	path := make([]string, len(c.path))
	for i, p := range c.path {
		path[i] = url.PathEscape(p)
	}
	at := a.base + "/" + strings.Join(path, "/")
	if len(c.query) > 0 {
		at += "?" + c.query.Encode()
	}
	return at
}

// header carries the key, which travels nowhere else.
func (a api) header() http.Header { return http.Header{"Xi-Api-Key": {a.key}} }

// do makes one attempt at c and reads the answer into out, if that is not nil.
// Every error holds a failure.
func (a api) do(ctx context.Context, c call, out any) error {
	r := httpx.Request{Method: c.method, URL: a.url(c), Header: a.header()}
	if c.body != nil {
		r.JSON = c.body
	}
	resp, err := a.http.Call(ctx, r)
	if err != nil {
		return err
	}
	if f := refused(resp); f != nil {
		return f
	}
	if out == nil {
		return nil
	}
	if err := resp.Decode(&json.RawMessage{}); err != nil {
		return err
	}
	return read(resp.Body, out)
}

// maxRefusal bounds what is read of a refusal.
const maxRefusal = 64 << 10

// open makes one attempt at c and leaves the body to the caller, who closes it.
// Every error holds a failure.
func (a api) open(ctx context.Context, c call) (*http.Response, error) {
	var body io.Reader
	method := http.MethodGet
	if c.body != nil {
		raw, err := json.Marshal(c.body)
		if err != nil {
			return nil, refusal(failure.InvalidRequest, failure.Plugin, "the order could not be written for ElevenLabs")
		}
		body, method = strings.NewReader(string(raw)), http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url(c), body)
	if err != nil {
		return nil, refusal(failure.InvalidRequest, failure.Plugin, "the provider's address is not valid")
	}
	req.Header = a.header()
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // the status says enough
	return nil, refused(&httpx.Response{Method: method, Status: resp.StatusCode, Header: resp.Header, Body: raw})
}

// refused is the failure that an answer tells of, nil for none.
func refused(resp *httpx.Response) error {
	if resp.OK() {
		return nil
	}
	f := refuse(resp.Failure(), resp.Body)
	f.TraceID = resp.Header.Get("request-id")
	if f.TraceID == "" {
		f.TraceID = resp.Header.Get("x-trace-id")
	}
	if after := httpx.RetryAfter(resp.Header, time.Now()); after > 0 {
		f.RetryAfter = after
	}
	return f
}
