package main

import (
	"context"
	"errors"
	"net/url"
	"regexp"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// Check implements [sdk.Checker]. A shallow check asks for a tag, which needs
// the permission that all else needs. A deep one looks in what the key sees for
// the bot it belongs to.
func (c *channel) Check(ctx context.Context, deep bool) (sdk.CheckResult, error) {
	result := sdk.CheckResult{State: sdk.HealthOK, AccountLabel: c.account.FlowNS}
	bot, err := c.botBy(ctx, "/flow/tags")
	if err != nil {
		return refusedCheck(err), ctx.Err()
	}
	result.Checks = append(result.Checks, sdk.Check{
		Name: "api_key", Pointer: "/api_key", State: sdk.HealthOK, Message: "The API key works.",
	})
	if !deep {
		return result, nil
	}
	for _, path := range []string{"/flow/subflows", "/flow/user-fields", "/subscribers"} {
		if bot != "" {
			break
		}
		if bot, err = c.botBy(ctx, path); err != nil {
			break // the key works; not every one may see all of this
		}
	}
	check := sdk.Check{Name: "bot", Pointer: "/flow_ns", State: sdk.HealthOK, Message: "The key belongs to this bot."}
	switch bot {
	case c.account.FlowNS:
	case "":
		check.State = sdk.HealthUnknown
		check.Message = "The bot has no tags, flows or contacts yet by which to tell that the key is its own."
	default:
		check.State = sdk.HealthFailed
		check.Message = "The key belongs to the bot " + bot + "."
		check.Err = refusal(failure.Permission, failure.Tenant, "the key belongs to another bot")
		result.State = sdk.HealthFailed
	}
	result.Checks = append(result.Checks, check)
	return result, ctx.Err()
}

func refusedCheck(err error) sdk.CheckResult {
	f := failureOf(err)
	check := sdk.Check{Name: "api_key", State: sdk.HealthDegraded, Message: "UChat did not answer well: " + f.Message, Err: err}
	switch f.Code {
	case failure.Auth, failure.Permission:
		check.State, check.Pointer = sdk.HealthFailed, "/api_key"
		check.Message = "The API key does not work, or lacks the permission Manage Flow."
	default:
	}
	return sdk.CheckResult{State: check.State, Checks: []sdk.Check{check}}
}

var nsForm = regexp.MustCompile(`^(f[0-9]{1,15})(?:[a-z]+[0-9]+)?$`)

// botBy asks for one element of a list and tells whose it is; empty if the list
// is.
func (c *channel) botBy(ctx context.Context, path string) (string, error) {
	var list many[struct {
		TagNS     str `json:"tag_ns"`
		SubFlowNS str `json:"sub_flow_ns"`
		VarNS     str `json:"var_ns"`
		UserNS    str `json:"user_ns"`
	}]
	err := c.api.do(ctx, call{path: path, query: url.Values{"limit": {"1"}}}, &list)
	if err != nil {
		return "", errors.Join(err, ctx.Err())
	}
	for _, i := range list.Items {
		if m := nsForm.FindStringSubmatch(string(first(i.TagNS, i.SubFlowNS, i.VarNS, i.UserNS))); m != nil {
			return m[1], nil
		}
	}
	return "", nil
}
