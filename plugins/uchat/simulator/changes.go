package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxBulk is how many tags or fields a request may have.
const maxBulk = 20

// person is the contact that a request's body names.
func (v *visit) person(a *account) (*Contact, *refusal) { return v.contact(a, text(v.in["user_ns"])) }

func createTag(v *visit, a *account) (any, *refusal) {
	name := text(v.in["name"])
	if name == "" {
		return nil, invalid("The name field is required.")
	}
	if !slices.Contains(a.Tags, name) {
		a.Tags = append(a.Tags, name)
	}
	return map[string]any{"name": name, "tag_ns": v.who.FlowNS + "t1"}, nil
}

func invalid(words string) *refusal { return &refusal{http.StatusUnprocessableEntity, words} }

func createSubscriber(v *visit, a *account) (any, *refusal) {
	phone := digits(text(v.in["phone"]))
	if phone == "" {
		return nil, invalid("The phone field is required.")
	}
	c := a.contact(phone, v.now)
	c.rename(v.in)
	return map[string]any{"status": "ok", "data": v.user(c)}, nil
}

func updateSubscriber(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	c.rename(v.in)
	return v.single(v.user(c)), nil
}

func (c *Contact) rename(in map[string]any) {
	name := text(in["name"])
	if name == "" {
		name = strings.TrimSpace(text(in["first_name"]) + " " + text(in["last_name"]))
	}
	if name != "" {
		c.Name = name
	}
}

// items reads data, which must be a list of objects.
func (v *visit) items() ([]map[string]any, *refusal) {
	raw, _ := v.in["data"].([]any)
	if len(raw) == 0 || len(raw) > maxBulk {
		return nil, invalid(fmt.Sprintf("The data field must have between 1 and %d items.", maxBulk))
	}
	out := make([]map[string]any, len(raw))
	for i, r := range raw {
		o, ok := r.(map[string]any)
		if !ok {
			return nil, invalid(fmt.Sprintf("The data.%d field must be an array.", i))
		}
		out[i] = o
	}
	return out, nil
}

func addTags(v *visit, a *account) (any, *refusal) {
	return v.eachTag(a, func(c *Contact, name string) *refusal {
		if !slices.Contains(a.Tags, name) {
			return &refusal{http.StatusBadRequest, "Tag not found: " + name}
		}
		if !slices.Contains(c.Tags, name) {
			c.Tags = append(c.Tags, name)
		}
		return nil
	})
}

func removeTags(v *visit, a *account) (any, *refusal) {
	return v.eachTag(a, func(c *Contact, name string) *refusal {
		c.Tags = slices.DeleteFunc(c.Tags, func(t string) bool { return t == name })
		return nil
	})
}

func (v *visit) eachTag(a *account, do func(*Contact, string) *refusal) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	list, refused := v.items()
	if refused != nil {
		return nil, refused
	}
	for _, o := range list {
		name := text(o["tag_name"])
		if name == "" {
			return nil, invalid("The data.0.tag_name field is required.")
		}
		if refused := do(c, name); refused != nil {
			return nil, refused
		}
	}
	return nil, nil //nolint:nilnil // the plain "ok"
}

func setFields(v *visit, a *account) (any, *refusal) {
	return v.eachField(a, func(c *Contact, name string, value any) *refusal {
		if value == nil {
			return invalid("The data.0.value field is required.")
		}
		c.Fields[name] = fmt.Sprint(value)
		return nil
	})
}

func clearFields(v *visit, a *account) (any, *refusal) {
	return v.eachField(a, func(c *Contact, name string, _ any) *refusal {
		delete(c.Fields, name)
		return nil
	})
}

func (v *visit) eachField(a *account, do func(*Contact, string, any) *refusal) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	list, refused := v.items()
	if refused != nil {
		return nil, refused
	}
	if c.Fields == nil {
		c.Fields = map[string]string{}
	}
	for _, o := range list {
		name := text(o["name"])
		known := false
		for _, f := range fieldList {
			known = known || f.name == name
		}
		if !known {
			return nil, &refusal{http.StatusBadRequest, "Field not found: " + name}
		}
		if refused := do(c, name, o["value"]); refused != nil {
			return nil, refused
		}
	}
	return nil, nil //nolint:nilnil // the plain "ok"
}

func pauseBot(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	minutes, ok := v.in["minutes"].(float64)
	if !ok || minutes < 1 {
		return nil, invalid("The minutes field must be an integer.")
	}
	c.PausedTo = v.now.Add(time.Duration(minutes) * time.Minute)
	return nil, nil //nolint:nilnil // the plain "ok"
}

func resumeBot(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused == nil {
		c.PausedTo = time.Time{}
	}
	return nil, refused
}

func moveChat(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	to := text(v.in["status"])
	if !slices.Contains([]string{"open", "pending", "spam", "done"}, to) {
		return nil, invalid("The selected status is invalid.")
	}
	c.Status = to
	return nil, nil //nolint:nilnil // the plain "ok"
}

func assignAgent(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	id, _ := v.in["agent_id"].(float64)
	for _, one := range agents {
		if one.id == int(id) {
			c.Agent = one.id
			return nil, nil //nolint:nilnil // the plain "ok"
		}
	}
	return nil, &refusal{http.StatusBadRequest, "Agent not found."}
}

func assignGroup(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused != nil {
		return nil, refused
	}
	id, _ := v.in["agent_group_id"].(float64)
	if id < 1 {
		return nil, invalid("The agent_group_id field is required.")
	}
	c.Group = int(id)
	return nil, nil //nolint:nilnil // the plain "ok"
}

func unassignAgent(v *visit, a *account) (any, *refusal) {
	c, refused := v.person(a)
	if refused == nil {
		c.Agent, c.Group = 0, 0
	}
	return nil, refused
}
