package simulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// windowWords are those of the refusal outside the window; the real ones are
// not known.
const windowWords = "Message cannot be sent outside the 24-hour window."

// put keeps what the business says, unless the window is closed.
func (v *visit) put(a *account, c *Contact, list ...*message) *refusal {
	closed := v.now.Sub(c.WroteAt) > 24*time.Hour && !v.f.IgnoreWindow
	if closed && v.f.WindowSilent {
		return nil
	}
	if closed {
		words := v.f.WindowWords
		if words == "" {
			words = windowWords
		}
		return &refusal{http.StatusBadRequest, words}
	}
	for _, m := range list {
		m.User, m.At, m.Status = c.NS, v.now, "sent"
		a.keep(m)
	}
	if v.f.PauseOnSend {
		c.PausedTo = v.now.Add(pauseOf(v.f))
	}
	return nil
}

func sendText(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	content := text(v.in["content"])
	if content == "" {
		return nil, invalid("The content field is required.")
	}
	return nil, v.put(a, c, &message{Type: "out", MsgType: "text", Text: content})
}

// sendContent takes dynamic content of the version v1.
func sendContent(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	data, _ := v.in["data"].(map[string]any)
	content, _ := data["content"].(map[string]any)
	list, _ := content["messages"].([]any)
	if data["version"] != "v1" || len(list) == 0 || len(list) > 10 {
		return nil, invalid("The data field must be dynamic content v1 with 1 to 10 messages.")
	}
	kind := "out"
	if v.in["send_as_agent"] == float64(1) {
		kind = "agent"
	}
	var out []*message
	for i, raw := range list {
		one, _ := raw.(map[string]any)
		m := &message{Type: kind, MsgType: text(one["type"]), Text: text(one["text"]), URL: text(one["url"])}
		switch m.MsgType {
		case "text":
			if m.Text == "" {
				return nil, invalid("The data.content.messages." + strconv.Itoa(i) + ".text field is required.")
			}
		case "image", "video", "audio", "file":
			if !strings.HasPrefix(m.URL, "http") {
				return nil, invalid("The media url is not valid.")
			}
		case "cards":
			elements, _ := one["elements"].([]any)
			if len(elements) == 0 || len(elements) > 10 {
				return nil, invalid("The elements field must have between 1 and 10 items.")
			}
			var titles []string
			for _, e := range elements {
				o, _ := e.(map[string]any)
				titles = append(titles, text(o["title"]))
			}
			m.Text = strings.Join(titles, " | ")
		default:
			return nil, invalid("The selected type is invalid.")
		}
		out = append(out, m)
	}
	return nil, v.put(a, c, out...)
}

func sendSubFlow(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	name := text(v.in["flow_name"])
	for i, one := range subFlows {
		if text(v.in["sub_flow_ns"]) == v.who.FlowNS+"s"+strconv.Itoa(61001+i) {
			name = one
		}
	}
	if !slices.Contains(subFlows, name) {
		return nil, &refusal{http.StatusNotFound, "Sub flow not found."}
	}
	c.SubFlows = append(c.SubFlows, name)
	return nil, nil //nolint:nilnil // the plain "ok"
}

// templates that the account has; the last only after a synchronisation.
var templates = []struct {
	name, lang, category, body string
	params                     []string
}{
	{"recordatorio_visita", "es_AR", "UTILITY", "Hola {{1}}, te esperamos el {{2}}.", []string{"HEADER_IMAGE", "BODY_{{1}}", "BODY_{{2}}", "URL_1", "QUICK_REPLY_1"}},
	{"saludo", "es_AR", "MARKETING", "Hola {{1}}, ¿seguís buscando?", []string{"BODY_{{1}}"}},
	{"plano", "es_AR", "UTILITY", "Hola {{1}}.", []string{"BODY_1"}},
	{"nombrada", "es", "UTILITY", "Hola {{nombre}}.", []string{"BODY_{{nombre}}"}},
	{"nueva", "es_AR", "UTILITY", "Novedades.", nil},
}

const namespace = "a1b2c3d4_e5f6_7890_abcd_ef0123456789"

func listTemplates(v *visit, a *account) (any, *refusal) {
	var out []any
	for i, t := range templates {
		if i == len(templates)-1 && !a.Synced || slices.Contains(a.Deleted, t.name) || !strings.Contains(t.name, v.r.URL.Query().Get("name")) {
			continue
		}
		var params any = t.params
		if v.f.ParamsAsMap {
			m := map[string]any{}
			for _, p := range t.params {
				m[p] = ""
			}
			params = m
		}
		out = append(out, map[string]any{
			"name": t.name, "namespace": namespace, "language": t.lang, "category": t.category, "status": "APPROVED", "params": params,
			"components": []any{map[string]any{"type": "BODY", "text": t.body}},
		})
	}
	for _, t := range a.Created {
		out = append(out, map[string]any{
			"name": t.Name, "namespace": namespace, "language": t.Language, "category": t.Category, "status": "PENDING", "params": []string{},
			"components": []any{map[string]any{"type": "BODY", "text": t.Body}},
		})
	}
	return v.page(out), nil
}

// created is a template that waits for Meta's approval.
type created struct{ Name, Language, Category, Body string }

func syncTemplates(_ *visit, a *account) (any, *refusal) {
	a.Synced = true
	return nil, nil //nolint:nilnil // the plain "ok"
}

func createTemplate(v *visit, a *account) (any, *refusal) {
	t := created{Name: text(v.in["name"]), Language: text(v.in["language"]), Category: text(v.in["category"])}
	parts, _ := v.in["components"].([]any)
	for _, raw := range parts {
		if o, _ := raw.(map[string]any); o["type"] == "BODY" {
			t.Body = text(o["text"])
		}
	}
	if t.Name == "" || t.Language == "" || t.Body == "" {
		return nil, invalid("The name, language and components fields are required.")
	}
	for _, one := range a.Created {
		if one.Name == t.Name && one.Language == t.Language {
			return nil, &refusal{http.StatusBadRequest, "The template already exists."}
		}
	}
	a.Created = append(a.Created, t)
	return nil, nil //nolint:nilnil // the plain "ok"
}

func deleteTemplate(v *visit, a *account) (any, *refusal) {
	name := text(v.in["name"])
	if name == "" {
		return nil, invalid("The name field is required.")
	}
	a.Deleted = append(a.Deleted, name)
	a.Created = slices.DeleteFunc(a.Created, func(t created) bool { return t.Name == name })
	return nil, nil //nolint:nilnil // the plain "ok"
}

func sendTemplate(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	return v.template(a, c)
}

func sendTemplateByID(v *visit, a *account) (any, *refusal) {
	id := digits(text(v.in["user_id"]))
	c := a.byID(id)
	if c == nil && (text(v.in["create_if_not_found"]) != "yes" || id == "") {
		return nil, noUser()
	}
	if c == nil {
		c = a.contact(id, v.now)
	}
	return v.template(a, c)
}

// template sends one: it needs no window, and pauses the bot.
func (v *visit) template(a *account, c *Contact) (any, *refusal) {
	content, _ := v.in["content"].(map[string]any)
	params, _ := content["params"].(map[string]any)
	for i, t := range templates {
		if t.name != text(content["name"]) || t.lang != text(content["lang"]) || i == len(templates)-1 && !a.Synced {
			continue
		}
		if text(content["namespace"]) != namespace {
			return nil, &refusal{http.StatusBadRequest, "The template namespace does not match."}
		}
		if params["HEADER_IMAGE"] != nil && v.f.NoImageTempl {
			return nil, &refusal{http.StatusBadRequest, "Template header image could not be downloaded."}
		}
		body := t.body
		for _, p := range t.params {
			hole, isBody := strings.CutPrefix(p, "BODY_")
			value := text(params[p])
			if isBody && value == "" {
				return nil, &refusal{http.StatusBadRequest, "Template parameter " + p + " is missing."}
			}
			if isBody {
				body = strings.ReplaceAll(body, "{{"+strings.Trim(hole, "{}")+"}}", value)
			}
		}
		m := a.keep(&message{User: c.NS, Type: "agent", MsgType: "text", Text: body, At: v.now, Status: "sent"})
		if !v.f.NoTemplatePause {
			c.PausedTo = v.now.Add(pauseOf(v.f))
		}
		switch {
		case v.f.OmitMID:
			return nil, nil //nolint:nilnil // the plain "ok"
		case v.f.MIDInData:
			return map[string]any{"status": "ok", "data": map[string]any{"mid": m.MID}}, nil
		}
		return map[string]any{"status": "ok", "mid": m.MID}, nil
	}
	return nil, &refusal{http.StatusBadRequest, "Template not found."}
}
