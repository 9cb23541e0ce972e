package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stratohub/strato/sdk/failure"
)

// bulk is how many tags or fields a request takes.
const bulk = 20

// maxPause is the longest pause that is asked for: a year, in minutes.
const maxPause = 366 * 24 * 60

// orders are what to do with a contact beside writing, from a message's hints:
//
//	pause_minutes, resume_bot, assign_agent, assign_group, unassign_agent,
//	chat_status, add_tags, remove_tags, set_fields, clear_fields, sub_flow,
//	inbound_webhook, as_agent
//
// Lists are separated by commas; set_fields and inbound_webhook are JSON
// objects; sub_flow is an ns or a name. Hints of others are left alone.
type orders struct {
	pause           int
	resume, release bool
	agent, group    int
	status          string
	add, remove     []string
	fields          map[string]any
	clear           []string
	subFlow         string
	hook            map[string]any
}

var statuses = []string{"open", "pending", "spam", "done"}

// ordersOf reads hints. Its errors are failures.
func ordersOf(hints map[string]string) (orders, error) {
	o := orders{
		resume: isSet(hints["resume_bot"]), release: isSet(hints["unassign_agent"]), status: hints["chat_status"],
		add: listOf(hints["add_tags"]), remove: listOf(hints["remove_tags"]), clear: listOf(hints["clear_fields"]), subFlow: hints["sub_flow"],
	}
	var bad string
	for name, to := range map[string]*int{"pause_minutes": &o.pause, "assign_agent": &o.agent, "assign_group": &o.group} {
		if v := hints[name]; v != "" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || name == "pause_minutes" && n > maxPause {
				bad = name
			}
			*to = n
		}
	}
	for name, to := range map[string]*map[string]any{"set_fields": &o.fields, "inbound_webhook": &o.hook} {
		if v := hints[name]; v != "" && json.Unmarshal([]byte(v), to) != nil {
			bad = name
		}
	}
	if o.status != "" && !slices.Contains(statuses, o.status) {
		bad = "chat_status"
	}
	if bad != "" {
		return orders{}, refusal(failure.InvalidRequest, failure.Plugin, "the hint "+bad+" has a value that UChat does not take")
	}
	return o, nil
}

func isSet(v string) bool { return v != "" && v != "0" && v != "false" }

func listOf(v string) []string {
	var out []string
	for one := range strings.SplitSeq(v, ",") {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}

// before does what the message and its flow may depend on. It stops at the
// first refusal, when nothing was sent to the person yet. Tags go before they
// come: adding one may start a flow.
func (c *channel) before(ctx context.Context, userNS string, o orders) error {
	steps := []func() error{
		func() error { return c.changeTags(ctx, userNS, http.MethodDelete, o.remove) },
		func() error { return c.changeTags(ctx, userNS, http.MethodPost, o.add) },
		func() error { return c.clearFields(ctx, userNS, o.clear) },
		func() error { return c.setFields(ctx, userNS, o.fields) },
	}
	for _, do := range steps {
		if err := do(); err != nil {
			return unsent(err)
		}
	}
	return nil
}

// after does what follows a message that was taken. The message stands whatever
// becomes of it, so a refusal is only logged. The pause comes last, because
// what is sent may end it.
func (c *channel) after(ctx context.Context, userNS string, o orders) {
	try := func(what string, wanted bool, do func() error) {
		if !wanted {
			return
		}
		if err := do(); err != nil {
			c.log.WarnContext(ctx, "the message was taken, but not what was to follow it", "step", what, "error", err)
		}
	}
	post := func(path string, body object) func() error {
		return func() error {
			body["user_ns"] = userNS
			return c.api.do(ctx, call{path: path, body: body}, nil)
		}
	}
	try("sub_flow", o.subFlow != "", func() error { return c.subFlow(ctx, userNS, o.subFlow) })
	try("inbound_webhook", o.hook != nil, func() error { return c.callHook(ctx, userNS, o.hook) })
	try("assign_group", o.group > 0, post("/subscriber/assign-agent-group", object{"agent_group_id": o.group}))
	try("assign_agent", o.agent > 0, post("/subscriber/assign-agent", object{"agent_id": o.agent}))
	try("unassign_agent", o.release, post("/subscriber/unassign-agent", object{}))
	try("chat_status", o.status != "", post("/subscriber/move-chat-to", object{"status": o.status}))
	try("resume_bot", o.resume && o.pause == 0, post("/subscriber/resume-bot", object{}))
	try("pause_minutes", o.pause > 0, post("/subscriber/pause-bot", object{"minutes": o.pause}))
}

// changeTags adds or removes tags by name. A tag must exist at UChat.
func (c *channel) changeTags(ctx context.Context, userNS, method string, names []string) error {
	path := "/subscriber/add-tags-by-name"
	if method == http.MethodDelete {
		path = "/subscriber/remove-tags-by-name"
	}
	for part := range slices.Chunk(names, bulk) {
		data := make([]object, len(part)) // objects: an array of names is refused
		for i, n := range part {
			data[i] = object{"tag_name": n}
		}
		if err := c.api.do(ctx, call{method: method, path: path, body: object{"user_ns": userNS, "data": data}}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *channel) setFields(ctx context.Context, userNS string, fields map[string]any) error {
	names := make([]string, 0, len(fields))
	for n := range fields {
		names = append(names, n)
	}
	slices.Sort(names)
	for part := range slices.Chunk(names, bulk) {
		data := make([]object, len(part))
		for i, n := range part {
			data[i] = object{"name": n, "value": fields[n]}
		}
		err := c.api.do(ctx, call{method: http.MethodPut, path: "/subscriber/set-user-fields-by-name", body: object{"user_ns": userNS, "data": data}}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *channel) clearFields(ctx context.Context, userNS string, names []string) error {
	for part := range slices.Chunk(names, bulk) {
		data := make([]object, len(part))
		for i, n := range part {
			data[i] = object{"name": n}
		}
		err := c.api.do(ctx, call{method: http.MethodDelete, path: "/subscriber/clear-user-fields-by-name", body: object{"user_ns": userNS, "data": data}}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

var subFlowForm = regexp.MustCompile(`^f[0-9]+s[0-9]+$`)

// subFlow starts a sub-flow, by its ns or its name.
func (c *channel) subFlow(ctx context.Context, userNS, which string) error {
	if subFlowForm.MatchString(which) {
		return c.api.do(ctx, call{path: "/subscriber/send-sub-flow", body: object{"user_ns": userNS, "sub_flow_ns": which}}, nil)
	}
	return c.api.do(ctx, call{path: "/subscriber/send-sub-flow-by-flow-name", body: object{"user_ns": userNS, "flow_name": which}}, nil)
}

// callHook calls the inbound webhook of the settings, by which the agency's flows
// get at what Strato knows. That it was taken says nothing of what follows.
func (c *channel) callHook(ctx context.Context, userNS string, what map[string]any) error {
	if c.account.InboundWebhook == "" {
		return refusal(failure.InvalidRequest, failure.Tenant, "the settings name no inbound webhook")
	}
	body := object{"user_ns": userNS}
	maps.Copy(body, what)
	return c.api.do(ctx, call{path: hookPath + c.account.InboundWebhook, body: body, open: true}, nil)
}

// failureOf is the failure in an error of this plugin, which always has one.
func failureOf(err error) *failure.Failure {
	if f, ok := errors.AsType[*failure.Failure](err); ok {
		return f
	}
	return failure.New(failure.Temporary, "the request to UChat failed")
}

// unsent says of an error that the person was sent nothing, whatever became of
// the request.
func unsent(err error) error {
	f := *failureOf(err)
	f.Outcome = failure.NotSent
	return &f
}
