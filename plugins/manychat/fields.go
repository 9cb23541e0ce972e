package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stratohub/strato/sdk/failure"
)

// maxFields is how many fields one request may set.
const maxFields = 20

// fieldHint begins the hint that sets a custom field: "field:Zona".
const fieldHint = "field:"

// field is a custom field of the account.
type field struct {
	ID   str `json:"id"`
	Name str `json:"name"`
	Type str `json:"type"`
}

// field finds a custom field by its name, which ManyChat compares regardless of
// capitals.
func (c *channel) field(ctx context.Context, name string) (field, error) {
	list, err := c.fields(ctx)
	if err != nil {
		return field{}, err
	}
	for _, f := range list {
		if strings.EqualFold(string(f.Name), name) {
			return f, nil
		}
	}
	return field{}, refusal(failure.InvalidRequest, failure.Tenant, "ManyChat has no custom field "+strconv.Quote(clip(name, 100)))
}

func (c *channel) fields(ctx context.Context) ([]field, error) {
	var list []field
	err := c.api.get(ctx, "page/getCustomFields", nil, &list)
	return list, err
}

// applyHints changes the contact as a message's hints ask: first_name,
// last_name and email; remove_tags and add_tags, lists with commas; and
// field:NAME. Tags are removed first: who moves a contact from one stage to the
// next must not leave it in both, and adding one that is there starts nothing.
func (c *channel) applyHints(ctx context.Context, who string, hints map[string]string) error {
	if len(hints) == 0 {
		return nil
	}
	person := object{"subscriber_id": json.Number(who)}
	if profile(person, hints) {
		if err := c.api.post(ctx, "subscriber/updateSubscriber", person, nil); err != nil {
			return err
		}
	}
	for _, step := range []struct{ hint, endpoint string }{
		{"remove_tags", "subscriber/removeTagByName"}, {"add_tags", "subscriber/addTagByName"},
	} {
		for tag := range strings.SplitSeq(hints[step.hint], ",") {
			if tag = strings.TrimSpace(tag); tag == "" {
				continue
			}
			err := c.api.post(ctx, step.endpoint, object{"subscriber_id": json.Number(who), "tag_name": tag}, nil)
			if err != nil {
				return err
			}
		}
	}
	values := map[string]string{}
	for key, value := range hints {
		if name, ok := strings.CutPrefix(key, fieldHint); ok {
			values[name] = value
		}
	}
	return c.setFields(ctx, who, values)
}

// setFields sets custom fields by name, each as its type wants it.
func (c *channel) setFields(ctx context.Context, who string, values map[string]string) error {
	if len(values) == 0 {
		return nil
	}
	list, err := c.fields(ctx)
	if err != nil {
		return err
	}
	types := map[string]string{}
	for _, f := range list {
		types[strings.ToLower(string(f.Name))] = string(f.Type)
	}
	var set []object
	for _, name := range slices.Sorted(maps.Keys(values)) {
		kind, ok := types[strings.ToLower(name)]
		if !ok {
			return refusal(failure.InvalidRequest, failure.Tenant, "ManyChat has no custom field "+strconv.Quote(clip(name, 100)))
		}
		value, ok := fieldValue(kind, values[name])
		if !ok {
			return refusal(failure.InvalidRequest, failure.Tenant, "the custom field "+strconv.Quote(clip(name, 100))+" takes a "+kind)
		}
		set = append(set, object{"field_name": name, "field_value": value})
	}
	for part := range slices.Chunk(set, maxFields) {
		if err := c.api.post(ctx, "subscriber/setCustomFields", object{"subscriber_id": json.Number(who), "fields": part}, nil); err != nil {
			return err
		}
	}
	return nil
}

// fieldValue writes a value as the API wants a field of that type; false if it
// is no such value.
func fieldValue(kind, value string) (any, bool) {
	value = strings.TrimSpace(value)
	switch kind {
	case "number":
		_, err := strconv.ParseFloat(value, 64)
		return json.Number(value), err == nil && json.Valid([]byte(value))
	case "boolean":
		b, err := strconv.ParseBool(value)
		return b, err == nil
	case "date":
		for _, form := range []string{time.DateOnly, time.RFC3339} {
			if t, err := time.Parse(form, value); err == nil {
				return t.Format(time.DateOnly), true
			}
		}
		return nil, false
	case "datetime":
		t, err := time.Parse(time.RFC3339, value)
		return t.Format("2006-01-02T15:04:05-07:00"), err == nil
	}
	return value, true
}
