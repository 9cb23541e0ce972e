package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxBody bounds the JSON of a request.
const maxBody = 1 << 20

// visit is one authorised request: whose it is, and for what.
type visit struct {
	w   http.ResponseWriter
	r   *http.Request
	who identity
}

// ServeHTTP implements the provider's API.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who, ok := s.authorise(r)
	if !ok {
		refuse("invalid_api_key").write(w, s.faults.Load())
		return
	}
	v := visit{w: w, r: r, who: who}
	mux := http.NewServeMux()
	handle := func(pattern string, f func(visit)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { f(visit{w: w, r: r, who: who}) })
	}
	handle("POST /v1/text-to-speech/{voice}", func(v visit) { s.speak(v, v.r.PathValue("voice"), false) })
	handle("POST /v1/text-to-speech/{voice}/stream", func(v visit) { s.speak(v, v.r.PathValue("voice"), true) })
	handle("GET /v2/voices", s.listVoices)
	handle("GET /v1/voices", s.allVoices)
	handle("GET /v1/voices/{voice}", s.oneVoice)
	handle("GET /v1/models", s.listModels)
	handle("GET /v1/user/subscription", s.subscription)
	handle("GET /v1/convai/agents", s.listAgents)
	handle("GET /v1/convai/agents/{agent}", s.oneAgent)
	handle("GET /v1/convai/phone-numbers", s.listNumbers)
	handle("POST /v1/convai/twilio/outbound-call", func(v visit) { s.dial(v, false) })
	handle("POST /v1/convai/sip-trunk/outbound-call", func(v visit) { s.dial(v, true) })
	handle("GET /v1/convai/conversations", s.listConversations)
	handle("GET /v1/convai/conversations/{conversation}", s.oneConversation)
	handle("GET /v1/convai/conversations/{conversation}/audio", s.conversationAudio)
	if _, pattern := mux.Handler(r); pattern == "" {
		reply(v.w, http.StatusNotFound, map[string]any{"detail": "Not Found"})
		return
	}
	mux.ServeHTTP(w, r)
}

// authorise finds whose key a request carries.
func (s *Simulator) authorise(r *http.Request) (identity, bool) {
	key := r.Header.Get("Xi-Api-Key")
	var who identity
	s.state.View(func(st *state) {
		for label := range st.Accounts {
			if id := identityOf(label); id.APIKey == key {
				who = id
			}
		}
	})
	return who, who.Label != ""
}

// meddle is the error that a switch puts in the way of a request, nil for none.
func (s *Simulator) meddle(f Faults) *refusal {
	var out *refusal
	switch {
	case f.HTTPStatus != 0:
		out = &refusal{http: f.HTTPStatus, status: "", message: "Something went wrong."}
	case f.ErrorStatus != "":
		out = refuse(f.ErrorStatus)
	default:
		return nil
	}
	s.spend()
	return out
}

// spend counts a request that met a switch, and turns the switches off after
// the last.
func (s *Simulator) spend() {
	s.faults.Update(func(now *Faults) {
		if now.Times == 0 {
			return
		}
		if now.Times--; now.Times == 0 {
			now.HTTPStatus, now.ErrorStatus, now.HangReply, now.CloseConnection = 0, "", false, false
		}
	})
}

// silenced makes an answer not come, though the thing was done. It reports
// whether it did.
func (s *Simulator) silenced(v visit, f Faults) bool {
	switch {
	case f.HangReply:
		s.spend()
		select {
		case <-v.r.Context().Done():
		case <-s.closing:
		}
		return true
	case f.CloseConnection:
		s.spend()
		panic(http.ErrAbortHandler)
	}
	return false
}

func (v voice) object() map[string]any {
	return map[string]any{
		"voice_id": v.ID, "name": v.Name, "samples": nil, "category": "professional", "fine_tuning": nil,
		"labels":      map[string]any{"accent": v.Accent, "gender": v.Gender, "language": "es", "use_case": "conversational"},
		"description": v.Description, "preview_url": nil, "settings": nil,
		"verified_languages": []any{map[string]any{"language": "es", "model_id": models[0].ID, "accent": v.Accent, "locale": "es-AR", "preview_url": nil}},
	}
}

func (s *Simulator) listVoices(v visit) {
	q := v.r.URL.Query()
	var found []any
	for _, one := range voices {
		if strings.Contains(strings.ToLower(one.Name), strings.ToLower(q.Get("search"))) {
			found = append(found, one.object())
		}
	}
	items, next := paged(found, q.Get("page_size"), q.Get("next_page_token"))
	out := map[string]any{"voices": items, "has_more": next != "", "total_count": len(found)}
	if next != "" {
		out["next_page_token"] = next
	}
	reply(v.w, http.StatusOK, out)
}

// paged cuts a page out of a list, and names the next one, empty for none.
func paged(list []any, size, token string) ([]any, string) {
	n, err := strconv.Atoi(size)
	if err != nil || n < 1 || n > 100 {
		n = 10
	}
	from, _ := strconv.Atoi(strings.TrimPrefix(token, "page-"))
	from = min(max(from, 0), len(list))
	to := min(from+n, len(list))
	next := ""
	if to < len(list) {
		next = fmt.Sprintf("page-%d", to)
	}
	return append([]any{}, list[from:to]...), next
}

func (s *Simulator) allVoices(v visit) {
	out := []any{}
	for _, one := range voices {
		out = append(out, one.object())
	}
	reply(v.w, http.StatusOK, map[string]any{"voices": out})
}

func (s *Simulator) oneVoice(v visit) {
	id := v.r.PathValue("voice")
	i := slices.IndexFunc(voices[:], func(one voice) bool { return one.ID == id })
	if i < 0 {
		refuse("voice_not_found").with("A voice with voice_id %s was not found.", id).write(v.w, s.faults.Load())
		return
	}
	reply(v.w, http.StatusOK, voices[i].object())
}

func (s *Simulator) listModels(v visit) {
	out := []any{}
	for _, m := range models {
		out = append(out, map[string]any{
			"model_id": m.ID, "name": m.Name, "can_do_text_to_speech": true, "description": "…", "token_cost_factor": m.Factor,
			"languages":                        []any{map[string]any{"language_id": "es", "name": "Spanish"}},
			"max_characters_request_free_user": 2500, "max_characters_request_subscribed_user": m.Limit, "maximum_text_length_per_request": m.Limit,
			"model_rates": map[string]any{"character_cost_multiplier": m.Factor}, "concurrency_group": m.Group,
		})
	}
	out = append(out, map[string]any{"model_id": "eleven_english_sts_v2", "name": "Eleven English v2", "can_do_text_to_speech": false})
	reply(v.w, http.StatusOK, out)
}

func (s *Simulator) subscription(v visit) {
	f := s.faults.Load()
	if f.RestrictedKey {
		refuse("missing_permissions").write(v.w, f)
		return
	}
	used, quota := 0, f.Quota
	if quota <= 0 {
		quota = defaultQuota
	}
	s.state.View(func(st *state) { used = st.Accounts[v.who.Label].Characters })
	reply(v.w, http.StatusOK, map[string]any{
		"tier": "creator", "character_count": used, "character_limit": quota, "max_credit_limit_extension": 0,
		"can_extend_character_limit": true, "allowed_to_extend_character_limit": false,
		"next_character_count_reset_unix": s.options.Now().AddDate(0, 1, 0).Unix(), "status": "active", "billing_period": "monthly_period",
		"current_overage": map[string]any{"amount": "0", "currency": "usd"}, "voice_slots_used": len(voices), "voice_limit": 30,
	})
}

func (s *Simulator) listAgents(v visit) {
	reply(v.w, http.StatusOK, map[string]any{
		"agents":   []any{map[string]any{"agent_id": v.who.AgentID, "name": "Agente de " + v.who.Name, "tags": []any{}}},
		"has_more": false, "next_cursor": nil,
	})
}

func (s *Simulator) oneAgent(v visit) {
	if v.r.PathValue("agent") != v.who.AgentID {
		refuse("agent_not_found").write(v.w, s.faults.Load())
		return
	}
	reply(v.w, http.StatusOK, map[string]any{"agent_id": v.who.AgentID, "name": "Agente de " + v.who.Name, "conversation_config": map[string]any{}})
}

func (s *Simulator) listNumbers(v visit) {
	number := func(id, label, provider string) any {
		return map[string]any{"phone_number_id": id, "phone_number": v.who.Number, "label": label, "provider": provider,
			"supports_inbound": true, "supports_outbound": true, "assigned_agent": map[string]any{"agent_id": v.who.AgentID, "agent_name": "Agente"}}
	}
	reply(v.w, http.StatusOK, []any{
		number(v.who.TwilioNumberID, "Línea principal", "twilio"), number(v.who.SIPNumberID, "Central de la oficina", "sip_trunk"),
	})
}

// read decodes a request's body; it answers by itself if it cannot.
func (s *Simulator) read(v visit, out any) bool {
	d := json.NewDecoder(http.MaxBytesReader(v.w, v.r.Body, maxBody))
	d.UseNumber()
	if err := d.Decode(out); err != nil {
		refuse("invalid_body").write(v.w, s.faults.Load())
		return false
	}
	return true
}
