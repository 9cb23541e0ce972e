package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// Check implements [sdk.Checker]. It asks for the account, which confirms its
// id; a deep check looks for the fields and flows of the settings too.
func (c *channel) Check(ctx context.Context, deep bool) (sdk.CheckResult, error) {
	var page struct {
		ID    str  `json:"id"`
		Name  str  `json:"name"`
		IsPro bool `json:"is_pro"`
	}
	result := sdk.CheckResult{State: sdk.HealthOK}
	if err := c.api.get(ctx, "page/getInfo", nil, &page); err != nil {
		result.Checks = []sdk.Check{failed("account", "/api_key", err)}
		result.State = result.Checks[0].State
		return result, ctx.Err()
	}
	result.AccountLabel = clip(string(page.Name), 200)
	account := sdk.Check{Name: "account", State: sdk.HealthOK}
	switch {
	case !isDigits(string(page.ID)) || len(page.ID) > maxID:
		account.State, account.Message, account.Pointer = sdk.HealthFailed, "ManyChat did not say which account the key is of.", "/api_key"
	case !page.IsPro:
		account.State, account.Message = sdk.HealthDegraded, "The account is not on a paid plan; ManyChat's API and External Requests need one."
	}
	result.Checks = append(result.Checks, account)
	if account.State != sdk.HealthFailed {
		result.ConfirmedKeys = claims(string(page.ID))
	}
	if deep {
		result.Checks = append(result.Checks, c.checkFields(ctx)...)
		result.Checks = append(result.Checks, c.checkFlows(ctx)...)
	}
	for _, k := range result.Checks {
		result.State = max(result.State, k.State)
	}
	return result, ctx.Err()
}

// checkFields looks for the custom fields of the settings.
func (c *channel) checkFields(ctx context.Context) []sdk.Check {
	wanted := map[string]string{}
	if c.account.ReplyBy == byFlow {
		wanted["/reply_field"] = c.account.ReplyField
	}
	wanted["/phone_field"] = c.account.PhoneField
	var out []sdk.Check
	for _, pointer := range []string{"/reply_field", "/phone_field"} {
		name := wanted[pointer]
		if name == "" {
			continue
		}
		check := sdk.Check{Name: strings.Trim(pointer, "/"), State: sdk.HealthOK, Pointer: pointer}
		f, err := c.field(ctx, name)
		switch {
		case err != nil:
			check = failed(check.Name, pointer, err)
		case f.Type != "text":
			check.State, check.Message = sdk.HealthFailed, "The custom field must be of type text."
		}
		out = append(out, check)
	}
	return out
}

// checkFlows looks for the flows of the settings.
func (c *channel) checkFlows(ctx context.Context) []sdk.Check {
	if c.account.ReplyBy != byFlow {
		return nil
	}
	flows, err := c.flows(ctx)
	if err != nil {
		return []sdk.Check{failed("flows", "", err)}
	}
	var out []sdk.Check
	for _, on := range flowChannels {
		ns := c.account.flow(on)
		if ns == "" {
			continue
		}
		check := sdk.Check{Name: "flow_" + on, State: sdk.HealthOK, Pointer: "/flow_" + on}
		if !slices.ContainsFunc(flows, func(f flow) bool { return string(f.NS) == ns }) {
			check.State, check.Message = sdk.HealthFailed, "The account has no such flow."
		}
		out = append(out, check)
	}
	return out
}

// failed is a check that ManyChat refused, or that could not be made. Where
// nothing is known to be wrong with the settings they are not failed.
func failed(name, pointer string, err error) sdk.Check {
	check := sdk.Check{Name: name, State: sdk.HealthFailed, Pointer: pointer, Err: err, Message: "ManyChat could not be asked."}
	if f, ok := errors.AsType[*failure.Failure](err); ok {
		check.Message = f.Message
		if f.Code == failure.Temporary || f.Code == failure.RateLimited {
			check.State, check.Pointer = sdk.HealthDegraded, ""
		}
	}
	return check
}

// flow is one of the account's flows.
type flow struct {
	NS   str `json:"ns"`
	Name str `json:"name"`
}

func (c *channel) flows(ctx context.Context) ([]flow, error) {
	var data struct {
		Flows []flow `json:"flows"`
	}
	err := c.api.get(ctx, "page/getFlows", nil, &data)
	return data.Flows, err
}

// maxOptions is how many choices a form shows at once.
const maxOptions = 100

// Options implements [sdk.OptionLister].
func (c *channel) Options(ctx context.Context, q sdk.OptionQuery) ([]sdk.Option, string, error) {
	var out []sdk.Option
	add := func(value, label, description string) {
		if strings.Contains(strings.ToLower(label), strings.ToLower(q.Query)) && len(out) < maxOptions {
			out = append(out, sdk.Option{Value: value, Label: label, Description: description})
		}
	}
	switch q.Source {
	case "flows":
		list, err := c.flows(ctx)
		if err != nil {
			return nil, "", err
		}
		for _, f := range list {
			add(string(f.NS), string(f.Name), string(f.NS))
		}
	case "text_fields":
		list, err := c.fields(ctx)
		if err != nil {
			return nil, "", err
		}
		for _, f := range list {
			if f.Type == "text" {
				add(string(f.Name), string(f.Name), "")
			}
		}
	default:
		return nil, "", refusal(failure.InvalidRequest, failure.Plugin, "ManyChat has no such list")
	}
	return out, "", nil
}
