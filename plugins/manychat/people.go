package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/stratohub/strato/sdk"
	"github.com/stratohub/strato/sdk/failure"
)

func isPhone(kind string) bool { return kind == kindPhone || kind == "wa_id" }

// subscriber is the contact's id at ManyChat. found says that it was looked for:
// by the person's numbers, in the ways that ManyChat leaves. Numbers of WhatsApp
// are not what it searches in, though it refuses to take one twice.
func (c *channel) subscriber(ctx context.Context, m sdk.Message) (id string, found bool, err error) {
	for _, a := range m.To {
		if a.Kind == kindSubscriber && isDigits(a.Value) && len(a.Value) <= maxID {
			return a.Value, false, nil
		}
	}
	var numbers []string
	for _, a := range m.To {
		if isPhone(a.Kind) {
			numbers = append(numbers, variants(onlyDigits(a.Value))...)
		}
	}
	if len(numbers) == 0 {
		return "", false, refusal(failure.Recipient, failure.Tenant, "the person has no address at ManyChat")
	}
	if id, err = c.lookUp(ctx, numbers); err != nil || id != "" {
		return id, true, err
	}
	if !c.account.CreateContacts {
		return "", false, refusal(failure.Recipient, failure.Tenant, "ManyChat has no contact with this number that can be found")
	}
	id, err = c.create(ctx, numbers[0], m.Hints)
	return id, true, err
}

// variants are the spellings of a number, the given one first: Argentine mobiles
// are written with a 9 before the area code, without, or with a 15 after it.
func variants(digits string) []string {
	if len(digits) < 7 || len(digits) > 15 {
		return nil
	}
	out := []string{digits}
	national, ok := strings.CutPrefix(digits, "54")
	if !ok {
		return out
	}
	national = strings.TrimPrefix(national, "0")
	if len(national) == 11 || len(national) == 13 {
		national = strings.TrimPrefix(national, "9")
	}
	for area := 2; area <= 4 && len(national) == 12; area++ {
		if national[area:area+2] == "15" {
			national = national[:area] + national[area+2:]
		}
	}
	if len(national) != 10 {
		return out
	}
	for _, v := range []string{"549" + national, "54" + national} {
		if v != digits {
			out = append(out, v)
		}
	}
	return out
}

// found is a contact as the API describes it.
type foundContact struct {
	ID            str `json:"id"`
	Phone         str `json:"phone"`
	WhatsAppPhone str `json:"whatsapp_phone"`
}

// lookUp searches the phone, then the custom field that holds digits. Empty
// means that there is nobody, or nobody who can be found.
func (c *channel) lookUp(ctx context.Context, numbers []string) (string, error) {
	for _, n := range numbers {
		var data json.RawMessage
		if err := c.api.get(ctx, "subscriber/findBySystemField", url.Values{"phone": {"+" + n}}, &data); err != nil {
			return "", err
		}
		var who foundContact
		if one(data, &who) && isDigits(string(who.ID)) {
			return string(who.ID), nil
		}
	}
	if c.account.PhoneField == "" {
		return "", nil
	}
	field, err := c.field(ctx, c.account.PhoneField)
	if err != nil {
		return "", err
	}
	for _, n := range numbers {
		var list []foundContact
		q := url.Values{"field_id": {string(field.ID)}, "field_value": {n}}
		if err := c.api.get(ctx, "subscriber/findByCustomField", q, &list); err != nil {
			return "", err
		}
		for _, who := range list {
			if isDigits(string(who.ID)) {
				return string(who.ID), nil
			}
		}
	}
	return "", nil
}

// create makes a contact of WhatsApp. Only what has a value is sent: ManyChat
// refuses empty strings, and asks for consent to SMS where phone is given.
func (c *channel) create(ctx context.Context, digits string, hints map[string]string) (string, error) {
	body := object{"whatsapp_phone": "+" + digits}
	profile(body, hints)
	var data json.RawMessage
	err := c.api.post(ctx, "subscriber/createSubscriber", body, &data)
	if r, ok := errors.AsType[*refused](err); ok {
		number, exists := r.answer.existingNumber()
		if !exists {
			return "", err
		}
		// The number that ManyChat names may be spelt in another way than ours.
		known := variants(digits)
		others := slices.DeleteFunc(variants(number), func(v string) bool { return slices.Contains(known, v) })
		if id, lookErr := c.lookUp(ctx, others); lookErr != nil || id != "" {
			return id, lookErr
		}
		return "", err
	}
	if err != nil {
		return "", err
	}
	var who foundContact
	if !one(data, &who) || !isDigits(string(who.ID)) {
		return "", refusal(failure.Temporary, failure.Provider, "ManyChat made a contact without naming it")
	}
	// So that the contact is found the next time. If it fails, the message goes
	// all the same, and the core remembers the id.
	if c.account.PhoneField != "" {
		_ = c.setFields(ctx, string(who.ID), map[string]string{c.account.PhoneField: digits})
	} else {
		_ = c.api.post(ctx, "subscriber/updateSubscriber", object{
			"subscriber_id": json.Number(who.ID), "phone": "+" + digits, "has_opt_in_sms": false,
		}, nil)
	}
	return string(who.ID), nil
}

// profile puts what hints say of the person into a request; it reports whether
// they say anything.
func profile(body object, hints map[string]string) bool {
	any := false
	for _, key := range []string{"first_name", "last_name", "email"} {
		if v := strings.TrimSpace(hints[key]); v != "" {
			body[key], any = v, true
		}
	}
	if body["email"] != nil {
		body["has_opt_in_email"] = hints["opt_in_email"] == "true"
	}
	return any
}
