package simulator

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// controlPath is the prefix of the control API.
const controlPath = "/_simulator/"

// maxControlBody bounds a request of the control API: a replayed webhook may
// be larger than what Strato takes, to see it refused.
const maxControlBody = 8 << 20

// Handler serves the control API of p, and p itself at every other path.
func Handler(p Provider) http.Handler {
	c := control{p}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+controlPath+"accounts", c.accounts)
	mux.HandleFunc("POST "+controlPath+"say", c.say)
	mux.HandleFunc("POST "+controlPath+"replay", c.replay)
	mux.HandleFunc("GET "+controlPath+"messages", c.messages)
	mux.HandleFunc("GET "+controlPath+"faults", c.faults)
	mux.HandleFunc("POST "+controlPath+"faults", c.setFaults)
	mux.HandleFunc("DELETE "+controlPath+"faults", c.clearFaults)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, controlPath) {
			p.ServeHTTP(w, r)
			return
		}
		// A page in the developer's browser must not reach the secrets here.
		if r.Header.Get("Origin") != "" || !isLoopback(r.Host) {
			fail(w, Refuse(http.StatusForbidden, "The simulator is controlled from this machine only, and not by web pages."))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

type control struct{ Provider }

func (c control) accounts(w http.ResponseWriter, r *http.Request) {
	var in AccountRequest
	if !decode(w, r, &in) {
		return
	}
	if !isLabel(in.Label) {
		fail(w, Refuse(http.StatusUnprocessableEntity, "The label must be 1 to 40 lower-case letters, digits and dashes."))
		return
	}
	answer(w)(c.Account(in))
}

func (c control) say(w http.ResponseWriter, r *http.Request) {
	var in json.RawMessage
	if !decode(w, r, &in) {
		return
	}
	answer(w)(c.Say(r.Context(), in))
}

func (c control) replay(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	if err != nil {
		fail(w, Refuse(http.StatusRequestEntityTooLarge, "The body cannot be read: it may have at most %d bytes.", maxControlBody))
		return
	}
	q := r.URL.Query()
	asIs := q.Get("as_is") == "true" || q.Get("as_is") == "1"
	answer(w)(c.Replay(r.Context(), q.Get("to"), asIs, body))
}

func (c control) messages(w http.ResponseWriter, r *http.Request) {
	list, err := c.Messages(r.URL.Query().Get("account"), r.URL.Query().Get("phone"))
	if list == nil {
		list = []Message{}
	}
	answer(w)(map[string]any{"items": list}, err)
}

func (c control) faults(w http.ResponseWriter, _ *http.Request) { answer(w)(c.Faults().Get(), nil) }

func (c control) setFaults(w http.ResponseWriter, r *http.Request) {
	var in json.RawMessage
	if !decode(w, r, &in) {
		return
	}
	if err := c.Faults().Patch(in); err != nil {
		fail(w, Refuse(http.StatusUnprocessableEntity, "%v", err))
		return
	}
	answer(w)(c.Faults().Get(), nil)
}

func (c control) clearFaults(w http.ResponseWriter, _ *http.Request) {
	c.Faults().Clear()
	answer(w)(c.Faults().Get(), nil)
}

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		fail(w, Refuse(http.StatusBadRequest, "The request is not the JSON it should be: %v", err))
	}
	return err == nil
}

// answer returns a function that writes a result or an error.
func answer(w http.ResponseWriter) func(v any, err error) {
	return func(v any, err error) {
		if err != nil {
			fail(w, err)
			return
		}
		write(w, http.StatusOK, v)
	}
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if r, ok := errors.AsType[*Refusal](err); ok {
		status = r.Status
	}
	write(w, status, map[string]string{"error": err.Error()})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the caller has gone; nobody is left to tell
}

// isLoopback reports whether an address, with or without a port, is this machine.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func isLabel(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 40
}
