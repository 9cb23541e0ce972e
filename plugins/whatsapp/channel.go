package main

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/serve"
	"github.com/stratohub/strato/sdk/settings"
)

// The provider's address and version unless the operator says otherwise.
const (
	graphURL       = "https://graph.facebook.com"
	defaultVersion = "v24.0"
)

var versionForm = regexp.MustCompile(`^v[0-9]{1,3}\.[0-9]{1,3}$`)

// account is what a tenant fills in.
type account struct {
	PhoneNumberID     string `json:"phone_number_id"`
	BusinessAccountID string `json:"business_account_id"`
	AccessToken       string `json:"access_token"`
	AppSecret         string `json:"app_secret"`
	VerifyToken       string `json:"verify_token"`
}

// channel serves one installation. It keeps nothing between calls.
type channel struct {
	account account
	// appSecret and verifyToken are the tenant's, or the operator's for tenants
	// who have no app of their own.
	appSecret, verifyToken string
	graph                  graph
}

// newChannel is the plugin's factory.
func newChannel(_ context.Context, i sdk.Installation, env serve.Env) (*channel, error) {
	c := &channel{}
	if err := settings.Decode(i, &c.account); err != nil {
		return nil, err
	}
	base, err := baseURL(env.Operator)
	if err != nil {
		return nil, err
	}
	c.graph = graph{http: env.HTTP, base: base, token: c.account.AccessToken}
	c.appSecret, c.verifyToken = c.account.AppSecret, c.account.VerifyToken
	if c.appSecret == "" {
		c.appSecret = env.Operator["app_secret"]
	}
	if c.verifyToken == "" {
		c.verifyToken = env.Operator["verify_token"]
	}
	return c, nil
}

// start refuses operator's settings that no call could work with.
func start(_ context.Context, env serve.Env) error {
	_, err := baseURL(env.Operator)
	return err
}

// baseURL is the address of the Graph API with its version.
func baseURL(operator map[string]string) (string, error) {
	base, version := operator["base_url"], operator["api_version"]
	if base == "" {
		base = graphURL
	}
	if version == "" {
		version = defaultVersion
	}
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("the operator's setting base_url is not an http or https URL")
	}
	if !versionForm.MatchString(version) {
		return "", fmt.Errorf("the operator's setting api_version must look like %s", defaultVersion)
	}
	return strings.TrimRight(base, "/") + "/" + version, nil
}

// claims are the keys under which this installation's webhooks come.
func (c *channel) claims() []sdk.RouteKey {
	return []sdk.RouteKey{
		{Kind: keyNumber, Value: c.account.PhoneNumberID},
		{Kind: keyAccount, Value: c.account.BusinessAccountID},
	}
}

// Validate implements [sdk.Validator].
func (c *channel) Validate(context.Context) ([]sdk.Diagnostic, []sdk.RouteKey) {
	var out []sdk.Diagnostic
	find := func(bad bool, s sdk.Severity, pointer, summary, detail string) {
		if bad {
			out = append(out, sdk.Diagnostic{Severity: s, Pointer: pointer, Summary: summary, Detail: detail})
		}
	}
	a := c.account
	find(!isDigits(a.PhoneNumberID), sdk.SeverityError, "/phone_number_id",
		"The phone number ID has only digits.", "It is not the phone number; Meta shows both under API setup.")
	find(!isDigits(a.BusinessAccountID), sdk.SeverityError, "/business_account_id",
		"The WhatsApp Business account ID has only digits.", "")
	find(a.PhoneNumberID == a.BusinessAccountID && a.PhoneNumberID != "", sdk.SeverityError, "/business_account_id",
		"The account ID is the same as the phone number ID.", "Meta shows two different numbers under API setup.")
	for _, s := range []struct{ pointer, value string }{
		{"/access_token", a.AccessToken}, {"/app_secret", a.AppSecret}, {"/verify_token", a.VerifyToken},
	} {
		find(strings.ContainsAny(s.value, " \t\r\n"), sdk.SeverityError, s.pointer,
			"The value holds white space.", "It was probably copied together with its surroundings.")
	}
	find(a.AccessToken == "", sdk.SeverityError, "/access_token", "The access token is missing.", "")
	find(c.appSecret == "", sdk.SeverityWarning, "/app_secret",
		"Without an app secret no message can be received.", "Strato cannot tell Meta's webhooks from forged ones.")
	find(c.verifyToken == "", sdk.SeverityWarning, "/verify_token",
		"Without a verify token Meta will not take the webhook's address.", "")
	return out, c.claims()
}
