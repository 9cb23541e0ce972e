package simulator

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// maxBody bounds the JSON of a request.
const maxBody = 1 << 20

var versionForm = regexp.MustCompile(`^v[0-9]+\.[0-9]+$`)

// visit is one authorised request: whose it is, and for what.
type visit struct {
	w     http.ResponseWriter
	r     *http.Request
	who   identity
	id    string
	edge  string
	query url.Values
}

// ServeHTTP implements the Graph API under any version.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who, refused := s.authorise(r)
	if strings.HasPrefix(r.URL.Path, filePath) {
		s.serveFile(w, r, who, refused)
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) < 2 || len(parts) > 3 || !versionForm.MatchString(parts[0]) {
		invalid("Unknown path components: %s", r.URL.Path).write(w)
		return
	}
	if refused != nil {
		refused.write(w)
		return
	}
	v := visit{w: w, r: r, who: who, id: parts[1], query: r.URL.Query()}
	if len(parts) == 3 {
		v.edge = parts[2]
	}
	switch v.id {
	case who.PhoneNumberID:
		s.number(v)
	case who.BusinessAccountID:
		s.business(v)
	default:
		s.file(v)
	}
}

// authorise finds whose token a request carries.
func (s *Simulator) authorise(r *http.Request) (identity, *refusal) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || token == "" {
		missing := refuse(190, "")
		missing.message = "An active access token must be used to query information about the current user."
		return identity{}, missing
	}
	var who identity
	s.state.View(func(st *state) {
		for label := range st.Accounts {
			if id := identityOf(label); id.AccessToken == token {
				who = id
			}
		}
	})
	if who.Label == "" {
		return identity{}, refuse(190, "")
	}
	return who, nil
}

// number serves a phone number and its edges.
func (s *Simulator) number(v visit) {
	switch v.r.Method + " " + v.edge {
	case "GET ":
		reply(v.w, http.StatusOK, pick(numberObject(v.who), v.query.Get("fields")))
	case "POST messages":
		s.send(v)
	case "POST media":
		s.upload(v)
	case "GET whatsapp_business_profile":
		reply(v.w, http.StatusOK, map[string]any{"data": []any{s.profile(v.who.Label)}})
	case "POST whatsapp_business_profile":
		s.setProfile(v)
	case "POST ", "POST register", "POST deregister", "POST request_code", "POST verify_code", "POST settings":
		success(v.w)
	default:
		nowhere(v.r.Method, v.id).write(v.w)
	}
}

// business serves a WhatsApp Business account and its edges.
func (s *Simulator) business(v visit) {
	switch v.r.Method + " " + v.edge {
	case "GET ":
		reply(v.w, http.StatusOK, pick(map[string]any{"id": v.id, "name": v.who.Name, "currency": "ARS",
			"timezone_id": "10", "message_template_namespace": secret(v.who.Label, "namespace", 16)}, v.query.Get("fields")))
	case "GET phone_numbers":
		page(v, []map[string]any{numberObject(v.who)})
	case "GET message_templates":
		page(v, filterTemplates(v.query))
	case "GET subscribed_apps":
		s.subscribedApps(v)
	case "POST subscribed_apps":
		s.subscribe(v)
	case "DELETE subscribed_apps":
		s.state.Change(func(st *state) { st.account(v.who.Label).Unsubscribed = true })
		success(v.w)
	default:
		nowhere(v.r.Method, v.id).write(v.w)
	}
}

func numberObject(who identity) map[string]any {
	return map[string]any{
		"id": who.PhoneNumberID, "verified_name": who.Name, "display_phone_number": who.Display,
		"code_verification_status": "VERIFIED", "quality_rating": "GREEN", "platform_type": "CLOUD_API",
		"throughput": map[string]any{"level": "STANDARD"}, "name_status": "APPROVED", "status": "CONNECTED",
	}
}

// pick keeps the fields that were asked for, and the id.
func pick(o map[string]any, fields string) map[string]any {
	if fields == "" {
		return o
	}
	out := map[string]any{"id": o["id"]}
	for f := range strings.SplitSeq(fields, ",") {
		if v, ok := o[f]; ok {
			out[f] = v
		}
	}
	return out
}

// page answers a list by limit and after. As at Meta, the last page has a
// cursor too, but no next.
func page(v visit, items []map[string]any) {
	limit, err := strconv.Atoi(v.query.Get("limit"))
	if err != nil || limit < 1 {
		limit = 25
	}
	from, _ := strconv.Atoi(strings.TrimPrefix(v.query.Get("after"), "QVFI"))
	from = min(max(from, 0), len(items))
	to := min(from+limit, len(items))
	data := []any{}
	for _, o := range items[from:to] {
		data = append(data, pick(o, v.query.Get("fields")))
	}
	paging := map[string]any{"cursors": map[string]any{"before": "QVFI" + strconv.Itoa(from), "after": "QVFI" + strconv.Itoa(to)}}
	if to < len(items) {
		next := v.query
		next.Set("after", "QVFI"+strconv.Itoa(to))
		paging["next"] = "http://" + v.r.Host + v.r.URL.Path + "?" + next.Encode()
	}
	reply(v.w, http.StatusOK, map[string]any{"data": data, "paging": paging})
}

func (s *Simulator) profile(label string) map[string]any {
	out := map[string]any{"messaging_product": "whatsapp", "about": "Propiedades en Buenos Aires"}
	s.state.View(func(st *state) {
		maps.Copy(out, st.account(label).Profile)
	})
	return out
}

func (s *Simulator) setProfile(v visit) {
	in, refused := readObject(v)
	if refused != nil {
		refused.write(v.w)
		return
	}
	s.state.Change(func(st *state) {
		a := st.account(v.who.Label)
		if a.Profile == nil {
			a.Profile = map[string]any{}
		}
		for _, k := range []string{"about", "address", "description", "email", "vertical", "websites"} {
			if value, ok := in[k]; ok {
				a.Profile[k] = value
			}
		}
	})
	success(v.w)
}

func (s *Simulator) subscribedApps(v visit) {
	data := []any{}
	s.state.View(func(st *state) {
		if !st.account(v.who.Label).Unsubscribed {
			data = append(data, map[string]any{"whatsapp_business_api_data": map[string]any{
				"id": digits(v.who.Label, "app", 16), "link": "https://www.facebook.com/games/?app_id=" + digits(v.who.Label, "app", 16),
				"name": "Strato",
			}})
		}
	})
	reply(v.w, http.StatusOK, map[string]any{"data": data})
}

// subscribe also takes an address for webhooks of its own, which it first
// makes sure of, as Meta does.
func (s *Simulator) subscribe(v visit) {
	in, refused := readObject(v)
	if refused != nil {
		refused.write(v.w)
		return
	}
	callback, _ := in["override_callback_uri"].(string)
	if callback != "" {
		token, _ := in["verify_token"].(string)
		if !s.verify(v.r.Context(), callback, token) {
			bad := invalid("The callback URL or verify token couldn't be validated. Please verify the provided information or try again later.")
			bad.subcode = 2200
			bad.write(v.w)
			return
		}
	}
	s.state.Change(func(st *state) {
		a := st.account(v.who.Label)
		a.Unsubscribed = false
		if callback != "" {
			a.WebhookURL = callback
		}
	})
	success(v.w)
}

// readObject reads a body that may be empty.
func readObject(v visit) (map[string]any, *refusal) {
	raw, err := io.ReadAll(http.MaxBytesReader(v.w, v.r.Body, maxBody))
	if err != nil {
		return nil, invalid("The request is too large")
	}
	out := map[string]any{}
	if len(raw) > 0 && json.Unmarshal(raw, &out) != nil {
		return nil, invalid("The request is not a JSON object")
	}
	return out, nil
}
