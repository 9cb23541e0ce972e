package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// client is somebody who is signed in.
type client struct {
	t     testing.TB
	base  string
	token string
	http  *http.Client
}

// signIn signs one of the demo's people in.
func (d *demo) signIn(email string) *client {
	d.t.Helper()
	return signIn(d.t, d.url(), email, "strato-demo")
}

func signIn(t testing.TB, base, email, password string) *client {
	t.Helper()
	c := &client{t: t, base: base, http: &http.Client{Timeout: patience}}
	var session struct {
		AccessToken string `json:"access_token"`
	}
	c.post("/api/session", map[string]string{"email": email, "password": password}, &session)
	require.NotEmpty(t, session.AccessToken)
	c.token = session.AccessToken
	return c
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (c *client) do(method, path string, in any, header ...string) answer {
	c.t.Helper()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		require.NoError(c.t, err)
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, body)
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for n := 0; n < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return answer{resp.StatusCode, resp.Header, raw}
}

// get reads a resource into out.
func (c *client) get(path string, out any) {
	c.t.Helper()
	a := c.do(http.MethodGet, path, nil)
	require.Equal(c.t, http.StatusOK, a.status, "%s: %s", path, a.body)
	require.NoError(c.t, json.Unmarshal(a.body, out))
}

func (c *client) post(path string, in, out any, header ...string) {
	c.t.Helper()
	a := c.do(http.MethodPost, path, in, header...)
	require.Less(c.t, a.status, 300, "%s: %s", path, a.body)
	require.NoError(c.t, json.Unmarshal(a.body, out))
}

// refused makes a request that must fail with a code.
func (c *client) refused(status int, code, method, path string, in any) {
	c.t.Helper()
	a := c.do(method, path, in)
	require.Equal(c.t, status, a.status, "%s %s: %s", method, path, a.body)
	var problem struct {
		Code string `json:"code"`
	}
	require.NoError(c.t, json.Unmarshal(a.body, &problem), "%s", a.body)
	require.Equal(c.t, code, problem.Code)
}

type page[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

// all reads a list to its end.
func all[T any](c *client, path string) []T {
	c.t.Helper()
	var items []T
	for after := ""; ; {
		var p page[T]
		c.get(path+"?limit=100"+after, &p)
		items = append(items, p.Items...)
		if p.Next == nil {
			return items
		}
		after = "&after=" + *p.Next
	}
}

type identity struct{ Kind, Value string }

type person struct {
	ID         string
	Name       string
	Identities []identity
}

func (p person) is(kind, value string) bool {
	for _, i := range p.Identities {
		if i.Kind == kind && i.Value == value {
			return true
		}
	}
	return false
}

type leadView struct {
	ID             string
	Status         string
	Source         string
	AssigneeID     string `json:"assignee_id"`
	ConversationID string `json:"conversation_id"`
	Contact        person
	Referral       *struct {
		SourceType string `json:"source_type"`
		Headline   string
		ClickID    string `json:"click_id"`
	}
}

type conversationView struct {
	ID         string
	LeadID     string `json:"lead_id"`
	Holder     string
	Preview    string
	Unread     int
	AssigneeID string `json:"assignee_id"`
	Contact    person
}

type messageView struct {
	ID           string
	Direction    string
	Author       string
	Type         string
	Text         string
	ExternalID   string `json:"external_id"`
	ReplyTo      string `json:"reply_to"`
	Status       string
	FailureCode  string `json:"failure_code"`
	ProviderCode string `json:"provider_code"`
	Attempts     int
	OccurredAt   time.Time `json:"occurred_at"`
	SentAt       time.Time `json:"sent_at"`
	DeliveredAt  time.Time `json:"delivered_at"`
	ReadAt       time.Time `json:"read_at"`
	Content      struct {
		Media     *struct{ Kind, MIMEType string }
		Location  *struct{ Latitude, Longitude float64 }
		Reaction  *struct{ TargetID, Emoji string }
		Selection *struct{ Kind, ID, Title string }
	}
}

// lead waits for the lead of a person.
func (c *client) lead(kind, value string) leadView {
	c.t.Helper()
	var found leadView
	eventually(c.t, func() bool {
		for _, l := range all[leadView](c, "/api/leads") {
			if l.Contact.is(kind, value) {
				found = l
				return true
			}
		}
		return false
	}, "%s %s has no lead", kind, value)
	return found
}

// messages are those of a conversation, newest first.
func (c *client) messages(conversation string) []messageView {
	c.t.Helper()
	return all[messageView](c, "/api/conversations/"+conversation+"/messages")
}

// message waits for one message of a conversation.
func (c *client) message(conversation, what string, is func(messageView) bool) messageView {
	c.t.Helper()
	var found messageView
	var list []messageView
	eventually(c.t, func() bool {
		list = c.messages(conversation)
		for _, m := range list {
			if is(m) {
				found = m
				return true
			}
		}
		return false
	}, "%s: there is none among %+v", what, deferred(func() string {
		raw, _ := json.MarshalIndent(list, "", " ")
		return string(raw)
	}))
	return found
}

// say sends a message as the client.
func (c *client) say(conversation, text string, header ...string) messageView {
	c.t.Helper()
	var m messageView
	c.post("/api/conversations/"+conversation+"/messages", map[string]string{"text": text}, &m, header...)
	return m
}

// reaches waits until a message has a status.
func (c *client) reaches(conversation, id, status string) messageView {
	c.t.Helper()
	return c.message(conversation, "message "+id+" "+status, func(m messageView) bool { return m.ID == id && m.Status == status })
}

// events are what a stream told.
type events struct {
	mu   sync.Mutex
	list []liveEvent
}

type liveEvent struct {
	Type   string
	ID     string
	Parent string
}

// follow opens the stream of live events and returns when it is ready.
func (c *client) follow() *events {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.base+"/api/events", nil)
	require.NoError(c.t, err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := (&http.Client{}).Do(req)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
	e := &events{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.read(resp.Body)
	}()
	c.t.Cleanup(func() { resp.Body.Close(); <-done })
	e.wait(c.t, "ready", "", "")
	return e
}

func (e *events) read(body io.Reader) {
	kind := ""
	for lines := bufio.NewScanner(body); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			kind = name
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var one liveEvent
			_ = json.Unmarshal([]byte(data), &one)
			one.Type = kind
			e.mu.Lock()
			e.list = append(e.list, one)
			e.mu.Unlock()
		}
	}
}

func (e *events) seen() []liveEvent {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]liveEvent(nil), e.list...)
}

// wait waits for an event; an empty id or parent is any.
func (e *events) wait(t testing.TB, kind, id, parent string) {
	t.Helper()
	eventually(t, func() bool {
		for _, one := range e.seen() {
			if one.Type == kind && (id == "" || one.ID == id) && (parent == "" || one.Parent == parent) {
				return true
			}
		}
		return false
	}, "the stream does not tell %s of %s %s, only %+v", kind, id, parent, deferred(func() string {
		raw, _ := json.Marshal(e.seen())
		return string(raw)
	}))
}
