package main

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// traces is a conversation as OpenTelemetry spans.
type traces struct {
	AgentID        str `json:"agent_id"`
	ConversationID str `json:"conversation_id"`
	Traces         struct {
		Resources []struct {
			Scopes []struct {
				Spans []span `json:"spans"`
			} `json:"scopeSpans"`
		} `json:"resourceSpans"`
	} `json:"otlp_traces"`
}

type span struct {
	Name       str         `json:"name"`
	Start      str         `json:"startTimeUnixNano"`
	Attributes []attribute `json:"attributes"`
}

type attribute struct {
	Key   str            `json:"key"`
	Value map[string]str `json:"value"`
}

// text is the value, whichever type it has.
func (a attribute) text() str {
	for _, v := range a.Value {
		return v // there is one only
	}
	return ""
}

// variablePrefix is that of the attributes with a conversation's variables.
const variablePrefix = "elevenlabs.dynamic_variable."

// traced reads what spans tell of a conversation: less than the conversation
// itself, and no answers. It is a conversation without an id if they tell nothing.
func traced(data json.RawMessage) conversation {
	var t traces
	_ = read(data, &t) // it came out of valid JSON
	c := conversation{AgentID: t.AgentID, ConversationID: t.ConversationID, Status: "done"}
	c.ClientData.Variables = map[string]str{}
	var spans []span
	for _, r := range t.Traces.Resources {
		for _, s := range r.Scopes {
			spans = append(spans, s.Spans...)
		}
	}
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(nanos(a.Start), nanos(b.Start)) })
	began := int64(0)
	for _, s := range spans {
		if s.Name == "elevenlabs.conversation" {
			began = nanos(s.Start)
		}
	}
	for _, s := range spans {
		c.add(s, began)
	}
	return c
}

func (c *conversation) add(s span, began int64) {
	said := func(role string, key str) {
		for _, a := range s.Attributes {
			if a.Key == key {
				at := str(strconv.FormatInt(max(0, nanos(s.Start)-began)/1e9, 10))
				c.Transcript = append(c.Transcript, turn{Role: str(role), Message: a.text(), At: at})
			}
		}
	}
	switch {
	case s.Name == "elevenlabs.conversation":
		for _, a := range s.Attributes {
			c.attribute(a)
		}
	case s.Name == "elevenlabs.recv.user_transcript":
		said("user", "elevenlabs.user.text")
	case s.Name == "elevenlabs.recv.agent_response":
		said("agent", "elevenlabs.agent.text")
	case strings.HasPrefix(string(s.Name), "elevenlabs.tool."):
		c.Transcript = append(c.Transcript, turn{Role: "agent", ToolCalls: []tool{{Name: s.Name[len("elevenlabs.tool."):]}}})
	}
}

func (c *conversation) attribute(a attribute) {
	v := a.text()
	switch a.Key {
	case "elevenlabs.telephony.external_number":
		c.Metadata.PhoneCall.ExternalNumber = v
	case "elevenlabs.session.duration_ms":
		if ms, err := strconv.ParseFloat(string(v), 64); err == nil {
			c.Metadata.Duration = str(strconv.FormatFloat(ms/1000, 'f', -1, 64))
		}
	case "elevenlabs.analysis.transcript_summary":
		c.Analysis = &analysis{Summary: v}
	case "elevenlabs.termination_reason":
		c.Metadata.TerminationReason = v
	default:
		if name, ok := strings.CutPrefix(string(a.Key), variablePrefix); ok {
			c.ClientData.Variables[name] = v
		}
	}
}

// nanos reads a time in nanoseconds; what cannot be read is 0.
func nanos(s str) int64 {
	n, _ := strconv.ParseInt(string(s), 10, 64)
	return n
}
