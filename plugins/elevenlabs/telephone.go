package main

import (
	"context"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// PlaceCall implements [sdk.Caller]: one attempt, over Twilio or a SIP trunk.
func (s *studio) PlaceCall(ctx context.Context, o sdk.CallOrder) (sdk.PlacedCall, error) {
	client, err := s.clientData(o)
	if err != nil {
		return sdk.PlacedCall{}, err
	}
	agent, from, err := s.ends(o.AgentID, o.From)
	if err != nil {
		return sdk.PlacedCall{}, err
	}
	number, ok := e164(o.To)
	if !ok {
		return sdk.PlacedCall{}, refusal(failure.Recipient, failure.Tenant, "the person has no phone number that can be called")
	}
	body := object{
		"agent_id": agent, "agent_phone_number_id": from, "to_number": number,
		"conversation_initiation_client_data": client, "call_recording_enabled": o.RecordingConsent,
	}
	if n := s.account.RingingSeconds; n > 0 {
		body["telephony_call_config"] = object{"ringing_timeout_secs": n}
	}
	path := "twilio"
	if s.account.Telephony == overSIP {
		path = "sip-trunk"
	}
	var answer struct {
		Success        *bool `json:"success"`
		Message        str   `json:"message"`
		ConversationID str   `json:"conversation_id"`
		CallSID        str   `json:"callSid"`
		SIPCallID      str   `json:"sip_call_id"`
	}
	if err := s.api.do(ctx, call{path: []string{"v1", "convai", path, "outbound-call"}, body: body}, &answer); err != nil {
		return sdk.PlacedCall{}, err
	}
	if answer.Success != nil && !*answer.Success {
		// It says so with HTTP 200.
		f := refusal(failure.Temporary, failure.Provider, "ElevenLabs could not place the call")
		if answer.Message != "" {
			f.Message += ": " + clip(string(answer.Message), 300)
		}
		return sdk.PlacedCall{}, f
	}
	id := or(string(answer.ConversationID), or(string(answer.CallSID), string(answer.SIPCallID)))
	return sdk.PlacedCall{ProviderCallID: id, State: stateQueued}, nil
}

// ends are the agent and the number that a call is made with.
func (s *studio) ends(agent string, from sdk.Address) (string, string, error) {
	agent, number := or(agent, s.account.AgentID), or(from.Value, s.account.PhoneNumberID)
	switch {
	case agent == "":
		return "", "", refusal(failure.InvalidRequest, failure.Tenant, "no agent is chosen")
	case number == "":
		return "", "", refusal(failure.InvalidRequest, failure.Tenant, "no phone number is chosen to call from")
	}
	return agent, number, nil
}

// clientData is what the agent is told. It carries our order's id, by which the
// webhook finds the order when the answer to the order was lost.
func (s *studio) clientData(o sdk.CallOrder) (object, error) {
	if o.MaxDuration > 0 {
		return nil, refusal(failure.Unsupported, failure.Tenant, "how long a call may last is set on the agent, at ElevenLabs")
	}
	variables := object{}
	for name, v := range o.Variables {
		if strings.HasPrefix(name, "system__") {
			return nil, refusal(failure.InvalidRequest, failure.Plugin, "names that begin with system__ are ElevenLabs' own")
		}
		variables[name] = v
	}
	variables[varInstallation] = s.installation
	if o.IdempotencyKey != "" {
		variables[varCall] = o.IdempotencyKey
	}
	data := object{"dynamic_variables": variables}
	if number, ok := e164(o.To); ok {
		data["user_id"] = s.tenant + ":" + number
	}
	return data, nil
}

// e164 is a number as the provider wants it. Nothing is guessed: an Argentine
// mobile needs its 9, which only the number's owner can tell.
func e164(a sdk.Address) (string, bool) {
	digits, plus := strings.CutPrefix(strings.TrimSpace(a.Value), "+")
	if !plus && a.Kind != "wa_id" {
		return "", false
	}
	if len(digits) < 7 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	return "+" + digits, true
}

// EndCall implements [sdk.Caller]. The provider offers no way to hang up.
func (s *studio) EndCall(context.Context, string) error {
	return refusal(failure.Unsupported, failure.Tenant, "ElevenLabs has no way to end a call from outside; the agent hangs up")
}

// GetCall implements [sdk.Caller]: it tells what the webhook would have told.
func (s *studio) GetCall(ctx context.Context, id string) (sdk.CallUpdate, error) {
	c, err := s.conversation(ctx, id)
	if err != nil {
		return sdk.CallUpdate{}, err
	}
	if c.ConversationID == "" {
		c.ConversationID = str(id)
	}
	return c.update(), nil
}

// conversation asks the provider for one.
func (s *studio) conversation(ctx context.Context, id string) (conversation, error) {
	var c conversation
	if id == "" {
		return c, refusal(failure.InvalidRequest, failure.Plugin, "the call has no id yet")
	}
	return c, s.api.do(ctx, call{path: []string{"v1", "convai", "conversations", id}}, &c)
}
