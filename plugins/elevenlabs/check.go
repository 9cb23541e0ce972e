package main

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// Check implements [sdk.Checker]. A shallow check asks with the key and for what
// is left of the quota; a deep one also for the voice, the agent and the number,
// which proves that they are the tenant's.
func (s *studio) Check(ctx context.Context, deep bool) (sdk.CheckResult, error) {
	result := sdk.CheckResult{}
	// A list of voices is what any key may ask for; the account itself is not.
	if err := s.api.do(ctx, call{path: []string{"v2", "voices"}, query: url.Values{"page_size": {"1"}}}, nil); err != nil {
		result.Checks = append(result.Checks, failed("api_key", "/api_key", err))
		result.State = worst(result.Checks)
		return result, ctx.Err()
	}
	result.Checks = append(result.Checks, sdk.Check{Name: "api_key", State: sdk.HealthOK, Pointer: "/api_key", Message: "The API key works."})
	tier, quota := s.quota(ctx)
	result.Checks = append(result.Checks, quota)
	result.AccountLabel = "ElevenLabs"
	if tier != "" {
		result.AccountLabel += " (" + tier + ")"
	}
	if deep {
		s.deep(ctx, &result)
	}
	result.State = worst(result.Checks)
	return result, ctx.Err()
}

func (s *studio) deep(ctx context.Context, result *sdk.CheckResult) {
	a := s.account
	if a.VoiceID != "" {
		err := s.api.do(ctx, call{path: []string{"v1", "voices", a.VoiceID}}, nil)
		result.Checks = append(result.Checks, found("voice", "/voice_id", "The voice is there.", err))
	}
	if a.AgentID != "" {
		err := s.api.do(ctx, call{path: []string{"v1", "convai", "agents", a.AgentID}}, nil)
		result.Checks = append(result.Checks, found("agent", "/agent_id", "The agent is there.", err))
		if err == nil {
			result.ConfirmedKeys = s.claims()
		}
	}
	if a.PhoneNumberID != "" {
		result.Checks = append(result.Checks, s.checkNumber(ctx))
	}
}

func (s *studio) checkNumber(ctx context.Context) sdk.Check {
	list, err := s.numbers(ctx)
	if err != nil {
		return failed("phone_number", "/agent_phone_number_id", err)
	}
	i := slices.IndexFunc(list, func(n number) bool { return string(n.ID) == s.account.PhoneNumberID })
	check := sdk.Check{Name: "phone_number", State: sdk.HealthOK, Pointer: "/agent_phone_number_id", Message: "The phone number is there."}
	switch {
	case i < 0:
		check.State, check.Message = sdk.HealthFailed, "The workspace has no such phone number."
		check.Err = refusal(failure.InvalidRequest, failure.Tenant, "the workspace has no such phone number")
	case list[i].Provider != "" && string(list[i].Provider) != or(s.account.Telephony, overTwilio):
		check.State, check.Pointer = sdk.HealthDegraded, "/telephony"
		check.Message = "The phone number is one of " + string(list[i].Provider) + ": choose that as the telephone company."
	}
	return check
}

// quota tells what is left. A key that may not ask is no fault: speaking works
// all the same.
func (s *studio) quota(ctx context.Context) (tier string, check sdk.Check) {
	var plan struct {
		Tier     str  `json:"tier"`
		Used     str  `json:"character_count"`
		Limit    str  `json:"character_limit"`
		Status   str  `json:"status"`
		MayMore  bool `json:"allowed_to_extend_character_limit"`
		MoreThan str  `json:"max_credit_limit_extension"`
		ResetAt  str  `json:"next_character_count_reset_unix"`
	}
	check = sdk.Check{Name: "quota", State: sdk.HealthOK}
	if err := s.api.do(ctx, call{path: []string{"v1", "user", "subscription"}}, &plan); err != nil {
		check.State, check.Message, check.Err = sdk.HealthUnknown, "The API key may not ask what is left of the quota.", err
		return "", check
	}
	used, _ := strconv.ParseInt(string(plan.Used), 10, 64)
	limit, _ := strconv.ParseInt(string(plan.Limit), 10, 64)
	left := max(limit-used, 0)
	check.Message = strconv.FormatInt(left, 10) + " of " + strconv.FormatInt(limit, 10) + " characters are left."
	more := plan.MayMore || plan.MoreThan == "unlimited"
	if n, err := strconv.ParseInt(string(plan.MoreThan), 10, 64); err == nil && n > 0 {
		more = true
	}
	switch {
	case plan.Status == "past_due", plan.Status == "incomplete", plan.Status == "free_disabled":
		check.State, check.Message = sdk.HealthDegraded, "The account's standing at ElevenLabs is "+string(plan.Status)+"."
	case left == 0 && limit > 0 && !more:
		check.State = sdk.HealthDegraded
		if at := moment(plan.ResetAt); !at.IsZero() {
			check.Message += " They are renewed on " + at.Format(time.DateOnly) + "."
		}
	}
	return string(plan.Tier), check
}

// found judges a thing that was asked for by its id.
func found(name, pointer, message string, err error) sdk.Check {
	if err != nil {
		return failed(name, pointer, err)
	}
	return sdk.Check{Name: name, State: sdk.HealthOK, Pointer: pointer, Message: message}
}

// failed records a refusal. The setting to blame is the key if that is what the
// provider complains of.
func failed(name, pointer string, err error) sdk.Check {
	check := sdk.Check{Name: name, State: sdk.HealthFailed, Pointer: pointer, Err: err, Message: "The provider could not be asked."}
	if f, ok := errors.AsType[*failure.Failure](err); ok {
		check.Message = f.Message
		switch f.Code {
		case failure.Auth:
			check.Name, check.Pointer = "api_key", "/api_key"
		case failure.Permission:
			check.State, check.Pointer = sdk.HealthDegraded, "/api_key"
		case failure.Temporary, failure.RateLimited, failure.QuotaExhausted:
			// Nothing is known to be wrong with the settings.
			check.State, check.Pointer = sdk.HealthDegraded, ""
		default:
		}
	}
	return check
}

// worst is the worst state of checks; what is unknown does not count.
func worst(checks []sdk.Check) sdk.Health {
	state := sdk.HealthOK
	for _, c := range checks {
		state = max(state, c.State)
	}
	return state
}
