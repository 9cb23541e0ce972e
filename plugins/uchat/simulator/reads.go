package simulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The agency's things at UChat that nobody makes.
var (
	agents = []struct {
		id   int
		name string
	}{{901, "Marina Acuña"}, {902, "Diego Sosa"}}
	subFlows  = []string{"Bienvenida", "Agendar visita", "Confirmo visita"}
	fieldList = []struct{ name, kind string }{{"propiedad_consultada", "text"}, {"presupuesto_ars", "number"}, {"mascotas", "boolean"}}
)

func me(v *visit, _ *account) (any, *refusal) {
	return v.single(map[string]any{"id": v.who.TeamID, "name": v.who.Label}), nil
}

func flowTags(v *visit, a *account) (any, *refusal) {
	var out []any
	for i, t := range a.Tags {
		out = append(out, map[string]any{"name": t, "tag_ns": v.who.FlowNS + "t" + strconv.Itoa(90001+i)})
	}
	return v.page(out), nil
}

func flowFields(v *visit, _ *account) (any, *refusal) {
	var out []any
	for i, f := range fieldList {
		out = append(out, map[string]any{"name": f.name, "var_ns": v.who.FlowNS + "v" + strconv.Itoa(400001+i), "var_type": f.kind})
	}
	return v.page(out), nil
}

func flowSubFlows(v *visit, _ *account) (any, *refusal) {
	var out []any
	for i, name := range subFlows {
		out = append(out, map[string]any{"name": name, "sub_flow_ns": v.who.FlowNS + "s" + strconv.Itoa(61001+i)})
	}
	return v.page(out), nil
}

func flowAgents(v *visit, _ *account) (any, *refusal) {
	var out []any
	for _, a := range agents {
		out = append(out, map[string]any{"id": a.id, "name": a.name, "role": "agent", "is_online": true})
	}
	return v.list(out), nil
}

func flowHooks(v *visit, _ *account) (any, *refusal) {
	return v.list([]any{map[string]any{
		"name": "Strato", "hook_uid": v.who.Hook, "status": "active", "url": "http://" + v.r.Host + "/api/iwh/" + v.who.Hook,
	}}), nil
}

// page is the part of a list that a query asks for; nothing of a bot that is empty.
func (v *visit) page(items []any) any {
	if v.f.EmptyBot {
		return v.list(nil)
	}
	limit, _ := strconv.Atoi(v.r.URL.Query().Get("limit"))
	page, _ := strconv.Atoi(v.r.URL.Query().Get("page"))
	if limit <= 0 || limit > 100 {
		limit = 100
	}
	from := min(max(page-1, 0)*limit, len(items))
	return v.list(items[from:min(from+limit, len(items))])
}

func subscribers(v *visit, a *account) (any, *refusal) {
	all := make([]*Contact, 0, len(a.Contacts))
	for _, c := range a.Contacts {
		all = append(all, c)
	}
	slices.SortFunc(all, func(x, y *Contact) int { return cmp.Compare(x.NS, y.NS) })
	var out []any
	for _, c := range all {
		out = append(out, v.user(c))
	}
	return v.page(out), nil
}

func getInfo(v *visit, a *account) (any, *refusal) {
	c, refused := v.contact(a, v.r.URL.Query().Get("user_ns"))
	if refused != nil {
		return nil, refused
	}
	return v.single(v.user(c)), nil
}

func getInfoByUserID(v *visit, a *account) (any, *refusal) {
	if c := a.byID(v.r.URL.Query().Get("user_id")); c != nil {
		return v.single(v.user(c)), nil
	}
	return nil, noUser()
}

func noUser() *refusal { return &refusal{http.StatusBadRequest, "User not found."} }

// contact finds the person that a request names.
func (v *visit) contact(a *account, ns string) (*Contact, *refusal) {
	if ns == "" {
		return nil, &refusal{http.StatusUnprocessableEntity, "The user_ns field is required."}
	}
	if c := a.Contacts[ns]; c != nil {
		return c, nil
	}
	return nil, noUser()
}

// user is a contact as the API shows one.
func (v *visit) user(c *Contact) map[string]any {
	tags, fields := []any{}, []any{}
	for _, t := range c.Tags {
		tags = append(tags, map[string]any{"name": t, "tag_ns": v.who.FlowNS + "t1"})
	}
	for _, f := range fieldList {
		if value, ok := c.Fields[f.name]; ok {
			fields = append(fields, map[string]any{"name": f.name, "var_type": f.kind, "value": value})
		}
	}
	given, family, _ := strings.Cut(c.Name, " ")
	var id any = c.UserID
	if v.f.NumbersAsIDs {
		id = json.Number(c.UserID)
	}
	return map[string]any{
		"user_ns": c.NS, "user_id": id, "name": c.Name, "first_name": given, "last_name": family, "phone": c.UserID, "email": "",
		"language": "es", "locale": "es_AR", "profile_pic": "", "subscribed": stamp(c.CreatedAt), "last_interaction": stamp(c.WroteAt),
		"tags": tags, "user_fields": fields,
	}
}

// stamp is a date as UChat writes it: without a zone.
func stamp(at time.Time) string { return at.UTC().Format(time.DateTime) }

// chatMessages gives the history, newest first.
func chatMessages(v *visit, a *account) (any, *refusal) {
	if v.f.NoHistory {
		return nil, &refusal{http.StatusForbidden, "You do not have the permission to read chat messages."}
	}
	q := v.r.URL.Query()
	c, refused := v.contact(a, q.Get("user_ns"))
	if refused != nil {
		return nil, refused
	}
	since, _ := strconv.ParseInt(q.Get("start_time"), 10, 64)
	limit, _ := strconv.Atoi(q.Get("limit"))
	if limit <= 0 || limit > 100 {
		return nil, &refusal{http.StatusUnprocessableEntity, "The limit must be between 1 and 100."}
	}
	var out []any
	for _, m := range slices.Backward(a.Messages) {
		if m.User != c.NS || m.At.Unix() < since || m.Type == "out" && q.Get("include_bot") != "1" || len(out) == limit {
			continue
		}
		if m.Hidden > 0 {
			m.Hidden--
			continue
		}
		var id any = m.ID
		if v.f.NumbersAsIDs {
			id = m.id()
		}
		content := m.Text
		if v.f.PayloadOnly {
			content = ""
		}
		out = append(out, map[string]any{
			"id": id, "type": m.Type, "msg_type": m.MsgType, "content": content, "payload": m.payload(), "sender_id": c.NS, "ts": m.At.Unix(),
		})
	}
	return v.list(out), nil
}
