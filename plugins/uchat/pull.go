package main

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

const (
	// lookBack is how far a pull reads: what was missed while a flow was broken
	// is found when the person writes again.
	lookBack = 24 * time.Hour
	// echoAge is how old a message of the bot may be to be shown. What Strato
	// itself sent within that time is remembered, because the history names it
	// no better than the bot's.
	echoAge = 15 * time.Minute
	// profileAge is how long a profile is good for.
	profileAge = 5 * time.Minute
	// pageSize is the most that the history gives at once.
	pageSize = 100
)

// profile is a contact, called BotUser in the provider's documents.
type profile struct {
	UserNS    str `json:"user_ns"`
	UserID    str `json:"user_id"`
	Name      str `json:"name"`
	FirstName str `json:"first_name"`
	LastName  str `json:"last_name"`
	Email     str `json:"email"`
	Phone     str `json:"phone"`
	Language  str `json:"language"`
	Tags      []struct {
		Name str `json:"name"`
	} `json:"tags"`
	Fields []struct {
		Name  str `json:"name"`
		Value str `json:"value"`
	} `json:"user_fields"`
}

// profile asks for a contact.
func (c *channel) profile(ctx context.Context, userNS string) (profile, error) {
	return c.ask(ctx, "/subscriber/get-info", url.Values{"user_ns": {userNS}}, true)
}

// find asks for the contact with an id in the channel, such as a telephone
// number in digits.
func (c *channel) find(ctx context.Context, userID string, patient bool) (profile, error) {
	return c.ask(ctx, "/subscriber/get-info-by-user-id", url.Values{"user_id": {userID}}, patient)
}

func (c *channel) ask(ctx context.Context, path string, q url.Values, patient bool) (profile, error) {
	var p one[profile]
	if err := c.api.do(ctx, call{path: path, query: q, patient: patient}, &p); err != nil {
		return profile{}, err
	}
	if !c.ours(string(p.Value.UserNS)) {
		return profile{}, refusal(failure.Recipient, failure.Tenant, "UChat knows no such person in this bot")
	}
	c.profiles.put(string(p.Value.UserNS), p.Value, c.now())
	return p.Value, nil
}

// history asks for a contact's messages since a moment, the oldest first.
func (c *channel) history(ctx context.Context, userNS string, since time.Time) ([]chatMessage, error) {
	var list many[chatMessage]
	q := url.Values{
		"user_ns": {userNS}, "include_bot": {"1"}, "limit": {strconv.Itoa(pageSize)},
		"start_time": {strconv.FormatInt(since.Unix(), 10)},
	}
	if err := c.api.do(ctx, call{path: "/subscriber/chat-messages", query: q, patient: true}, &list); err != nil {
		return nil, err
	}
	// They come newest first, and their times are whole seconds.
	slices.Reverse(list.Items)
	slices.SortStableFunc(list.Items, func(a, b chatMessage) int { return a.at(time.Time{}).Compare(b.at(time.Time{})) })
	return list.Items, nil
}

// pull reads a contact's profile and messages after a webhook told of them.
func (c *channel) pull(ctx context.Context, n notice, arrived time.Time) ([]sdk.Event, error) {
	var (
		messages          []chatMessage
		failed, profileOf error
		wait              sync.WaitGroup
	)
	wait.Go(func() { messages, failed = c.history(ctx, n.userNS, arrived.Add(-lookBack)) })
	p, known := c.profiles.get(n.userNS, c.now())
	if !known {
		p, profileOf = c.profile(ctx, n.userNS)
	}
	wait.Wait()
	for _, err := range []error{failed, profileOf} {
		if err != nil {
			return nil, err
		}
	}
	var events []sdk.Event
	if !known {
		events = append(events, c.described(p, arrived))
	}
	for _, m := range messages {
		if c.worthTelling(m, n.userNS, arrived) {
			events = append(events, c.message(m, p, arrived))
		}
	}
	if arrives(n, messages, arrived) {
		return events, nil
	}
	// The message that the webhook is about is not in the history yet.
	if c.now().Before(arrived.Add(settled)) {
		f := refusal(failure.Temporary, failure.Provider, "UChat's history does not have the message yet")
		f.RetryAfter = 2 * time.Second
		return nil, f
	}
	return append(events, c.told(ctx, n, arrived)...), nil
}

// worthTelling leaves out the bot's older words, and those that Strato sent.
func (c *channel) worthTelling(m chatMessage, userNS string, arrived time.Time) bool {
	switch m.Type {
	case typeIn:
		return m.ID != ""
	case typeOut, typeAgent:
		if m.ID == "" || m.at(arrived).Before(arrived.Add(-echoAge)) {
			return false
		}
		return !c.isOurs(m, userNS, arrived)
	}
	return false
}

// arrives reports whether the history has the message that a webhook is about:
// its words, or anything that the person wrote just then. A webhook that brings
// no words asks for nothing in particular.
func arrives(n notice, messages []chatMessage, arrived time.Time) bool {
	if n.message.Type != typeIn || n.message.empty() {
		return true
	}
	want := normal(n.message.said())
	for _, m := range messages {
		if m.Type != typeIn {
			continue
		}
		if at := m.at(arrived); !at.Before(arrived.Add(-time.Minute)) || normal(m.said()) == want {
			return true
		}
	}
	return false
}

// mark is the key under which a message that Strato sent is remembered; wordless
// ones are told by their time.
func mark(userNS, said string) string { return userNS + "\x00" + normal(said) }

// blurred is how far the time of a wordless message may be off.
const blurred = 10 * time.Second

// remember notes what is about to be sent to a contact: words and files as the
// history will show them, or none where that is not known.
func (c *channel) remember(userNS string, said []string) {
	if len(said) == 0 {
		said = []string{""}
	}
	for _, one := range said {
		c.sent.put(mark(userNS, one), c.now(), c.now())
	}
}

// forget takes back what was not sent after all.
func (c *channel) forget(userNS string, said []string) {
	for _, one := range append(said, "") {
		c.sent.drop(mark(userNS, one))
	}
}

// isOurs reports whether Strato sent a message.
func (c *channel) isOurs(m chatMessage, userNS string, arrived time.Time) bool {
	if _, ok := c.sent.get(mark(userNS, m.said()), c.now()); ok {
		return true
	}
	at, ok := c.sent.get(mark(userNS, ""), c.now())
	return ok && m.at(arrived).Sub(at).Abs() <= blurred
}
