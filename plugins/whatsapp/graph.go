package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/httpx"
)

// graph speaks with Meta's Graph API in the name of one tenant.
type graph struct {
	http  *httpx.Client
	base  string
	token string
}

// object is a JSON object to send.
type object map[string]any

// call is one request of the Graph API.
type call struct {
	// method is GET if empty, or POST if there is a body.
	method string
	// path has its elements one by one.
	path  []string
	query url.Values
	body  object
	// attempt of the message that the call is for; zero counts as 1.
	attempt int
}

// do makes one attempt at c and reads the answer into out, if that is not nil.
// Every error holds a failure.
func (g graph) do(ctx context.Context, c call, out any) error {
	path := make([]string, len(c.path))
	for i, p := range c.path {
		path[i] = url.PathEscape(p)
	}
	at := g.base + "/" + strings.Join(path, "/")
	if len(c.query) > 0 {
		at += "?" + c.query.Encode()
	}
	r := httpx.Request{Method: c.method, URL: at, Header: g.header()}
	if c.body != nil {
		r.JSON = c.body
	}
	resp, err := g.http.Call(ctx, r)
	if err != nil {
		return err
	}
	// The error decides, not the status: the documentation itself is not sure
	// which status goes with which error.
	var refused struct {
		Error *graphBody `json:"error"`
	}
	if read(resp.Body, &refused) == nil && refused.Error != nil && refused.Error.Code != "" {
		f := refuse(*refused.Error, resp.Status, max(c.attempt, 1))
		if after := httpx.RetryAfter(resp.Header, time.Now()); after > 0 {
			f.RetryAfter = after
		}
		return f
	}
	if f := resp.Failure(); f != nil {
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

// header carries the token, which travels nowhere else.
func (g graph) header() http.Header {
	return http.Header{"Authorization": {"Bearer " + g.token}, "Accept": {"application/json"}}
}
