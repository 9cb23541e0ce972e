package main

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stratohub/strato/sdk"
)

// The states of a call, as in [sdk.CallUpdate].
const (
	stateQueued     = "queued"
	stateRinging    = "ringing"
	stateInProgress = "in_progress"
	stateCompleted  = "completed"
	stateNoAnswer   = "no_answer"
	stateBusy       = "busy"
	stateVoicemail  = "voicemail"
	stateFailed     = "failed"
	stateCancelled  = "cancelled"
)

// update is what the conversation tells of the call.
func (c conversation) update() sdk.CallUpdate {
	u := sdk.CallUpdate{
		ProviderCallID: string(c.ConversationID), IdempotencyKey: string(c.ClientData.Variables[varCall]), State: c.state(),
		Duration: seconds(c.Metadata.Duration), Contact: c.contact(), Direction: c.direction(),
		Reason: clip(string(c.Metadata.TerminationReason), 500), Collected: c.collected(), Transcript: c.transcript(),
	}
	if reason := string(c.Metadata.Error.Reason); reason != "" {
		u.Reason = clip(reason, 500)
	}
	for _, id := range []str{c.Metadata.PhoneCall.CallSID, c.Metadata.PhoneCall.CallID, c.Metadata.Batch.Recipient} {
		if id != "" && !slices.Contains(u.OtherIDs, string(id)) {
			u.OtherIDs = append(u.OtherIDs, string(id))
		}
	}
	if a := c.Analysis; a != nil {
		u.Summary, u.Verdict = string(a.Summary), string(a.Successful)
		for name, one := range a.Criteria {
			if u.Evaluation == nil {
				u.Evaluation = map[string]string{}
			}
			u.Evaluation[name] = string(one.Result)
		}
	}
	// Conversations from before August 2025 do not say whether there is audio.
	if c.HasAudio != nil && *c.HasAudio || c.HasAudio == nil && u.Duration > 0 {
		u.Recording = recordingOf(u.ProviderCallID)
	}
	return u
}

// recordingOf is the recording of a conversation, which FetchMedia fetches.
func recordingOf(id string) *sdk.MediaRef {
	return &sdk.MediaRef{ProviderID: id, MIMEType: "audio/mpeg"}
}

func (c conversation) state() string {
	switch c.Status {
	case "initiated":
		return stateRinging
	case "in-progress", "processing":
		return stateInProgress
	case "failed":
		return stateFailed
	}
	switch {
	case c.voicemail():
		return stateVoicemail
	case !c.answered() && len(c.collected()) == 0:
		return stateNoAnswer
	}
	return stateCompleted
}

// voicemail reports whether the agent found that it speaks to a machine.
func (c conversation) voicemail() bool {
	for _, t := range c.Transcript {
		for _, use := range slices.Concat(t.ToolCalls, t.Results) {
			if use.Name == "voicemail_detection" && !use.IsError {
				return true
			}
		}
	}
	return strings.Contains(strings.ToLower(string(c.Metadata.TerminationReason)), "voicemail")
}

// answered reports whether the person said anything. Silence is written as dots.
func (c conversation) answered() bool {
	return slices.ContainsFunc(c.Transcript, func(t turn) bool { return t.Role == "user" && said(t.Message) != "" })
}

// said is what was really said, empty for silence.
func said(message str) string {
	return strings.TrimSpace(strings.Trim(strings.TrimSpace(string(message)), ".…"))
}

// direction is how the call went, as Strato sees it.
func (c conversation) direction() string {
	switch d := string(c.Metadata.PhoneCall.Direction); d {
	case "inbound", "outbound":
		return d
	}
	return ""
}

// contact is the person. The telephone's own record comes first: which of the
// variables is the person's number depends on who called.
func (c conversation) contact() sdk.Party {
	number := c.Metadata.PhoneCall.ExternalNumber
	if number == "" {
		switch c.direction() {
		case "inbound":
			number = c.ClientData.Variables["system__caller_id"]
		default:
			number = c.ClientData.Variables["system__called_number"]
		}
	}
	return person(string(number))
}

func person(number string) sdk.Party {
	if number == "" {
		return sdk.Party{}
	}
	return sdk.Party{Addresses: []sdk.Address{{Kind: "phone", Value: number}}}
}

// collected are the answers that the agent found, without those it did not.
func (c conversation) collected() map[string]string {
	if c.Analysis == nil {
		return nil
	}
	out := map[string]string{}
	for name, a := range c.Analysis.Answers {
		if v := a.text(); v != "" {
			out[name] = v
		}
	}
	if len(c.Analysis.Answers) == 0 {
		for _, a := range c.Analysis.AnswerList {
			if v := a.text(); v != "" && a.ID != "" {
				out[string(a.ID)] = v
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// text is the answer in one spelling for its type. The model may answer a
// number or a truth value in words; what cannot be read stays as it said it.
func (a answer) text() string {
	if isNothing(a.Value) {
		return ""
	}
	var v str
	_ = v.UnmarshalJSON(a.Value) // never fails
	if v == "" && (a.Value[0] == '{' || a.Value[0] == '[') {
		var b bytes.Buffer
		_ = json.Compact(&b, a.Value) // it came out of valid JSON
		return strings.ReplaceAll(b.String(), `\u0000`, "")
	}
	text := strings.TrimSpace(string(v))
	switch a.Schema.Type {
	case "integer", "number":
		if f, err := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return strconv.FormatFloat(f, 'f', -1, 64)
		}
	case "boolean":
		switch strings.ToLower(text) {
		case "true", "yes", "si", "sí":
			return "true"
		case "false", "no":
			return "false"
		}
	}
	return text
}

// line is one line of a transcript as Strato keeps it.
type line struct {
	Who  string `json:"who"`
	Text string `json:"text"`
	// At is in seconds from the beginning.
	At float64 `json:"at"`
}

// transcript has what was said, without tools and silence; nil for nothing. An
// interrupted line ends where it was interrupted.
func (c conversation) transcript() []byte {
	var lines []line
	for _, t := range c.Transcript {
		text := strings.TrimSpace(string(t.Message))
		if said(t.Message) == "" || t.Role != "user" && t.Role != "agent" {
			continue
		}
		at, _ := strconv.ParseFloat(string(t.At), 64)
		if math.IsNaN(at) || math.IsInf(at, 0) {
			at = 0
		}
		lines = append(lines, line{Who: string(t.Role), Text: text, At: at})
	}
	if lines == nil {
		return nil
	}
	out, _ := json.Marshal(lines) // strings and finite numbers always marshal
	return out
}

// update is what became of a call that never connected. Its webhook holds none
// of our variables: the conversation, or the telephone company's id, tells which
// order it was.
func (f undialled) update() sdk.CallUpdate {
	b := f.Metadata.Body
	sid, to := b.TwilioSID, b.TwilioTo
	if sid == "" {
		sid = b.SIPCallSID
	}
	if to == "" {
		to = b.SIPTo
	}
	u := sdk.CallUpdate{
		ProviderCallID: string(f.ConversationID), State: f.state(), Direction: "outbound", Contact: person(string(to)), Reason: f.reason(),
	}
	if sid != "" {
		u.OtherIDs = []string{string(sid)}
		if u.ProviderCallID == "" {
			u.ProviderCallID, u.OtherIDs = string(sid), nil
		}
	}
	return u
}

func (f undialled) state() string {
	switch f.Reason {
	case "busy":
		return stateBusy
	case "no-answer":
		return stateNoAnswer
	}
	// The provider knows no better; the telephone company may.
	b := f.Metadata.Body
	switch b.TwilioStatus {
	case "busy":
		return stateBusy
	case "no-answer":
		return stateNoAnswer
	case "canceled":
		return stateCancelled
	}
	switch b.SIPCode {
	case "486", "600":
		return stateBusy
	case "408", "480", "487":
		return stateNoAnswer
	}
	return stateFailed
}

func (f undialled) reason() string {
	b := f.Metadata.Body
	switch {
	case b.SIPReason != "":
		return clip(string(b.SIPReason), 500)
	case b.TwilioStatus != "" && b.TwilioSIP != "":
		return clip(string(b.TwilioStatus)+" (SIP "+string(b.TwilioSIP)+")", 500)
	case b.TwilioStatus != "":
		return clip(string(b.TwilioStatus), 500)
	}
	return clip(string(f.Reason), 500)
}
