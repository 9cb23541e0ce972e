package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds the JSON of a request.
const maxBody = 1 << 20

// visit is one authorised request.
type visit struct {
	r      *http.Request
	who    identity
	faults Faults
	body   map[string]any
	now    time.Time
}

// result is an answer of the API.
type result struct {
	status int
	body   any
}

// endpoints are what the API has, with their limits in requests a second.
var endpoints = map[string]struct {
	perSecond int
	serve     func(*Simulator, visit) result
}{
	"GET page/getInfo":                     {100, (*Simulator).getInfo},
	"GET page/getTags":                     {100, (*Simulator).getTags},
	"POST page/createTag":                  {10, (*Simulator).createTag},
	"GET page/getCustomFields":             {100, (*Simulator).getCustomFields},
	"POST page/createCustomField":          {10, (*Simulator).createCustomField},
	"GET page/getFlows":                    {10, (*Simulator).getFlows},
	"GET subscriber/getInfo":               {10, (*Simulator).getSubscriber},
	"GET subscriber/findBySystemField":     {50, (*Simulator).findBySystemField},
	"GET subscriber/findByCustomField":     {10, (*Simulator).findByCustomField},
	"POST subscriber/createSubscriber":     {10, (*Simulator).createSubscriber},
	"POST subscriber/updateSubscriber":     {10, (*Simulator).updateSubscriber},
	"POST subscriber/setCustomFieldByName": {10, (*Simulator).setCustomField},
	"POST subscriber/setCustomField":       {10, (*Simulator).setCustomField},
	"POST subscriber/setCustomFields":      {10, (*Simulator).setCustomFields},
	"POST subscriber/addTagByName":         {10, (*Simulator).addTag},
	"POST subscriber/removeTagByName":      {10, (*Simulator).removeTag},
	"POST sending/sendContent":             {25, (*Simulator).sendContent},
	"POST sending/sendFlow":                {20, (*Simulator).sendFlow},
}

// ServeHTTP implements the API.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, "/fb/")
	e, known := endpoints[r.Method+" "+name]
	if !ok || !known {
		page(w, http.StatusNotFound)
		return
	}
	v := visit{r: r, faults: s.faults.Load(), now: s.options.Now()}
	if v.who = s.authorise(r); v.who.Label == "" {
		write(w, http.StatusUnauthorized, map[string]any{"status": "error", "message": "Wrong token"})
		return
	}
	limit := e.perSecond
	if v.faults.PerSecond > 0 {
		limit = v.faults.PerSecond
	}
	if !s.limits.spend(v.who.Label+" "+name, limit, time.Second, v.now) {
		tooMany(w, v.faults)
		return
	}
	f := s.strike()
	switch {
	case f.HTTPStatus != 0:
		page(w, f.HTTPStatus)
		return
	case f.ErrorCode != 0:
		out := coded(f.ErrorCode, "Refused by a switch.")
		write(w, out.status, out.body)
		return
	}
	if r.Method == http.MethodPost {
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.UseNumber()
		if err != nil || d.Decode(&v.body) != nil {
			write(w, http.StatusBadRequest, map[string]any{"status": "error", "message": "Invalid JSON"})
			return
		}
	}
	out := e.serve(s, v)
	switch {
	case f.HangReply:
		select {
		case <-s.closing:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case f.CloseConnection:
		panic(http.ErrAbortHandler)
	}
	if out.status == http.StatusTooManyRequests {
		tooMany(w, v.faults)
		return
	}
	write(w, out.status, out.body)
}

// strike returns the switches that this request meets, and counts it.
func (s *Simulator) strike() Faults {
	var met Faults
	s.faults.Update(func(f *Faults) {
		if f.HTTPStatus == 0 && f.ErrorCode == 0 && !f.HangReply && !f.CloseConnection {
			return
		}
		met = *f
		if f.Times--; f.Times == 0 {
			f.HTTPStatus, f.ErrorCode, f.HangReply, f.CloseConnection = 0, 0, false, false
		}
		f.Times = max(f.Times, 0)
	})
	return met
}

func (s *Simulator) authorise(r *http.Request) identity {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	var who identity
	s.state.View(func(st *state) {
		for label := range st.Accounts {
			if id := identityOf(label); ok && id.APIKey == token {
				who = id
			}
		}
	})
	return who
}

func success(data any) result {
	body := map[string]any{"status": "success"}
	if data != nil {
		body["data"] = data
	}
	return result{status: http.StatusOK, body: body}
}

// coded is a refusal with a code.
func coded(code int, words string) result {
	return result{status: http.StatusBadRequest, body: map[string]any{"status": "error", "message": words, "code": code}}
}

// invalid is a refusal of a field; its details have either of two shapes.
func invalid(f Faults, field, words string) result {
	var details any = map[string]any{field: map[string]any{"message": []string{words}}}
	if f.DetailsAsList || field == "" {
		details = []any{map[string]any{"message": words}}
	}
	return result{status: http.StatusBadRequest, body: map[string]any{
		"status": "error", "message": "Validation error", "details": map[string]any{"messages": details},
	}}
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone; nobody is left to tell
}

// page answers as the web server before the API does.
func page(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<!DOCTYPE html><html><head><title>"+http.StatusText(status)+"</title></head><body></body></html>")
}

func tooMany(w http.ResponseWriter, f Faults) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = io.WriteString(w, f.RateBody)
}

// text reads a string of the request, or a number as one.
func (v visit) text(key string) string {
	switch x := v.body[key].(type) {
	case string:
		return x
	case json.Number:
		return x.String()
	}
	return ""
}

func number(raw any) int {
	n, _ := raw.(json.Number)
	i, _ := strconv.Atoi(n.String())
	return i
}
