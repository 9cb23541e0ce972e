package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

// templateAge is how long the description of a template is good for.
const templateAge = 10 * time.Minute

// template is what the list says of one.
type template struct {
	Name      str             `json:"name"`
	Namespace str             `json:"namespace"`
	Language  str             `json:"language"`
	Category  str             `json:"category"`
	Status    str             `json:"status"`
	Params    json.RawMessage `json:"params"`
}

// keys are the names of its variables, which come as a list or as a map.
func (t template) keys() []string {
	var list []str
	var names map[string]json.RawMessage
	switch {
	case isObject(t.Params) && read(t.Params, &names) == nil:
		for k := range names {
			list = append(list, str(k))
		}
	case len(t.Params) > 0:
		_ = read(t.Params, &list) // it came out of valid JSON
	}
	out := make([]string, 0, len(list))
	for _, k := range list {
		if k != "" {
			out = append(out, string(k))
		}
	}
	return out
}

func (c *channel) listTemplates(ctx context.Context, name string, page int) ([]listed, error) {
	var list many[listed]
	q := url.Values{"limit": {strconv.Itoa(pageSize)}, "page": {strconv.Itoa(page)}}
	if name != "" {
		q.Set("name", name)
	}
	err := c.api.do(ctx, call{path: "/whatsapp-template/list", query: q, body: object{}}, &list)
	return list.Items, err
}

// templateOf finds a template, after a synchronisation with Meta if UChat does
// not have it.
func (c *channel) templateOf(ctx context.Context, name, language string) (template, error) {
	key := name + "\x00" + language
	if t, ok := c.templates.get(key, c.now()); ok {
		return t, nil
	}
	for synced := false; ; synced = true {
		list, err := c.listTemplates(ctx, name, 1)
		if err != nil {
			return template{}, unsent(err)
		}
		for _, l := range list {
			t := l.template
			if string(t.Name) == name && strings.EqualFold(strings.ReplaceAll(string(t.Language), "-", "_"), strings.ReplaceAll(language, "-", "_")) {
				c.templates.put(key, t, c.now())
				return t, nil
			}
		}
		if synced {
			return template{}, refusal(failure.Template, failure.Tenant, "UChat has no template "+strconv.Quote(clip(name, 100))+" in "+strconv.Quote(clip(language, 20)))
		}
		if err := c.api.do(ctx, call{path: "/whatsapp-template/sync", body: object{}}, nil); err != nil {
			return template{}, unsent(err)
		}
	}
}

// sendTemplate sends a template: to a contact, or to a telephone number that has
// never written.
func (c *channel) sendTemplate(ctx context.Context, m sdk.Message, t sdk.Template) (sdk.Receipt, error) {
	if kind := addressKinds[c.account.Channel]; kind != "wa_id" {
		return sdk.Receipt{}, refusal(failure.Unsupported, failure.Tenant, "only a WhatsApp bot sends templates")
	}
	o, err := ordersOf(m.Hints)
	if err != nil {
		return sdk.Receipt{}, err
	}
	found, err := c.templateOf(ctx, t.Name, t.Language)
	if err != nil {
		return sdk.Receipt{}, err
	}
	params, err := fill(t, found.keys())
	if err != nil {
		return sdk.Receipt{}, err
	}
	content := object{"namespace": string(found.Namespace), "name": string(found.Name), "lang": string(found.Language), "params": params}
	userNS, send := "", call{path: "/subscriber/send-whatsapp-template", body: object{"content": content}}
	for _, a := range m.To {
		if a.Kind == kindUser && c.ours(a.Value) {
			userNS, send.body["user_ns"] = a.Value, a.Value
			break
		}
	}
	if userNS == "" {
		id := c.userIDOf(m.To)
		if id == "" {
			return sdk.Receipt{}, refusal(failure.Recipient, failure.Tenant, "the person has no WhatsApp number")
		}
		send.path = "/subscriber/send-whatsapp-template-by-user-id"
		send.body["user_id"], send.body["create_if_not_found"] = id, "yes"
	} else if err := c.before(ctx, userNS, o); err != nil {
		return sdk.Receipt{}, err
	}
	var taken struct {
		MID  str `json:"mid"`
		Data struct {
			MID    str `json:"mid"`
			UserNS str `json:"user_ns"`
		} `json:"data"`
		UserNS str `json:"user_ns"`
	}
	if userNS != "" {
		c.remember(userNS, nil) // the history shows it filled in
	}
	if err := c.api.do(ctx, send, &taken); err != nil {
		if failureOf(err).Code == failure.Template {
			c.templates.drop(t.Name + "\x00" + t.Language) // it may have changed
		}
		return sdk.Receipt{}, err
	}
	receipt := sdk.Receipt{ProviderMessageID: string(first(taken.MID, taken.Data.MID)), State: sdk.DeliveryAccepted}
	c.follow(ctx, m, userNS, first(taken.UserNS, taken.Data.UserNS), o, &receipt)
	return receipt, nil
}

// follow does what comes after a template: UChat takes it for an agent's answer
// and pauses the bot, so that the template's own buttons do nothing.
func (c *channel) follow(ctx context.Context, m sdk.Message, userNS string, named str, o orders, receipt *sdk.Receipt) {
	if c.account.ResumeBot != resumeNever {
		o.resume = true
	}
	if userNS == "" && c.ours(string(named)) {
		userNS = string(named)
	}
	if userNS == "" { // a number that UChat may have just made a contact of
		p, err := c.find(ctx, c.userIDOf(m.To), false)
		if err != nil {
			c.log.WarnContext(ctx, "the template was taken, but its contact cannot be found to resume the bot", "error", err)
			return
		}
		userNS = string(p.UserNS)
	}
	c.remember(userNS, nil)
	receipt.Recipient = []sdk.Address{{Kind: kindUser, Value: userNS}}
	c.after(ctx, userNS, o)
}

// unfit is what Meta refuses in a variable: it would break the line.
var unfit = regexp.MustCompile(`[\r\n\t]| {4,}`)

// fill writes the variables by UChat's names. Where the list tells the names of
// a template's variables, those count: there are two ways of writing them.
func fill(t sdk.Template, known []string) (object, error) {
	has := map[string]bool{}
	for _, k := range known {
		has[k] = true
	}
	params := object{}
	for _, p := range t.Params {
		names, value, err := paramOf(p)
		if err != nil {
			return nil, err
		}
		if unfit.MatchString(value) {
			return nil, refusal(failure.Template, failure.Tenant, "a template's variable may have no line breaks, tabs or rows of spaces")
		}
		if value == "" {
			return nil, refusal(failure.Template, failure.Tenant, "the template's variable "+names[0]+" is empty")
		}
		name := names[0]
		for _, n := range names[1:] {
			if has[n] && !has[name] {
				name = n
			}
		}
		params[name] = value
	}
	for _, k := range known {
		if _, ok := params[k]; !ok && strings.HasPrefix(k, "BODY_") {
			return nil, refusal(failure.Template, failure.Tenant, "the template's variable "+k+" has no value")
		}
	}
	return params, nil
}

// paramOf is a variable's name in the ways it may be written, the documented one
// first, and its value.
func paramOf(p sdk.TemplateParam) (names []string, value string, err error) {
	n := strconv.Itoa(p.Index + 1)
	value = p.Text
	switch p.Component {
	case "body":
		if p.Name != "" {
			return []string{"BODY_{{" + p.Name + "}}", "BODY_" + p.Name}, value, nil
		}
		return []string{"BODY_{{" + n + "}}", "BODY_" + n}, value, nil
	case "header":
		if p.Media == nil {
			if p.Name != "" {
				n = p.Name
			}
			return []string{"HEADER_{{" + n + "}}", "HEADER_" + n}, value, nil
		}
		kind, _, _ := strings.Cut(p.Media.MIMEType, "/")
		name := map[string]string{"video": "HEADER_VIDEO", "application": "HEADER_DOCUMENT"}[kind]
		if name == "" {
			name = "HEADER_IMAGE"
		}
		return []string{name}, p.Media.URL, nil
	case "button":
		if p.Payload != "" {
			value = p.Payload
		}
		switch p.SubType {
		case "url":
			return []string{"URL_" + n}, value, nil
		case "quick_reply": // the sub-flow to run when it is pressed
			return []string{"QUICK_REPLY_" + n}, value, nil
		}
	}
	return nil, "", refusal(failure.Unsupported, failure.Plugin, fmt.Sprintf("UChat has no template variable of the kind %q", p.Component+" "+p.SubType))
}
