package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
	"github.com/stratohub/strato/sdk/webhook"
)

// secretHeader carries the secret of a webhook: UChat signs nothing.
const secretHeader = "X-Strato-Secret"

// Times of a pull. UChat's flow waits for the answer, and freezes the chat while
// it does; what takes longer is kept and looked at again.
const (
	pullTime   = time.Second
	replayTime = 2 * time.Second
	// settled is how long after a webhook its message must be in the history.
	settled = 30 * time.Second
)

// HandleWebhook implements [sdk.WebhookHandler]. The External Request of a flow
// and the live-chat webhook come to the same address. Either only tells who
// wrote; what they wrote is read from the history, where it has one id whoever
// tells of it.
func (c *channel) HandleWebhook(ctx context.Context, w sdk.Webhook) (sdk.WebhookResult, error) {
	if w.Request.Method != http.MethodPost {
		resp := plain(http.StatusMethodNotAllowed, "This address takes POST.\n")
		resp.Headers = append(resp.Headers, sdk.Header{Name: "Allow", Value: http.MethodPost})
		return sdk.WebhookResult{Response: resp}, nil
	}
	given := webhook.Header(w.Request, secretHeader)
	if !webhook.Equal(c.account.WebhookSecret, given) && !webhook.Equal(c.account.PreviousWebhookSecret, given) {
		return sdk.WebhookResult{}, nil
	}
	result := sdk.WebhookResult{Verified: true, Response: sdk.Response{
		Headers: []sdk.Header{{Name: "Content-Type", Value: "application/json"}}, Body: []byte(`{"status":"ok"}`),
	}}
	n, err := readNotice(w.Request.Body)
	if err != nil {
		return result, err
	}
	limit := pullTime
	if w.Replay {
		limit = replayTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := c.identify(ctx, &n); err != nil {
		return result, err
	}
	if c.account.MessagesFrom == fromRequest {
		result.Events = c.told(ctx, n, w.Request.ReceivedAt)
		return result, nil
	}
	result.Events, err = c.pull(ctx, n, w.Request.ReceivedAt)
	return result, err
}

// notice is what a webhook tells, of either kind.
type notice struct {
	userNS, phone, name string
	// live is set for the live-chat webhook, which brings the message itself.
	live    bool
	id      string // the message's own, of live chat
	message chatMessage
}

// readNotice understands the bodies that people write into an External Request,
// and that of the live-chat webhook. It fails with a failure of code Malformed.
func readNotice(body []byte) (notice, error) {
	var b struct {
		UserNS        str             `json:"user_ns"`
		Phone         str             `json:"phone"`
		Name          str             `json:"name"`
		FirstName     str             `json:"first_name"`
		Text          str             `json:"text"`
		LastUserInput str             `json:"last_user_input"`
		LastInputText str             `json:"last_input_text"`
		Message       json.RawMessage `json:"message"`
		Meta          struct {
			UserNS str `json:"user_ns"`
		} `json:"meta"`
	}
	if read(body, &b) != nil || !isObject(trimmed(body)) {
		return notice{}, failure.New(failure.Malformed, "the body of the webhook is not a JSON object")
	}
	n := notice{userNS: string(first(b.Meta.UserNS, b.UserNS)), phone: string(b.Phone), name: string(first(b.Name, b.FirstName))}
	if isObject(b.Message) {
		var m struct {
			ID str `json:"_id"`
		}
		_ = read(b.Message, &m)         // it came
		_ = read(b.Message, &n.message) // out of valid JSON
		n.live, n.id = true, string(m.ID)
	} else {
		var text str
		_ = text.UnmarshalJSON(b.Message)
		n.message = chatMessage{Type: typeIn, MsgType: "text", Content: first(text, b.Text, b.LastUserInput, b.LastInputText)}
	}
	for _, v := range []string{n.userNS, n.phone, string(n.message.Content)} {
		if strings.HasPrefix(v, "{{") && strings.HasSuffix(v, "}}") {
			return notice{}, failure.New(failure.Malformed, "UChat did not fill in %s; choose the variable with the picker", v)
		}
	}
	if strings.HasPrefix(n.name, "{{") {
		n.name = ""
	}
	return n, nil
}

// identify makes sure that the notice names a contact of this bot.
func (c *channel) identify(ctx context.Context, n *notice) error {
	if n.userNS == "" {
		id := digitsOf(n.phone)
		if id == "" {
			return failure.New(failure.Malformed, "the body of the webhook has no user_ns")
		}
		p, err := c.find(ctx, id, true)
		if err != nil {
			return err
		}
		n.userNS = string(p.UserNS)
	}
	if !c.ours(n.userNS) {
		return failure.New(failure.Malformed, "the contact is not one of the bot %s", c.account.FlowNS)
	}
	return nil
}

// told makes an event of what the webhook brought. The External Request has no
// id: the same words of the same person within a minute are the same message.
func (c *channel) told(ctx context.Context, n notice, arrived time.Time) []sdk.Event {
	m := n.message
	if m.Type != typeIn || m.empty() {
		return nil // a flow that only tells of a person, or what an agent wrote
	}
	p, ok := c.profiles.get(n.userNS, c.now())
	if !ok {
		var err error
		if p, err = c.profile(ctx, n.userNS); err != nil {
			p = profile{UserNS: str(n.userNS), Name: str(n.name)}
			if c.account.Channel == "" || c.account.Channel == channelWhatsApp {
				p.UserID = str(digitsOf(n.phone))
			}
		}
	}
	id := n.id
	if id == "" {
		minute := strconv.FormatInt(arrived.Unix()/60, 10)
		h := sha256.Sum256([]byte(n.userNS + "\x00" + normal(m.text()) + "\x00" + minute))
		id = "request:" + hex.EncodeToString(h[:16])
	}
	m.ID = str(id)
	return []sdk.Event{c.message(m, p, arrived)}
}

// normal is a text without what its way through a webhook may have changed.
func normal(s string) string {
	return strings.ToLower(strings.Join(strings.Fields(html.UnescapeString(s)), " "))
}

// trimmed drops the white space that JSON allows before a value.
func trimmed(b []byte) json.RawMessage {
	for len(b) > 0 && strings.IndexByte(" \t\r\n", b[0]) >= 0 {
		b = b[1:]
	}
	return b
}

func plain(status int, body string) sdk.Response {
	return sdk.Response{
		Status: status,
		Headers: []sdk.Header{
			{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
			{Name: "X-Content-Type-Options", Value: "nosniff"},
		},
		Body: []byte(body),
	}
}
