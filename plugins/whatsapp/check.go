package main

import (
	"context"
	"errors"
	"net/url"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// maxPages bounds the pages of numbers that are read, at 100 a page: more than
// any account may have.
const maxPages = 20

// number is a phone number as the provider describes it.
type number struct {
	ID                 str `json:"id"`
	VerifiedName       str `json:"verified_name"`
	DisplayPhoneNumber str `json:"display_phone_number"`
	Status             str `json:"status"`
	QualityRating      str `json:"quality_rating"`
	NameStatus         str `json:"name_status"`
}

const numberFields = "id,verified_name,display_phone_number,status,quality_rating,name_status"

// Check implements [sdk.Checker]. A shallow check asks for the number alone; a
// deep one lists the account's numbers with the tenant's own token, which
// proves that both ids are the tenant's, and looks for the app's subscription.
func (c *channel) Check(ctx context.Context, deep bool) (sdk.CheckResult, error) {
	var (
		n      number
		result sdk.CheckResult
	)
	if deep {
		found, err := c.find(ctx, &result)
		if err != nil || found == nil {
			return result, err
		}
		n = *found
		result.ConfirmedKeys = c.claims()
	} else {
		err := c.graph.do(ctx, call{path: []string{c.account.PhoneNumberID}, query: url.Values{"fields": {numberFields}}}, &n)
		if err != nil {
			refused(&result, "phone_number", "/phone_number_id", err)
			return result, ctx.Err()
		}
	}
	result.AccountLabel = joined(", ", string(n.VerifiedName), string(n.DisplayPhoneNumber))
	result.Checks = append(result.Checks, ok("access_token", "/access_token", "The access token works."), standing(n))
	if deep {
		result.Checks = append(result.Checks, c.subscription(ctx))
	}
	result.State = worst(result.Checks)
	return result, ctx.Err()
}

// find looks for the number among those of the account. Without a number the
// result says why.
func (c *channel) find(ctx context.Context, result *sdk.CheckResult) (*number, error) {
	after := ""
	for range maxPages {
		query := url.Values{"fields": {numberFields}, "limit": {"100"}}
		if after != "" {
			query.Set("after", after)
		}
		var page struct {
			Data   []number `json:"data"`
			Paging struct {
				Cursors struct {
					After str `json:"after"`
				} `json:"cursors"`
				Next str `json:"next"`
			} `json:"paging"`
		}
		err := c.graph.do(ctx, call{path: []string{c.account.BusinessAccountID, "phone_numbers"}, query: query}, &page)
		if err != nil {
			refused(result, "business_account", "/business_account_id", err)
			return nil, ctx.Err()
		}
		for _, n := range page.Data {
			if string(n.ID) == c.account.PhoneNumberID {
				return &n, nil
			}
		}
		// The last page still has a cursor, but no next page. The address of the
		// next page is not followed: only the cursor in it is of use.
		if page.Paging.Next == "" || page.Paging.Cursors.After == "" {
			break
		}
		after = string(page.Paging.Cursors.After)
	}
	result.State = sdk.HealthFailed
	result.Checks = append(result.Checks,
		ok("access_token", "/access_token", "The access token works."),
		sdk.Check{
			Name: "phone_number", State: sdk.HealthFailed, Pointer: "/phone_number_id",
			Message: "The account has no number with this ID.",
			Err:     refusal(failure.Permission, failure.Tenant, "the account has no number with this ID"),
		})
	return nil, nil
}

// subscription checks that an app gets the account's webhooks. Being refused
// the answer is no fault of the settings: sending works all the same.
func (c *channel) subscription(ctx context.Context) sdk.Check {
	var apps struct {
		Data []object `json:"data"`
	}
	err := c.graph.do(ctx, call{path: []string{c.account.BusinessAccountID, "subscribed_apps"}}, &apps)
	check := sdk.Check{Name: "subscription", State: sdk.HealthOK, Message: "An app receives the account's messages."}
	switch {
	case err != nil:
		check.State, check.Message, check.Err = sdk.HealthUnknown, "Meta did not say whether an app receives the account's messages.", err
	case len(apps.Data) == 0:
		check.State = sdk.HealthDegraded
		check.Message = "No app is subscribed to the account, so no message will arrive. Subscribe yours in Meta for Developers, under WhatsApp, Configuration."
	}
	return check
}

// standing judges the number itself.
func standing(n number) sdk.Check {
	check := ok("phone_number", "/phone_number_id", "The number is connected.")
	switch {
	case n.Status != "" && n.Status != "CONNECTED":
		check.State, check.Message = sdk.HealthDegraded, "The number is not connected: its status is "+string(n.Status)+"."
	case n.QualityRating == "RED":
		check.State, check.Message = sdk.HealthDegraded, "The number's quality rating is low; Meta may limit it."
	case n.NameStatus == "DECLINED":
		check.State, check.Message = sdk.HealthDegraded, "Meta declined the number's display name."
	}
	return check
}

func ok(name, pointer, message string) sdk.Check {
	return sdk.Check{Name: name, State: sdk.HealthOK, Pointer: pointer, Message: message}
}

// refused records an error of the provider. The setting to blame is the token
// if the token is what the provider complains of, else that of the object.
func refused(result *sdk.CheckResult, name, pointer string, err error) {
	check := sdk.Check{Name: name, State: sdk.HealthFailed, Pointer: pointer, Err: err, Message: "The provider could not be asked."}
	if f, ok := errors.AsType[*failure.Failure](err); ok {
		check.Message = f.Message
		switch {
		case f.Code == failure.Auth:
			check.Name, check.Pointer = "access_token", "/access_token"
		case f.Code == failure.Permission && f.ProviderCode != "100/33" && f.ProviderCode != "33":
			check.Name, check.Pointer = "access_token", "/access_token"
		case f.Code == failure.Temporary, f.Code == failure.RateLimited:
			// Nothing is known to be wrong with the settings.
			check.State, check.Pointer = sdk.HealthDegraded, ""
		}
	}
	result.Checks = append(result.Checks, check)
	result.State = check.State
}

// worst is the worst state of checks; what is unknown does not count.
func worst(checks []sdk.Check) sdk.Health {
	state := sdk.HealthOK
	for _, c := range checks {
		state = max(state, c.State)
	}
	return state
}
