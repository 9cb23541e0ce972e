package simulator

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// callOrder is a request to call.
type callOrder struct {
	AgentID  string      `json:"agent_id"`
	NumberID string      `json:"agent_phone_number_id"`
	To       string      `json:"to_number"`
	Client   *clientData `json:"conversation_initiation_client_data"`
	Record   bool        `json:"call_recording_enabled"`
}

type clientData struct {
	UserID    string         `json:"user_id"`
	Variables map[string]any `json:"dynamic_variables"`
	Overrides map[string]any `json:"conversation_config_override"`
}

// dial serves E7 and E8.
func (s *Simulator) dial(v visit, sip bool) {
	f := s.faults.Load()
	var o callOrder
	if !s.read(v, &o) {
		return
	}
	for name, value := range map[string]string{"agent_id": o.AgentID, "agent_phone_number_id": o.NumberID, "to_number": o.To} {
		if value == "" {
			missing(v.w, name)
			return
		}
	}
	if o.Client == nil {
		o.Client = &clientData{}
	}
	if refused := s.acceptCall(v.who, o, sip, f); refused != nil {
		refused.write(v.w, f)
		return
	}
	if f.SuccessFalse {
		answer := map[string]any{"success": false, "message": "The telephone company refused the call.", "conversation_id": nil}
		answer[sidName(sip)] = nil
		reply(v.w, http.StatusOK, answer)
		return
	}
	c := &phoneCall{
		ID: newID("conv"), AgentID: o.AgentID, NumberID: o.NumberID, SIP: sip, Number: o.To, UserID: o.Client.UserID,
		SID: newHex("CA"), Variables: o.Client.Variables, Recorded: o.Record, Script: scriptOf(o.To), Status: "initiated", StartedAt: s.options.Now(),
	}
	if sip {
		c.SID = "SCL_" + newHex("")[:12]
	}
	for _, name := range f.RequiredVariables {
		if _, ok := o.Client.Variables[name]; !ok {
			c.Script = ScriptFailed
		}
	}
	if f.OverridesFatal && len(o.Client.Overrides) > 0 {
		c.Script = ScriptFailed
	}
	s.state.Change(func(st *state) { st.account(v.who.Label).keep(c) })
	id := c.ID
	if f.WebhookBeforeReply {
		s.finish(v.r.Context(), v.who, id)
	} else {
		s.begin(v.who, id)
	}
	if s.silenced(v, f) {
		return
	}
	answer := map[string]any{"success": true, "message": "Success", "conversation_id": id, sidName(sip): c.SID}
	if f.NoConversationID {
		answer["conversation_id"] = nil
	}
	reply(v.w, http.StatusOK, answer)
}

// sidName is the telephone company's id in an answer: note its camel case.
func sidName(sip bool) string {
	if sip {
		return "sip_call_id"
	}
	return "callSid"
}

// acceptCall makes sure that a call can be placed.
func (s *Simulator) acceptCall(who identity, o callOrder, sip bool, f Faults) *refusal {
	if refused := s.meddle(f); refused != nil {
		return refused
	}
	number := who.TwilioNumberID
	if sip {
		number = who.SIPNumberID
	}
	switch {
	case o.AgentID != who.AgentID:
		return refuse("agent_not_found")
	case o.NumberID != number:
		return refuse("phone_number_not_found")
	case !strings.HasPrefix(o.To, "+") || len(digitsOf(o.To)) < 7:
		return refuse("invalid_phone_number").with("The phone number %s is not valid.", o.To)
	}
	for name := range o.Client.Variables {
		if strings.HasPrefix(name, "system__") {
			return refuse("invalid_dynamic_variables").with("Dynamic variables must not start with system__.")
		}
	}
	return nil
}

// begin lets a call go its way.
func (s *Simulator) begin(who identity, id string) {
	s.schedule.After(s.options.Ring, func(ctx context.Context) {
		if !s.connects(who, id) {
			s.finish(ctx, who, id)
			return
		}
		s.move(who, id, "in-progress")
		s.schedule.After(s.options.Talk, func(context.Context) {
			s.move(who, id, "processing")
			s.schedule.After(s.options.Process, func(ctx context.Context) { s.finish(ctx, who, id) })
		})
	})
}

func (s *Simulator) connects(who identity, id string) (does bool) {
	s.state.View(func(st *state) {
		if c := st.Accounts[who.Label].call(id); c != nil {
			does = c.Script.connects()
		}
	})
	return does
}

func (s *Simulator) move(who identity, id, status string) {
	s.state.Change(func(st *state) {
		if c := st.account(who.Label).call(id); c != nil {
			c.Status = status
		}
	})
}

// finish ends a call and tells of it.
func (s *Simulator) finish(ctx context.Context, who identity, id string) {
	var c phoneCall
	s.state.Change(func(st *state) {
		kept := st.account(who.Label).call(id)
		if kept == nil {
			return
		}
		switch {
		case !kept.Script.connects():
			kept.Status = string(kept.Script)
		case kept.Script == ScriptFailed:
			kept.Status = "failed"
		default:
			kept.Status = "done"
		}
		c = *kept
	})
	if c.ID != "" {
		s.tell(ctx, who, c)
	}
}

// conversation is what the provider tells of a call.
func (s *Simulator) conversation(who identity, c phoneCall, f Faults) map[string]any {
	p := c.playOf()
	status := c.Status
	if !c.Script.connects() && status != "initiated" {
		status, p = "failed", play{reason: string(c.Script)}
	}
	out := map[string]any{
		"agent_id": c.AgentID, "agent_name": "Agente de " + who.Name, "status": status, "user_id": c.UserID, "conversation_id": c.ID,
		"transcript": []any{}, "metadata": s.metadata(who, c, p), "analysis": nil,
		"conversation_initiation_client_data": map[string]any{"dynamic_variables": variables(who, c), "user_id": c.UserID, "conversation_config_override": map[string]any{}},
		"has_audio":                           c.Recorded, "has_user_audio": c.Recorded, "has_response_audio": c.Recorded,
	}
	if status == "done" || status == "failed" {
		out["transcript"] = transcript(p)
		if !f.NullAnalysis {
			out["analysis"] = analysisOf(p, f)
		}
	}
	if f.NoUserID {
		out["user_id"] = nil
	}
	if f.OldShape {
		for _, name := range []string{"has_audio", "has_user_audio", "has_response_audio", "agent_name"} {
			delete(out, name)
		}
	}
	return out
}

func transcript(p play) []any {
	out := []any{}
	for i, l := range p.lines {
		out = append(out, map[string]any{"role": l.role, "message": l.text, "time_in_call_secs": i * 5, "tool_calls": []any{}, "tool_results": []any{}, "interrupted": false, "original_message": nil})
	}
	if p.tool != "" {
		call := map[string]any{"type": "system", "request_id": newHex(p.tool + "_")[:24], "tool_name": p.tool, "params_as_json": "{}", "tool_has_been_called": true}
		out = append(out, map[string]any{"role": "agent", "message": nil, "time_in_call_secs": len(p.lines) * 5, "tool_calls": []any{call}, "tool_results": []any{}})
	}
	return out
}

func (s *Simulator) metadata(who identity, c phoneCall, p play) map[string]any {
	direction, kind := "outbound", "twilio"
	if c.Inbound {
		direction = "inbound"
	}
	if c.SIP {
		kind = "sip_trunking"
	}
	return map[string]any{
		"start_time_unix_secs": c.StartedAt.Unix(), "call_duration_secs": len(p.lines) * 5, "cost": 100 * len(p.lines),
		"phone_call": map[string]any{"direction": direction, "phone_number_id": c.NumberID, "agent_number": who.Number,
			"external_number": c.Number, "type": kind, "call_sid": c.SID},
		"batch_call": nil, "termination_reason": p.reason, "error": nil, "main_language": "es",
	}
}

func variables(who identity, c phoneCall) map[string]any {
	out := map[string]any{}
	maps.Copy(out, c.Variables)
	caller, called := who.Number, c.Number
	if c.Inbound {
		caller, called = called, caller
	}
	out["system__agent_id"], out["system__conversation_id"], out["system__call_sid"] = c.AgentID, c.ID, c.SID
	out["system__caller_id"], out["system__called_number"] = caller, called
	return out
}

func analysisOf(p play, f Faults) map[string]any {
	answers, list := map[string]any{}, []any{}
	for name, a := range p.answers {
		value := a.value
		if f.AnswersAsText && a.words != nil {
			value = a.words
		}
		one := map[string]any{"data_collection_id": name, "value": value, "json_schema": map[string]any{"type": a.kind}, "rationale": "Lo dijo."}
		answers[name] = one
		list = append(list, one)
	}
	out := map[string]any{
		"evaluation_criteria_results": map[string]any{"lead_calificado": map[string]any{"criteria_id": "lead_calificado", "result": p.success, "rationale": "…"}},
		"call_successful":             p.success, "transcript_summary": p.summary, "data_collection_results": answers,
	}
	if f.AnswerList {
		delete(out, "data_collection_results")
		out["data_collection_results_list"] = list
	}
	return out
}

// oneConversation serves E11 for one.
func (s *Simulator) oneConversation(v visit) {
	f := s.faults.Load()
	c, ok := s.find(v)
	switch {
	case !ok:
		refuse("conversation_not_found").write(v.w, f)
	case f.TooEarly:
		refuse("conversation_not_ready").write(v.w, f)
	default:
		reply(v.w, http.StatusOK, s.conversation(v.who, c, f))
	}
}

func (s *Simulator) find(v visit) (c phoneCall, ok bool) {
	s.state.View(func(st *state) {
		if kept := st.Accounts[v.who.Label].call(v.r.PathValue("conversation")); kept != nil {
			c, ok = *kept, true
		}
	})
	return c, ok
}

func (s *Simulator) conversationAudio(v visit) {
	c, ok := s.find(v)
	if !ok || !c.Recorded || c.Status != "done" {
		refuse("conversation_not_found").write(v.w, s.faults.Load())
		return
	}
	v.w.Header().Set("Content-Type", "audio/mpeg")
	_, _ = v.w.Write(mp3(c.playOf().summary))
}

// listConversations serves E11 as a list, newest first.
func (s *Simulator) listConversations(v visit) {
	q := v.r.URL.Query()
	var calls []phoneCall
	s.state.View(func(st *state) {
		for _, c := range st.Accounts[v.who.Label].Calls {
			if user := q.Get("user_id"); user == "" || user == c.UserID {
				calls = append(calls, *c)
			}
		}
	})
	slices.SortFunc(calls, func(a, b phoneCall) int { return cmp.Compare(b.StartedAt.UnixNano(), a.StartedAt.UnixNano()) })
	var items []any
	for _, c := range calls {
		items = append(items, map[string]any{"agent_id": c.AgentID, "conversation_id": c.ID, "start_time_unix_secs": c.StartedAt.Unix(), "status": c.Status})
	}
	page, next := paged(items, cmp.Or(q.Get("page_size"), "30"), q.Get("cursor"))
	reply(v.w, http.StatusOK, map[string]any{"conversations": page, "has_more": next != "", "next_cursor": next})
}

// hangUpAfter is how long a webhook may take that somebody waits for.
const hangUpAfter = 10 * time.Second
