package main

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/serve"
	"github.com/stratohub/strato/sdk/settings"
)

// account is what a tenant fills in.
type account struct {
	FlowNS                string `json:"flow_ns"`
	APIKey                string `json:"api_key"`
	Channel               string `json:"channel"`
	Reseller              string `json:"reseller"`
	WebhookSecret         string `json:"webhook_secret"`
	PreviousWebhookSecret string `json:"previous_webhook_secret"`
	MessagesFrom          string `json:"messages_from"`
	ResumeBot             string `json:"resume_bot"`
	InboundWebhook        string `json:"inbound_webhook"`
}

// The values of the settings that are not their defaults.
const (
	fromRequest  = "request"
	resumeAlways = "always"
	resumeNever  = "never"
)

// channel serves one installation. What it remembers between calls only saves
// requests, or keeps a message from being shown twice: without it all is right.
type channel struct {
	account account
	api     *api
	log     *slog.Logger
	now     func() time.Time

	profiles  cache[profile]
	templates cache[template]
	sent      cache[time.Time]
}

// newChannel is the plugin's factory.
func newChannel(_ context.Context, i sdk.Installation, env serve.Env) (*channel, error) {
	c := &channel{
		log: env.Log, now: time.Now,
		profiles:  cache[profile]{keep: profileAge},
		templates: cache[template]{keep: templateAge},
		sent:      cache[time.Time]{keep: echoAge},
	}
	if err := settings.Decode(i, &c.account); err != nil {
		return nil, err
	}
	p, err := placeOf(env.Operator, c.account.Reseller)
	if err != nil {
		return nil, err
	}
	c.api, err = newAPI(p, c.account.APIKey, env.HTTP)
	return c, err
}

// start refuses operator's settings that no call could work with.
func start(_ context.Context, env serve.Env) error {
	if _, err := resellersOf(env.Operator["resellers"]); err != nil {
		return err
	}
	_, err := placeOf(env.Operator, "")
	return err
}

// Close implements [sdk.Closer].
func (c *channel) Close() error {
	c.api.close()
	return nil
}

var contactForm = regexp.MustCompile(`^(f[0-9]{1,15})u[0-9]{1,18}$`)

// ours reports whether a contact is one of this installation's bot.
func (c *channel) ours(userNS string) bool {
	m := contactForm.FindStringSubmatch(userNS)
	return m != nil && m[1] == c.account.FlowNS
}

// Validate implements [sdk.Validator].
func (c *channel) Validate(context.Context) ([]sdk.Diagnostic, []sdk.RouteKey) {
	var out []sdk.Diagnostic
	find := func(bad bool, pointer, summary, detail string) {
		if bad {
			out = append(out, sdk.Diagnostic{Severity: sdk.SeverityError, Pointer: pointer, Summary: summary, Detail: detail})
		}
	}
	a := c.account
	for _, s := range []struct{ pointer, value string }{
		{"/api_key", a.APIKey}, {"/webhook_secret", a.WebhookSecret}, {"/previous_webhook_secret", a.PreviousWebhookSecret},
	} {
		find(strings.ContainsAny(s.value, " \t\r\n"), s.pointer,
			"The value holds white space.", "It was probably copied together with its surroundings.")
	}
	find(a.APIKey == "", "/api_key", "The API key is missing.", "")
	find(len(a.WebhookSecret) < minSecret, "/webhook_secret", fmt.Sprintf("The secret needs at least %d characters.", minSecret),
		"UChat signs nothing: this word alone tells its webhooks from forged ones.")
	find(a.WebhookSecret != "" && a.WebhookSecret == a.APIKey, "/webhook_secret",
		"The secret must not be the API key.", "Whoever reads a flow's requests would hold the whole bot.")
	if a.PreviousWebhookSecret != "" {
		out = append(out, sdk.Diagnostic{
			Severity: sdk.SeverityWarning, Pointer: "/previous_webhook_secret",
			Summary: "The previous secret still opens the door.", Detail: "Delete it once all flows carry the new one.",
		})
	}
	return out, nil
}

// minSecret is the shortest secret that is taken.
const minSecret = 16
