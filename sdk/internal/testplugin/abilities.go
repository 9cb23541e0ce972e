package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// Synthesize speaks as many bytes as the text says. "listen FILE" speaks for
// ever, and makes the file when nobody listens any more; "break N" has trouble
// after N bytes, "silent FILE" says nothing.
func (e *echo) Synthesize(ctx context.Context, s sdk.Speech) (sdk.Audio, error) {
	word, rest, _ := strings.Cut(s.Text, " ")
	head := sdk.AudioHead{MIMEType: "audio/ogg", SampleRate: 48_000, ProviderRequestID: e.account + "/" + s.VoiceID}
	tail := func() sdk.AudioTail {
		return sdk.AudioTail{Duration: time.Second, BilledUnits: uint64(len(s.Text)), Unit: "character"}
	}
	e.env.Metrics.Counter("characters_total", "Characters spoken.", "voice").Add(float64(len(s.Text)), s.VoiceID)
	switch word {
	case "listen", "silent":
		context.AfterFunc(ctx, func() { _ = os.WriteFile(rest, nil, 0o600) })
		return sdk.Audio{Head: head, Body: endless{ctx, word == "silent"}}, nil
	case "break":
		n, _ := strconv.Atoi(rest)
		trouble := failure.New(failure.QuotaExhausted, "no characters are left")
		return sdk.Audio{Head: head, Tail: tail, Body: io.NopCloser(io.MultiReader(&counting{left: n}, broken{trouble}))}, nil
	case "nobody":
		return sdk.Audio{Head: head}, nil
	case "panic":
		return sdk.Audio{Head: head, Body: io.NopCloser(broken{})}, nil
	}
	n, err := strconv.Atoi(s.Text)
	if err != nil {
		return sdk.Audio{}, failure.New(failure.InvalidRequest, "the text is not a number")
	}
	return sdk.Audio{Head: head, Body: io.NopCloser(&counting{left: n}), Tail: tail}, nil
}

// endless gives audio, or waits, until its context ends.
type endless struct {
	ctx    context.Context //nolint:containedctx // that of the call, which the body is part of
	silent bool
}

func (e endless) Read(p []byte) (int, error) {
	if e.silent {
		<-e.ctx.Done()
	}
	return len(p), e.ctx.Err()
}

func (e endless) Close() error { return nil }

// counting gives bytes that count up, so that lost or turned ones are seen.
type counting struct{ left, at int }

func (c *counting) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), c.left)
	for i := range n {
		p[i] = byte((c.at + i) % 251)
	}
	c.left, c.at = c.left-n, c.at+n
	return n, nil
}

// broken fails, or crashes if it has no failure to give.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) {
	if b.err == nil {
		panic("the audio crashed")
	}
	return 0, b.err
}

// PlaceCall names the call by what it was asked for, as JSON.
func (e *echo) PlaceCall(_ context.Context, o sdk.CallOrder) (sdk.PlacedCall, error) {
	switch o.AgentID {
	case "busy":
		return sdk.PlacedCall{}, &failure.Failure{Code: failure.RateLimited, RetryAfter: time.Minute, Message: "all lines are taken"}
	case "fail":
		return sdk.PlacedCall{}, errors.New("a problem with " + e.token)
	}
	b, err := json.Marshal(o)
	return sdk.PlacedCall{ProviderCallID: string(b)}, err
}

// EndCall knows the call "c1" only.
func (e *echo) EndCall(_ context.Context, id string) error {
	if id != "c1" {
		return failure.New(failure.InvalidRequest, "there is no call %s", id)
	}
	return nil
}

// GetCall tells of any call but "gone".
func (e *echo) GetCall(_ context.Context, id string) (sdk.CallUpdate, error) {
	if id == "gone" {
		return sdk.CallUpdate{}, errors.New("a problem with " + e.token)
	}
	return sdk.CallUpdate{ProviderCallID: id, State: "completed", Duration: 90 * time.Second, Summary: "wants a house",
		Collected: map[string]string{"rooms": "3"}}, nil
}

// ListTemplates has two pages of one template.
func (e *echo) ListTemplates(_ context.Context, pageToken string) ([]sdk.TemplateInfo, string, error) {
	switch pageToken {
	case "":
		return []sdk.TemplateInfo{{Name: "visit", Language: "es_AR", Status: "approved", Body: []byte(`{"components":[]}`)}}, "two", nil
	case "two":
		return []sdk.TemplateInfo{{Name: "welcome", Language: "es_AR", Status: "pending", Quality: "high"}}, "", nil
	}
	return nil, "", failure.New(failure.InvalidRequest, "there is no page %s", pageToken)
}

// SubmitTemplate takes every template but "bad".
func (e *echo) SubmitTemplate(_ context.Context, key string, t sdk.TemplateInfo) (sdk.TemplateInfo, error) {
	if t.Name == "bad" {
		return sdk.TemplateInfo{}, failure.New(failure.Template, "the name is taken")
	}
	t.ProviderID, t.Status = e.account+"/"+key, "pending"
	return t, nil
}

// DeleteTemplate knows the template "visit" only.
func (e *echo) DeleteTemplate(_ context.Context, name, language string) error {
	if name != "visit" {
		return failure.New(failure.Template, "there is no template %s in %q", name, language)
	}
	return nil
}

// PullLeads has as many leads as its account is long, one for each poll's limit.
// The cursor counts them; "many" gives more than a page may hold.
func (e *echo) PullLeads(_ context.Context, cursor string, limit int) (sdk.LeadPage, error) {
	if cursor == "many" {
		return sdk.LeadPage{Events: make([]sdk.Event, 1001)}, nil
	}
	at, _ := strconv.Atoi(cursor)
	page := sdk.LeadPage{}
	for ; at < len(e.account) && len(page.Events) < limit; at++ {
		id := e.account + "-" + strconv.Itoa(at)
		page.Events = append(page.Events, sdk.Event{DedupeKey: id, Payload: sdk.LeadCaptured{ProviderLeadID: id, Source: "form"}})
	}
	page.NextCursor, page.More = strconv.Itoa(at), at < len(e.account)
	return page, nil
}
