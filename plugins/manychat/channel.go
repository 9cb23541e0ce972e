package main

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/serve"
	"github.com/stratohub/strato/sdk/settings"
)

// apiURL is the provider's address unless the operator says otherwise.
const apiURL = "https://api.manychat.com"

// The channels that a contact of ManyChat may write on, as the literal key of
// the tenant's step names them.
const (
	onWhatsApp  = "whatsapp"
	onInstagram = "instagram"
	onMessenger = "messenger"
	onTelegram  = "telegram"
	onOther     = "other"
)

// keyPage is the routing key of a ManyChat account. Each channel has a key of
// its own beside it, so that a contact who writes on two has two conversations
// and is answered where the question came from.
const keyPage = "page_id"

// flowChannels are the channels for which the settings name a flow.
var flowChannels = []string{onWhatsApp, onInstagram, onMessenger, onTelegram}

// minSecret is the shortest secret that is taken.
const minSecret = 16

// channelKeys are the routing keys of the channels.
var channelKeys = map[string]string{
	onWhatsApp:  "whatsapp_page",
	onInstagram: "instagram_page",
	onMessenger: "messenger_page",
	onTelegram:  "telegram_page",
	onOther:     "other_page",
}

// The kinds of address that a person is known by. A telephone has the kind that
// all plugins share, so that the person is found again.
const (
	kindSubscriber = "manychat_id"
	kindPhone      = "phone"
	kindUser       = "bsuid"
)

// How a text is given to ManyChat.
const (
	byContent = "content"
	byFlow    = "flow"
)

var (
	keyForm  = regexp.MustCompile(`^([0-9]{1,20}):[0-9A-Za-z]{16,128}$`)
	flowForm = regexp.MustCompile(`^content[0-9]{8,20}_[0-9]+$`)
	tagForm  = regexp.MustCompile(`^[A-Z][A-Z_]{2,60}$`)
)

// account is what a tenant fills in.
type account struct {
	APIKey string `json:"api_key"`
	// The two secrets have equal standing: while one is replaced, both hold.
	WebhookSecret       string `json:"webhook_secret"`
	SecondWebhookSecret string `json:"second_webhook_secret"`
	// BlockText is what a Dynamic Block shows at once; empty shows nothing.
	BlockText string `json:"block_text"`
	// ReplyBy is byContent if empty.
	ReplyBy       string `json:"reply_by"`
	ReplyField    string `json:"reply_field"`
	FlowWhatsApp  string `json:"flow_whatsapp"`
	FlowInstagram string `json:"flow_instagram"`
	FlowMessenger string `json:"flow_messenger"`
	FlowTelegram  string `json:"flow_telegram"`
	// MessageTag lets a message out on Messenger after the window.
	MessageTag string `json:"message_tag"`
	// PhoneField is a text field that holds the digits of contacts' numbers.
	PhoneField     string `json:"phone_field"`
	CreateContacts bool   `json:"create_contacts"`
}

// flow is the flow that prints the reply field on a channel; empty for none.
func (a account) flow(on string) string {
	switch on {
	case onWhatsApp:
		return a.FlowWhatsApp
	case onInstagram:
		return a.FlowInstagram
	case onMessenger:
		return a.FlowMessenger
	case onTelegram:
		return a.FlowTelegram
	}
	return ""
}

// channel serves one installation. Between calls it keeps nothing but the count
// of its requests.
type channel struct {
	account account
	api     *api
	now     func() time.Time
}

// newChannel is the plugin's factory.
func newChannel(_ context.Context, i sdk.Installation, env serve.Env) (*channel, error) {
	c := &channel{now: time.Now}
	if err := settings.Decode(i, &c.account); err != nil {
		return nil, err
	}
	base, err := baseURL(env.Operator)
	if err != nil {
		return nil, err
	}
	c.account.ReplyBy = cmp.Or(c.account.ReplyBy, byContent)
	c.api = &api{http: env.HTTP, base: base, token: c.account.APIKey, limits: newLimits(time.Now)}
	return c, nil
}

// start refuses operator's settings that no call could work with.
func start(_ context.Context, env serve.Env) error {
	_, err := baseURL(env.Operator)
	return err
}

func baseURL(operator map[string]string) (string, error) {
	base := cmp.Or(operator["base_url"], apiURL)
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("the operator's setting base_url is not an http or https URL")
	}
	return strings.TrimRight(base, "/"), nil
}

// number is the account's number as the API key begins with it; empty if the
// key has no such form.
func (a account) number() string {
	if m := keyForm.FindStringSubmatch(a.APIKey); m != nil {
		return m[1]
	}
	return ""
}

// claims are the keys under which the events of a page come, the main one first.
func claims(page string) []sdk.RouteKey {
	keys := []sdk.RouteKey{{Kind: keyPage, Value: page}}
	for _, on := range append(slices.Clone(flowChannels), onOther) {
		keys = append(keys, sdk.RouteKey{Kind: channelKeys[on], Value: page})
	}
	return keys
}

// Validate implements [sdk.Validator]. The keys that an installation claims are
// known only once ManyChat was asked.
func (c *channel) Validate(context.Context) ([]sdk.Diagnostic, []sdk.RouteKey) {
	var out []sdk.Diagnostic
	find := func(bad bool, s sdk.Severity, pointer, summary, detail string) {
		if bad {
			out = append(out, sdk.Diagnostic{Severity: s, Pointer: pointer, Summary: summary, Detail: detail})
		}
	}
	a := c.account
	find(a.number() == "", sdk.SeverityError, "/api_key", "The API key does not have the form number:letters.",
		"Copy the whole key, with the number and the colon, from ManyChat, Settings, API.")
	find(a.WebhookSecret == "" && a.SecondWebhookSecret == "", sdk.SeverityError, "/webhook_secret",
		"Without a secret no message can be received.", "ManyChat signs nothing: the secret in the step's header is the only proof.")
	for _, s := range []struct{ pointer, value string }{
		{"/webhook_secret", a.WebhookSecret}, {"/second_webhook_secret", a.SecondWebhookSecret},
	} {
		find(s.value != "" && len(s.value) < minSecret, sdk.SeverityError, s.pointer, "The secret has fewer than 16 characters.", "")
		find(strings.ContainsAny(s.value, " \t\r\n"), sdk.SeverityError, s.pointer, "The secret holds white space.", "")
	}
	find(a.WebhookSecret != "" && a.WebhookSecret == a.SecondWebhookSecret, sdk.SeverityWarning, "/second_webhook_secret",
		"Both secrets are the same.", "The second is for the time in which the first is replaced.")
	find(a.ReplyBy == byFlow && a.ReplyField == "", sdk.SeverityError, "/reply_field",
		"Replies by flow need the custom field that the flow prints.", "")
	find(a.ReplyBy == byFlow && a.FlowWhatsApp+a.FlowInstagram+a.FlowMessenger+a.FlowTelegram == "", sdk.SeverityError, "/flow_whatsapp",
		"Replies by flow need the flow of one channel at least.", "")
	for _, on := range flowChannels {
		ns := a.flow(on)
		find(ns != "" && !flowForm.MatchString(ns), sdk.SeverityError, "/flow_"+on,
			"This is not the id of a flow.", "It looks like content20260416033957_434106.")
	}
	find(a.MessageTag != "" && !tagForm.MatchString(a.MessageTag), sdk.SeverityError, "/message_tag",
		"A message tag has capitals and underscores only, such as ACCOUNT_UPDATE.", "")
	find(a.CreateContacts && a.PhoneField == "", sdk.SeverityWarning, "/phone_field",
		"Without a field for the number, contacts of WhatsApp are hard to find again.",
		"ManyChat does not search by the WhatsApp number; Strato then writes it into the contact's phone.")
	return out, nil
}
