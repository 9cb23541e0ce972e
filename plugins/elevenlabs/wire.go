package main

import "encoding/json"

// The types of this file are the provider's JSON, as much of it as the plugin
// reads. A value of the wrong type reads as a zero value.

type envelope struct {
	Type           str             `json:"type"`
	EventTimestamp str             `json:"event_timestamp"`
	Data           json.RawMessage `json:"data"`
}

// conversation is a call as the provider tells of it: in webhooks, and when it
// is asked.
type conversation struct {
	AgentID        str       `json:"agent_id"`
	ConversationID str       `json:"conversation_id"`
	Status         str       `json:"status"`
	HasAudio       *bool     `json:"has_audio"`
	Transcript     []turn    `json:"transcript"`
	Metadata       metadata  `json:"metadata"`
	Analysis       *analysis `json:"analysis"`
	ClientData     struct {
		Variables map[string]str `json:"dynamic_variables"`
	} `json:"conversation_initiation_client_data"`
}

type turn struct {
	Role      str    `json:"role"`
	Message   str    `json:"message"`
	At        str    `json:"time_in_call_secs"`
	ToolCalls []tool `json:"tool_calls"`
	Results   []tool `json:"tool_results"`
}

type tool struct {
	Name    str  `json:"tool_name"`
	IsError bool `json:"is_error"`
}

type metadata struct {
	StartedAt str `json:"start_time_unix_secs"`
	Duration  str `json:"call_duration_secs"`
	PhoneCall struct {
		Direction      str `json:"direction"`
		ExternalNumber str `json:"external_number"`
		CallSID        str `json:"call_sid"`
		CallID         str `json:"call_id"`
	} `json:"phone_call"`
	Batch struct {
		ID        str `json:"batch_call_id"`
		Recipient str `json:"batch_call_recipient_id"`
	} `json:"batch_call"`
	TerminationReason str `json:"termination_reason"`
	Error             struct {
		Code   str `json:"code"`
		Reason str `json:"reason"`
	} `json:"error"`
}

type analysis struct {
	Successful str                  `json:"call_successful"`
	Summary    str                  `json:"transcript_summary"`
	Criteria   map[string]criterion `json:"evaluation_criteria_results"`
	Answers    map[string]answer    `json:"data_collection_results"`
	// AnswerList is the same as a list, which some deliveries have instead.
	AnswerList []answer `json:"data_collection_results_list"`
}

type criterion struct {
	Result str `json:"result"`
}

type answer struct {
	ID     str             `json:"data_collection_id"`
	Value  json.RawMessage `json:"value"`
	Schema struct {
		Type str `json:"type"`
	} `json:"json_schema"`
}

// undialled is a call that never connected.
type undialled struct {
	AgentID        str `json:"agent_id"`
	ConversationID str `json:"conversation_id"`
	Reason         str `json:"failure_reason"`
	Metadata       struct {
		Type str         `json:"type"`
		Body dialOutcome `json:"body"`
	} `json:"metadata"`
}

// dialOutcome has the telephone company's words: Twilio's first, then those of a
// SIP trunk.
type dialOutcome struct {
	TwilioSID    str `json:"CallSid"`
	TwilioStatus str `json:"CallStatus"`
	TwilioSIP    str `json:"SipResponseCode"`
	TwilioTo     str `json:"To"`

	SIPCallSID str `json:"call_sid"`
	SIPCode    str `json:"sip_status_code"`
	SIPReason  str `json:"error_reason"`
	SIPStatus  str `json:"sip_status"`
	SIPTo      str `json:"to_number"`
}
