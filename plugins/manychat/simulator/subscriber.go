package simulator

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

func jsonNumber(digits string) json.Number { return json.Number(digits) }

// on runs f with the contact that a request names, or refuses.
func (s *Simulator) on(v visit, f func(*account, *contact) result) result {
	id := v.text("subscriber_id")
	if v.r.Method == http.MethodGet {
		id = v.r.URL.Query().Get("subscriber_id")
	}
	_, isText := v.body["subscriber_id"].(string)
	switch {
	case id == "" || id == "0":
		return invalid(v.faults, "", "subscriber_id cannot be blank.")
	case isText && v.faults.RefuseStringIDs:
		return invalid(v.faults, "subscriber_id", "subscriber_id must be an integer.")
	}
	out := invalid(v.faults, "subscriber_id", "Subscriber does not exist.")
	s.state.Change(func(st *state) {
		a := st.account(v.who.Label)
		if c := a.Contacts[id]; c != nil {
			out = f(a, c)
		}
	})
	return out
}

func (s *Simulator) getSubscriber(v visit) result {
	return s.on(v, func(a *account, c *contact) result { return success(subscriber(a, c, v.who)) })
}

// subscriber is a contact as the API describes it: custom fields are a list, and
// the tags are there.
func subscriber(a *account, c *contact, who identity) map[string]any {
	o := base(c, who)
	o["page_id"] = who.Page
	fields := []any{}
	for _, f := range a.Fields {
		d := describe(f)
		d["value"] = c.Values[f.Name]
		fields = append(fields, d)
	}
	tags := []any{}
	for _, t := range c.Tags {
		tags = append(tags, map[string]any{"id": 55210 + slices.Index(a.Tags, t), "name": t})
	}
	o["custom_fields"], o["tags"] = fields, tags
	return o
}

// base is what both descriptions of a contact have in common.
func base(c *contact, who identity) map[string]any {
	first, last, _ := strings.Cut(c.Name, " ")
	o := map[string]any{
		"id": c.ID, "user_refs": []any{}, "first_name": first, "last_name": last, "name": c.Name, "gender": nil, "profile_pic": nil,
		"locale": nil, "language": nil, "timezone": "UTC±00", "live_chat_url": "https://app.manychat.com/fb" + who.Number + "/chat/" + c.ID,
		"last_input_text": c.LastText, "optin_phone": false, "phone": orNull(c.Phone), "optin_email": false, "email": orNull(c.Email),
		"subscribed": c.CreatedAt.Format(time.RFC3339), "last_interaction": nil, "last_seen": nil, "is_followup_enabled": true,
		"ig_username": nil, "ig_id": nil, "whatsapp_phone": orNull(c.WhatsAppPhone), "whatsapp_bsuid": nil, "whatsapp_username": nil,
		"optin_whatsapp": c.WhatsAppPhone != "",
	}
	if at := c.lastWrote(); !at.IsZero() {
		o["last_interaction"], o["last_seen"] = at.Format(time.RFC3339), at.Format(time.RFC3339)
	}
	if c.InstagramID != "" {
		o["ig_id"], o["ig_username"] = jsonNumber(c.InstagramID), "ig."+c.InstagramID
	}
	return o
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// findBySystemField looks at phone and email. It never looks at the number of
// WhatsApp.
func (s *Simulator) findBySystemField(v visit) result {
	q := v.r.URL.Query()
	phone, email := q.Get("phone"), q.Get("email")
	if (phone == "") == (email == "") {
		return invalid(v.faults, "", "Exactly one of email and phone must be given.")
	}
	var hit map[string]any
	s.state.View(func(st *state) {
		a := st.account(v.who.Label)
		for _, c := range a.Contacts {
			if phone != "" && c.Phone == phone || email != "" && c.Email == email {
				hit = subscriber(a, c, v.who)
			}
		}
	})
	switch {
	case hit == nil:
		return success([]any{})
	case v.faults.FindAsList:
		return success([]any{hit})
	}
	return success(hit)
}

func (s *Simulator) findByCustomField(v visit) result {
	q := v.r.URL.Query()
	list := []any{}
	out := invalid(v.faults, "field_id", "Field does not exist.")
	s.state.View(func(st *state) {
		a := st.account(v.who.Label)
		f := a.field(number(jsonNumber(q.Get("field_id"))), "")
		if f == nil || f.Type != "text" && f.Type != "number" {
			return
		}
		for _, c := range a.Contacts {
			if text, _ := c.Values[f.Name].(string); text != "" && text == q.Get("field_value") {
				list = append(list, subscriber(a, c, v.who))
			}
		}
		out = success(list)
	})
	return out
}

// profile reads what create and update share; it refuses empty strings and
// consents that are missing.
func profile(v visit) *result {
	for key, value := range v.body {
		if value == "" {
			r := invalid(v.faults, key, key+" cannot be blank.")
			return &r
		}
	}
	for key, consent := range map[string]string{"phone": "has_opt_in_sms", "email": "has_opt_in_email"} {
		if _, ok := v.body[consent].(bool); v.body[key] != nil && !ok {
			r := invalid(v.faults, consent, consent+" cannot be blank.")
			return &r
		}
	}
	if agreed, _ := v.body["has_opt_in_sms"].(bool); agreed && v.text("consent_phrase") == "" {
		r := invalid(v.faults, "consent_phrase", "consent_phrase cannot be blank.")
		return &r
	}
	return nil
}

func (c *contact) fill(v visit) {
	first, last, _ := strings.Cut(c.Name, " ")
	if t := v.text("first_name"); t != "" {
		first = t
	}
	if t := v.text("last_name"); t != "" {
		last = t
	}
	c.Name = strings.TrimSpace(first + " " + last)
	if t := v.text("phone"); t != "" {
		c.Phone = t
	}
	if t := v.text("email"); t != "" {
		c.Email = t
	}
}

func (s *Simulator) createSubscriber(v visit) result {
	if refused := profile(v); refused != nil {
		return *refused
	}
	whatsapp, phone := v.text("whatsapp_phone"), v.text("phone")
	if whatsapp == "" && phone == "" && v.text("email") == "" {
		return invalid(v.faults, "", "At least one of phone, whatsapp_phone and email must be given.")
	}
	if v.faults.DenyImport {
		field := "wa_id"
		if whatsapp == "" {
			field = "phone"
		}
		return invalid(v.faults, field, "Permission denied to import "+field)
	}
	var out result
	s.state.Change(func(st *state) {
		a := st.account(v.who.Label)
		key := personKey(whatsapp + phone)
		for _, c := range a.Contacts {
			if whatsapp != "" && personKey(c.WhatsAppPhone) == key {
				out = invalid(v.faults, "wa_id", "This WhatsApp ID already exists: "+onlyDigits(c.WhatsAppPhone))
				return
			}
		}
		c := a.hold(key, v.now)
		if whatsapp != "" {
			c.WhatsAppPhone = "+" + key
		}
		c.fill(v)
		out = success(subscriber(a, c, v.who))
	})
	return out
}

func (s *Simulator) updateSubscriber(v visit) result {
	if refused := profile(v); refused != nil {
		return *refused
	}
	if v.body["whatsapp_phone"] != nil {
		return invalid(v.faults, "whatsapp_phone", "whatsapp_phone is not allowed.")
	}
	return s.on(v, func(a *account, c *contact) result {
		c.fill(v)
		return success(subscriber(a, c, v.who))
	})
}

func (s *Simulator) setCustomField(v visit) result {
	return s.on(v, func(a *account, c *contact) result {
		return a.set(c, v.faults, v.body)
	})
}

func (s *Simulator) setCustomFields(v visit) result {
	list, _ := v.body["fields"].([]any)
	if len(list) == 0 || len(list) > 20 {
		return invalid(v.faults, "fields", "fields must have 1 to 20 items.")
	}
	return s.on(v, func(a *account, c *contact) result {
		out := success(nil)
		for _, raw := range list {
			one, _ := raw.(map[string]any)
			if out = a.set(c, v.faults, one); out.status != http.StatusOK {
				break
			}
		}
		return out
	})
}

var datetimeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$`)

// set writes the value of a field, which must be of its type.
func (a *account) set(c *contact, faults Faults, in map[string]any) result {
	name, _ := in["field_name"].(string)
	f := a.field(number(in["field_id"]), name)
	if f == nil {
		return invalid(faults, "field_name", "Field does not exist.")
	}
	value := in["field_value"]
	text, isText := value.(string)
	fits := false
	switch f.Type {
	case "number":
		_, fits = value.(json.Number)
	case "boolean":
		_, fits = value.(bool)
	case "date":
		_, err := time.Parse(time.DateOnly, text)
		fits = isText && err == nil
	case "datetime":
		fits = datetimeForm.MatchString(text)
	default:
		fits = isText && text != ""
	}
	if !fits {
		return invalid(faults, "field_value", "field_value is not a valid "+f.Type+".")
	}
	if c.Values == nil {
		c.Values = map[string]any{}
	}
	c.Values[f.Name] = value
	return success(nil)
}

// addTag starts the tag's trigger only where the tag was not there.
func (s *Simulator) addTag(v visit) result {
	return s.on(v, func(a *account, c *contact) result {
		return a.tag(c, v.faults, v.text("tag_name"), true)
	})
}

func (s *Simulator) removeTag(v visit) result {
	return s.on(v, func(a *account, c *contact) result {
		return a.tag(c, v.faults, v.text("tag_name"), false)
	})
}

func (a *account) tag(c *contact, faults Faults, name string, add bool) result {
	if !slices.Contains(a.Tags, name) {
		return invalid(faults, "tag_name", "Tag does not exist.")
	}
	i := slices.Index(c.Tags, name)
	switch {
	case add && i < 0:
		c.Tags = append(c.Tags, name)
		c.Triggered++
	case !add && i >= 0:
		c.Tags = slices.Delete(c.Tags, i, i+1)
	}
	return success(nil)
}
