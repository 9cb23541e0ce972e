package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/httpx"
)

// timeout is that of the provider's own client.
const timeout = 10 * time.Second

// api speaks with ManyChat in the name of one account. Its paths begin with
// /fb/ for every channel.
type api struct {
	http   *httpx.Client
	base   string
	token  string
	limits *limits
}

// get asks; out, if not nil, takes the data of the answer.
func (a *api) get(ctx context.Context, endpoint string, query url.Values, out any) error {
	at := a.base + "/fb/" + endpoint
	if len(query) > 0 {
		at += "?" + query.Encode() // the + of a number becomes %2B
	}
	return a.do(ctx, endpoint, httpx.Request{Method: http.MethodGet, URL: at}, out)
}

// post tells.
func (a *api) post(ctx context.Context, endpoint string, body object, out any) error {
	return a.do(ctx, endpoint, httpx.Request{Method: http.MethodPost, URL: a.base + "/fb/" + endpoint, JSON: body}, out)
}

// do makes one attempt. Every error holds a failure.
func (a *api) do(ctx context.Context, endpoint string, r httpx.Request, out any) error {
	if err := a.limits.take(endpoint); err != nil {
		return err
	}
	r.Header = http.Header{"Authorization": {"Bearer " + a.token}, "Accept": {"application/json"}}
	r.Timeout = timeout
	resp, err := a.http.Call(ctx, r)
	if err != nil {
		return err
	}
	var answer answer
	readable := read(resp.Body, &answer) == nil && isObject(resp.Body)
	switch {
	case readable && answer.Status == "success" && resp.OK():
	case readable && answer.Status == "error" && resp.Status < 500, resp.Status >= 400 && resp.Status < 500:
		f := refuse(answer, resp.Status)
		if after := httpx.RetryAfter(resp.Header, time.Now()); after > 0 {
			f.RetryAfter = after
		}
		return &refused{f, answer}
	case !resp.OK() && resp.Failure() != nil:
		return resp.Failure()
	default:
		f := failure.New(failure.Temporary, "ManyChat answered something that is not what it documents")
		f.Outcome, f.Blame, f.HTTPStatus = failure.Unknown, failure.Provider, resp.Status
		if r.Method == http.MethodGet {
			f.Outcome = failure.NotSent
		}
		return f
	}
	if out == nil {
		return nil
	}
	return read(answer.Data, out)
}

// answer is the envelope of every answer.
type answer struct {
	Status  str             `json:"status"`
	Message str             `json:"message"`
	Code    str             `json:"code"`
	Data    json.RawMessage `json:"data"`
	Details struct {
		Messages json.RawMessage `json:"messages"`
	} `json:"details"`
}

// finding is one of the details of a refusal.
type finding struct{ field, words string }

// findings reads the details, which come as a list, or as an object by field
// whose values hold a list again.
func (a answer) findings() []finding {
	type item struct {
		Message json.RawMessage `json:"message"`
	}
	words := func(field string, raw json.RawMessage) []finding {
		var one str
		_ = one.UnmarshalJSON(bytes.TrimSpace(raw))
		if one != "" {
			return []finding{{field, string(one)}}
		}
		var list []str
		_ = read(raw, &list)
		var out []finding
		for _, s := range list {
			if s != "" {
				out = append(out, finding{field, string(s)})
			}
		}
		return out
	}
	var (
		out    []finding
		list   []item
		fields map[string]json.RawMessage
	)
	switch raw := a.Details.Messages; {
	case json.Unmarshal(raw, &list) == nil:
		for _, i := range list {
			out = append(out, words("", i.Message)...)
		}
	case json.Unmarshal(raw, &fields) == nil:
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			raw := fields[field]
			var i item
			if isObject(raw) && read(raw, &i) == nil {
				raw = i.Message
			}
			out = append(out, words(field, raw)...)
		}
	default:
		out = words("", raw)
	}
	return out
}

// one reads data that is an object, or a list with one, or an empty list for
// nothing; it reports whether there was one.
func one(raw json.RawMessage, out any) bool {
	if isObject(raw) {
		return read(raw, out) == nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 || !isObject(list[0]) {
		return false
	}
	return read(list[0], out) == nil
}
