package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxBody bounds the JSON of a request.
const maxBody = 1 << 20

// visit is one authorised request: whose it is, and for what.
type visit struct {
	s   *Simulator
	w   http.ResponseWriter
	r   *http.Request
	who identity
	f   Faults
	now time.Time
	// in is the body's object, or empty.
	in map[string]any
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	words  string
}

// endpoint does what a request asks for, while nobody else changes the account,
// and returns what to answer: nil for the plain "ok".
type endpoint func(v *visit, a *account) (any, *refusal)

// endpoints are those of the API that the simulator has.
func endpoints() map[string]endpoint {
	return map[string]endpoint{
		"GET /me":                                            me,
		"GET /flow/tags":                                     flowTags,
		"GET /flow/user-fields":                              flowFields,
		"GET /flow/subflows":                                 flowSubFlows,
		"GET /flow/agents":                                   flowAgents,
		"GET /flow/inbound-webhooks":                         flowHooks,
		"POST /flow/create-tag":                              createTag,
		"GET /subscribers":                                   subscribers,
		"GET /subscriber/get-info":                           getInfo,
		"GET /subscriber/get-info-by-user-id":                getInfoByUserID,
		"POST /subscriber/create":                            createSubscriber,
		"PUT /subscriber/update":                             updateSubscriber,
		"GET /subscriber/chat-messages":                      chatMessages,
		"POST /subscriber/add-tags-by-name":                  addTags,
		"DELETE /subscriber/remove-tags-by-name":             removeTags,
		"PUT /subscriber/set-user-fields-by-name":            setFields,
		"DELETE /subscriber/clear-user-fields-by-name":       clearFields,
		"POST /subscriber/pause-bot":                         pauseBot,
		"POST /subscriber/resume-bot":                        resumeBot,
		"POST /subscriber/move-chat-to":                      moveChat,
		"POST /subscriber/assign-agent":                      assignAgent,
		"POST /subscriber/assign-agent-group":                assignGroup,
		"POST /subscriber/unassign-agent":                    unassignAgent,
		"POST /subscriber/send-text":                         sendText,
		"POST /subscriber/send-content":                      sendContent,
		"POST /subscriber/send-sub-flow":                     sendSubFlow,
		"POST /subscriber/send-sub-flow-by-flow-name":        sendSubFlow,
		"POST /subscriber/send-whatsapp-template":            sendTemplate,
		"POST /subscriber/send-whatsapp-template-by-user-id": sendTemplateByID,
		"POST /whatsapp-template/list":                       listTemplates,
		"POST /whatsapp-template/sync":                       syncTemplates,
		"POST /whatsapp-template/create":                     createTemplate,
		"DELETE /whatsapp-template/delete":                   deleteTemplate,
	}
}

// ServeHTTP implements the API under /api.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := &visit{s: s, w: w, r: r, f: s.faults.Load(), now: s.options.Now(), in: map[string]any{}}
	path, ok := strings.CutPrefix(r.URL.Path, "/api")
	if !ok {
		v.refuse(&refusal{http.StatusNotFound, "Not Found"})
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		v.refuse(&refusal{http.StatusRequestEntityTooLarge, "The body is too large."})
		return
	}
	if hook, ok := strings.CutPrefix(path, "/iwh/"); ok {
		v.hook(hook, string(raw))
		return
	}
	if !v.authorise() {
		v.refuse(&refusal{http.StatusUnauthorized, "Unauthenticated."})
		return
	}
	if v.meets(path) {
		return
	}
	method := r.Method
	if o := r.Header.Get("X-HTTP-Method-Override"); o != "" && method == http.MethodPost && !v.f.NoOverride {
		method = strings.ToUpper(o)
	} else if method == http.MethodDelete && v.f.DropDeleteBodies {
		raw = nil
	}
	_ = json.Unmarshal(raw, &v.in) // what is missing is told by the endpoint
	if v.in == nil {
		v.in = map[string]any{}
	}
	do, ok := endpoints()[method+" "+path]
	if !ok {
		v.refuse(&refusal{http.StatusNotFound, "The route api" + path + " could not be found."})
		return
	}
	var (
		answer  any
		refused *refusal
	)
	s.state.Change(func(st *state) { answer, refused = do(v, st.account(v.who.Label)) })
	if refused != nil {
		v.refuse(refused)
		return
	}
	if v.after(path) {
		return
	}
	if answer == nil {
		answer = map[string]any{"status": "ok"}
	}
	v.reply(http.StatusOK, answer)
}

// authorise finds whose key a request carries.
func (v *visit) authorise() bool {
	key, ok := strings.CutPrefix(v.r.Header.Get("Authorization"), "Bearer ")
	if !ok || !strings.HasPrefix(v.r.Header.Get("Accept"), "application/json") {
		return false
	}
	found := false
	v.s.state.View(func(st *state) {
		for label := range st.Accounts {
			if id := identityOf(label); id.APIKey == key {
				v.who, found = id, true
			}
		}
	})
	return found
}

// meets does what the switches say of requests that are not taken.
func (v *visit) meets(path string) bool {
	if v.f.HTTPStatus == 0 || !strings.Contains(path, v.f.Only) {
		return false
	}
	v.s.spend()
	switch v.f.RetryAfter {
	case "":
	case "date":
		v.w.Header().Set("Retry-After", time.Now().Add(90*time.Second).UTC().Format(http.TimeFormat))
	default:
		v.w.Header().Set("Retry-After", v.f.RetryAfter)
	}
	v.refuse(&refusal{v.f.HTTPStatus, v.f.ErrorWords})
	return true
}

// after does what the switches say of requests that were taken.
func (v *visit) after(path string) bool {
	if !v.f.HangReply && !v.f.CloseConnection || !strings.Contains(path, v.f.Only) {
		return false
	}
	v.s.spend()
	if v.f.HangReply {
		select {
		case <-v.s.closing:
		case <-v.r.Context().Done():
		}
	}
	panic(http.ErrAbortHandler) // net/http's way to break a connection
}

// spend takes one of the times that a switch has.
func (s *Simulator) spend() {
	s.faults.Update(func(f *Faults) {
		if f.Times == 1 {
			f.HTTPStatus, f.HangReply, f.CloseConnection = 0, false, false
		}
		f.Times = max(f.Times-1, 0)
	})
}

func (v *visit) refuse(r *refusal) {
	status := r.status
	if v.f.ErrorsAsHTML {
		v.w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		v.w.WriteHeader(status)
		_, _ = io.WriteString(v.w, "<!DOCTYPE html><html><body><h1>Error</h1></body></html>")
		return
	}
	body := map[string]any{"message": r.words}
	if v.f.ErrorsAs200 && status < 500 && status != http.StatusUnauthorized {
		status, body["status"] = http.StatusOK, "error"
	}
	v.reply(status, body)
}

func (v *visit) reply(status int, body any) {
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(encode(body)) // the caller has gone; nobody is left to tell
}

// single is an object as the API gives one: bare, or in "data".
func (v *visit) single(o map[string]any) any {
	if v.f.WrapObjects {
		return map[string]any{"data": o}
	}
	return o
}

// list is a list as the API gives one.
func (v *visit) list(items []any) any {
	if items == nil {
		items = []any{}
	}
	if v.f.BareLists {
		return items
	}
	return map[string]any{"data": items}
}

// hook takes a call of an inbound webhook, whose address is the secret.
func (v *visit) hook(uid, body string) {
	limit := v.f.HookPerDay
	if limit == 0 {
		limit = 500
	}
	var refused *refusal
	v.s.state.Change(func(st *state) {
		for label, a := range st.Accounts {
			if identityOf(label).Hook != uid {
				continue
			}
			today := 0
			for _, h := range a.HookCalls {
				if v.now.Sub(h.At) < 24*time.Hour {
					today++
				}
			}
			if today >= limit {
				refused = &refusal{http.StatusTooManyRequests, "Too many requests to this webhook."}
				return
			}
			if len(a.HookCalls) >= maxHookCalls {
				a.HookCalls = a.HookCalls[1:]
			}
			a.HookCalls = append(a.HookCalls, hookCall{At: v.now, Body: body})
			return
		}
		refused = &refusal{http.StatusNotFound, "The webhook could not be found."}
	})
	switch {
	case v.r.Method != http.MethodPost:
		v.refuse(&refusal{http.StatusMethodNotAllowed, "The POST method is supported."})
	case refused != nil:
		v.refuse(refused)
	default:
		v.reply(http.StatusOK, map[string]any{"status": "ok"})
	}
}
